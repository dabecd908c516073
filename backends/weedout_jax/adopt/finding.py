"""The activations and the weight layers of a traced program, in the order in which they are computed.

For each value is known of which parameters it is computed, and whether of the inputs. A product of the one with the
other is a weight layer. What is not computed of the inputs is no activation, such as what dropout draws.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jax.extend.core import ClosedJaxpr, JaxprEqn

from weedout_jax.adopt.activations import GATED, POINTWISE, kind_of
from weedout_jax.adopt.axes import Features, at, axis_of, moved, shape_of
from weedout_jax.adopt.reading import PRODUCTS, summed
from weedout_jax.adopt.walking import parts_of, walk


class Activated(NamedTuple):
    """What may be an activation.

    Attributes:
        number: its equation among all.
        kind: its name.
        shape: of its value.
        params: the parameters of which it is computed.
        features: the axis along which the features of the weight layer before it lie; None if that cannot be told.
        inside: the loop or the like that hides it; None for none.
    """

    number: int
    kind: str
    shape: tuple[int, ...]
    params: frozenset[str]
    features: int | None
    inside: str | None = None


class Product(NamedTuple):
    """A weight layer.

    Attributes:
        params: its parameters.
        shape: of its output.
        features: the axis of its features.
        macs: its multiply-adds.
        reads: the axis, below 0, along which a parameter itself is multiplied with the inputs; 0 if it is not alone.
    """

    params: tuple[str, ...]
    shape: tuple[int, ...]
    features: int
    macs: int
    reads: int = 0


Event = Activated | Product


class _Origin(NamedTuple):
    """What a value is computed of.

    Attributes:
        params: the parameters.
        of_x: whether of the inputs.
        root: the value of which it is computed entry by entry; itself, if there is none.
        gate: the operation of ``GATED`` in between, and its place among the events.
        features: where the features of the last weight layer lie.
    """

    params: frozenset[str]
    of_x: bool
    root: object
    gate: tuple[str, int] | None = None
    features: Features | None = None


def origins(params: Sequence[str], others: int) -> list[_Origin]:
    """The origins of a program's arguments: parameters, then ``others`` that are neither, then the inputs."""
    own = [_Origin(frozenset([path]), False, object()) for path in params]
    return [*own, *(_of([]) for _ in range(others)), _of([])._replace(of_x=True)]


def find(program: ClosedJaxpr, given: Sequence[_Origin]) -> list[Event]:
    """See what a program computes. ``given``: from :func:`origins`."""
    events: list[tuple[Event, bool]] = []  # with whether it is one by itself
    number = -1
    own = {id(origin) for origin in given if origin.params}

    def step(equation: JaxprEqn, given: Sequence[Any]) -> list[_Origin]:
        nonlocal number
        number += 1
        operation, shape = equation.primitive.name, shape_of(equation.outvars[0]) if equation.outvars else ()
        from_ = [value if isinstance(value, _Origin) else _of([]) for value in given]
        origin = _of(from_)._replace(features=moved(equation, [one.features for one in from_]))
        axis = axis_of(shape, origin.features)
        kind = kind_of(equation, given)
        if origin.of_x and (product := _product(equation, from_)) is not None:
            events.append((product._replace(reads=_reads(equation, from_, own)), True))
            origin = origin._replace(features=at(shape, product.features))
        elif origin.of_x and (kind is not None or operation in GATED):
            events.append((Activated(number, kind or operation, shape, origin.params, axis), kind is not None))
            if operation in GATED and (root := _root(given)) is not None:
                origin = origin._replace(root=root, gate=(operation, len(events) - 1))
        elif operation in POINTWISE and (root := _root(given)) is not None:
            gates = [value.gate for value in from_ if value.root is root]
            gated = [gate for gate in gates if gate is not None]
            if operation == "mul" and len(gates) == 2 and len(gated) == 1:  # x · g(x)
                before, place = gated[0]
                events[place] = (Activated(number, GATED[before], shape, origin.params, axis), True)
            else:
                origin = origin._replace(root=root, gate=gated[0] if gated else None)
        elif origin.of_x:
            events.extend((event, True) for event in _hidden(equation, from_, number))
        return [origin] * len(equation.outvars)

    walk(program, given, step)
    return [event for event, alone in events if alone]


def _of(values: Sequence[_Origin]) -> _Origin:
    params = frozenset[str]().union(*(value.params for value in values))
    return _Origin(params, any(value.of_x for value in values), object())


def _root(given: Sequence[Any]) -> object | None:
    """The one value of which all that is given is computed entry by entry, beside numbers."""
    roots = {id(value.root): value.root for value in given if isinstance(value, _Origin)}
    return next(iter(roots.values())) if len(roots) == 1 else None


def _product(equation: JaxprEqn, given: Sequence[_Origin]) -> Product | None:
    """A weight layer: the product of what is computed of the inputs with what is computed of parameters alone."""
    if equation.primitive.name not in PRODUCTS:
        return None
    weights = [place for place in (0, 1) if given[place].params and not given[place].of_x]
    if len(weights) != 1:
        return None
    params = tuple(sorted(given[weights[0]].params))
    shape, numbers = shape_of(equation.outvars[0]), equation.params["dimension_numbers"]
    operands = [shape_of(atom) for atom in equation.invars]
    if equation.primitive.name == "conv_general_dilated":
        features = numbers.out_spec[1]
        return Product(params, shape, features, math.prod(shape) * math.prod(operands[1]) // max(1, shape[features]))
    contracted, batch = numbers
    free = [len(one) - len(contracted[place]) - len(batch[place]) for place, one in enumerate(operands)]
    ends = len(batch[0]) + free[0] + (free[1] if weights[0] else 0)  # the output has the free axes of both in order
    summed = math.prod(operands[0][axis] for axis in contracted[0])
    return Product(params, shape, ends - 1 if free[weights[0]] else len(shape) - 1, math.prod(shape) * summed)


def _reads(equation: JaxprEqn, given: Sequence[_Origin], own: set[int]) -> int:
    """The axis of the weights of a layer along which they are multiplied, if these are a parameter as it is."""
    for origin, atom, axes in zip(given, equation.invars, summed(equation), strict=True):
        if id(origin) in own and len(axes) == 1:
            return axes[0] - len(shape_of(atom))
    return 0


def _hidden(equation: JaxprEqn, given: Sequence[_Origin], number: int) -> list[Event]:
    """What a loop or a branch computes inside, where no mask can be laid. What it multiplies may come round again."""
    hidden: list[Event] = []
    multiplies, of = False, _of(given).params

    def step(inner: JaxprEqn, values: Sequence[Any]) -> list[None]:
        nonlocal multiplies
        multiplies |= inner.primitive.name in PRODUCTS
        if (kind := kind_of(inner, values)) is not None:
            hidden.append(Activated(number, kind, shape_of(inner.outvars[0]), of, None, equation.primitive.name))
        else:
            for part in parts_of(inner):
                walk(part, [None] * len(part.jaxpr.invars), step)
        return [None] * len(inner.outvars)

    for part in parts_of(equation):
        walk(part, [None] * len(part.jaxpr.invars), step)
    if not (multiplies and of):
        return hidden
    whole = Product(tuple(sorted(of)), shape_of(equation.outvars[0]), len(shape_of(equation.outvars[0])) - 1, 0)
    return [whole, *hidden, whole]


def macs_of(events: Sequence[Event], sizes: Mapping[str, int], examples: int) -> dict[str, int]:
    """{parameter: the multiply-adds for one example in which it takes part}: those of a layer, for its largest."""
    found: dict[str, int] = {}
    for event in events:
        if isinstance(event, Product):
            largest = max(event.params, key=lambda path: sizes[path])
            found[largest] = found.get(largest, 0) + event.macs // examples
    return found


def reads_of(events: Sequence[Event]) -> dict[str, int]:
    """{parameter: the axis, below 0, along which it is multiplied with the inputs, the same wherever it is}."""
    layers = [event for event in events if isinstance(event, Product)]
    axes = {path: {one.reads for one in layers if path in one.params} for one in layers for path in one.params}
    return {path: some.pop() for path, some in axes.items() if len(some) == 1}
