"""An adopted model: it is traced, and what its sites' equations make is masked."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Var

from weedout_core.backend import Adopted, Follows
from weedout_jax.adopt.choosing import Activation
from weedout_jax.adopt.finding import Event, find, origins
from weedout_jax.adopt.matching import numbers_of
from weedout_jax.adopt.pure import SAID, Mode, Pure, Tree, check_logits
from weedout_jax.adopt.reading import fitting, kept_entries, whole
from weedout_jax.adopt.walking import computed, walk

Change = Callable[[jax.Array], jax.Array]


class Spot(NamedTuple):
    """Where the mask of a site lies: on which of the activations, and for which units, "node" or "channel"."""

    site: str
    activation: Activation
    granularity: str

    def laid(self, mask: Any) -> Any:
        """A mask with its channels last, as it is multiplied with the activation."""
        shape, examples, channels = self.activation[3:6]
        if self.granularity == "channel":
            return mask.reshape([-1 if axis == channels else 1 for axis in range(len(shape) + 1)])
        return jnp.expand_dims(jnp.moveaxis(mask, -1, channels - (channels > examples)), examples)

    def masked(self, made: jax.Array, mask: Any) -> jax.Array:
        """The activation under a mask: booleans replace by 0, and floats are multiplied in."""
        laid = self.laid(mask)
        return jnp.where(laid, made, 0) if mask.dtype == jnp.bool_ else (made * laid).astype(made.dtype)


class Traced(NamedTuple):
    """A model as a program: of (params, statistics, key, inputs), in order, the logits and then the statistics.

    Attributes:
        program: the program.
        events: what it computes.
        mode: how it computes.
        smaller: whether weights have fewer nodes than when it was adopted.
    """

    program: ClosedJaxpr
    events: list[Event]
    mode: Mode
    smaller: bool


def traced(pure: Pure, params: Tree, statistics: Tree, x: Any, mode: Mode, precision: str | None) -> Traced:
    """Trace a model on arrays, or on their shapes. Raises BackendError for one that gives no logits."""

    def compute(params: Any, statistics: Any, words: Any, x: Any) -> Any:
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        logits, after = pure.compute(params, statistics, x, mode, key)
        check_logits(logits, len(x), pure.name, mode)
        return logits, {path: after[path] for path in statistics}

    with ExitStack() as stack:
        stack.enter_context(jax.threefry_partitionable(True))
        if precision is not None:
            stack.enter_context(jax.default_matmul_precision(precision))
        # On shapes alone, outside of meshes, because equinox compares where its old and its new state lie.
        stack.enter_context(jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())))
        given = (dict(params), dict(statistics), np.zeros(2, np.uint32), x)
        program = jax.make_jaxpr(compute)(*jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype), given))
    smaller = any(params[path].shape != value.shape for path, value in pure.params.items())
    return Traced(program, find(program, origins(sorted(params), len(statistics) + 1)), mode, smaller)


class Model:
    """A model of another library, adopted.

    Args:
        pure: the model.
        calls: what it calls in each mode.
        spots: where masks lie.
    """

    def __init__(self, pure: Pure, calls: Mapping[Mode, Sequence[Activation]], spots: Sequence[Spot]) -> None:
        self._pure, self._calls, self._spots = pure, dict(calls), tuple(spots)

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The weights when it was adopted."""
        return self._pure.params

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """The running statistics when it was adopted."""
        return self._pure.statistics

    def forward(
        self,
        params: Tree,
        statistics: Tree,
        masks: Mapping[str, Any] | None,
        x: Any,
        mode: Mode,
        word: Any = 0,
        precision: str | None = "highest",
        *,
        reads: Mapping[str, Follows] = {},
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The logits ``(examples, classes)``, and the running statistics after it, which "train" moves.

        Args:
            params, statistics: {path: ``shape``}.
            masks: {site: bool or float ``shape``}; None masks nothing.
            x: ``(examples, *input_shape)``.
            mode: how it computes.
            word: what dropout draws from, in "train", uint32.
            precision: of products that do not say their own.
            reads: {path of weights: which nodes of a whole activation they read, if they are too few for all}.
        """
        given = masks or {}
        changes = {
            spot.activation.name: _laying(spot, given[spot.site]) for spot in self._spots if spot.site in given
        }  # fmt: skip
        shapes = whole(params, reads, self._pure.params)
        entries = {
            id(params[path]): kept_entries(one, given[one.site], params[path].shape[one.axis])
            for path, one in reads.items()
            if shapes[path].shape != params[path].shape
        }
        seen = traced(self._pure, shapes, statistics, x, mode, precision)
        return self._computed(seen, params, statistics, x, word, changes, entries)

    def poisoned(self, params: Tree, statistics: Tree, x: Any, places: Mapping[str, int]) -> jax.Array:
        """The logits with NaN in activations, {name: the example that has it there}."""
        axes = {spot.activation.name: spot.activation for spot in self._spots}

        def poisoning(one: Activation, example: int) -> Change:
            def poison(made: jax.Array) -> jax.Array:
                here = jnp.arange(made.shape[one.examples]) == example
                around = [axis for axis in range(made.ndim) if axis != one.examples]
                return jnp.where(jnp.expand_dims(here, around), jnp.nan, made)

            return poison

        changes = {name: poisoning(axes[name], example) for name, example in places.items()}
        seen = traced(self._pure, params, statistics, x, "running", "highest")
        return self._computed(seen, params, statistics, x, 0, changes, {})[0]

    def _computed(
        self, seen: Traced, params: Tree, statistics: Tree, x: Any, word: Any, changes: Mapping[str, Change],
        entries: Mapping[int, jax.Array],
    ) -> tuple[jax.Array, dict[str, jax.Array]]:  # fmt: skip
        program, events, mode, smaller = seen
        places = numbers_of(events, self._calls[mode], len(x), smaller, f"{self._pure.name}, {SAID[mode]}")
        by_number, count = {places[name]: change for name, change in changes.items()}, itertools.count()

        def step(equation: Any, given: Sequence[Any]) -> Sequence[Any]:
            made = computed(equation, fitting(equation, given, entries))
            change = by_number.get(next(count))
            return made if change is None else [change(made[0])]

        words = jnp.stack([jnp.uint32(0), jnp.asarray(word, jnp.uint32)])
        paths = sorted(statistics)
        arguments = [*(params[path] for path in sorted(params)), *(statistics[path] for path in paths), words, x]
        logits, *after = walk(program, arguments, step)
        return logits, dict(zip(paths, after, strict=True))

    def gradient(self, params: Tree, statistics: Tree, masks: Tree, x: np.ndarray) -> dict[str, np.ndarray]:
        """The gradient of some combination of all logits by weights and running statistics, {path: ``shape``}."""

        found = self._gradient(dict(params), dict(statistics), dict(masks), x)
        return {path: np.asarray(value) for tree in found for path, value in tree.items()}

    @cached_property
    def _gradient(self) -> Callable[..., Any]:
        """Compiled once for all weights and masks."""

        def combined(params: Tree, statistics: Tree, masks: Tree, x: jax.Array) -> jax.Array:
            logits, _ = self.forward(params, statistics, masks, x, "running")
            return (jnp.linspace(1, 2, logits.size).reshape(logits.shape) * logits).sum()

        return jax.jit(jax.grad(combined, argnums=(0, 1)))

    def rebuild(self, layer: Adopted, params: Tree, statistics: Tree, mask: Tree) -> Any:
        """The user's model again with other weights, as it was adopted; under a mask, as :class:`Masked`."""
        given = self._pure.rebuild(params, statistics)
        return Masked(given, dict(mask), self, layer, (dict(params), dict(statistics))) if mask else given


def _laying(spot: Spot, mask: Any) -> Change:
    return lambda made: spot.masked(made, mask)


class Masked:
    """A model under a mask: a function of inputs ``(examples, *input_shape)`` to logits.

    Attributes:
        model: the model of its own library, with these weights, without the mask.
        mask: {site: bool ``shape``}.
    """

    def __init__(self, model: Any, mask: Any, adopted: Model, layer: Adopted, held: tuple[Tree, Tree]) -> None:
        self.model, self.mask = model, mask

        def call(x: Any) -> jax.Array:
            return adopted.forward(*held, mask, x, "running", precision=None, reads=layer.readers)[0]

        self._call = jax.jit(call)

    def __call__(self, x: Any) -> jax.Array:
        return self._call(x)


def draws(program: Any) -> bool:
    """Whether what a traced program gives depends on its key, the argument before the inputs."""
    needed = set(filter(_is_variable, program.outvars))
    for one in reversed(program.eqns):
        if needed.intersection(one.outvars):
            needed.update(filter(_is_variable, one.invars))
    return program.invars[-2] in needed


def _is_variable(one: Any) -> bool:
    return isinstance(one, Var)
