"""Walking through a traced program: its equations in order, with those of compiled and of rematerialised parts."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from weedout_jax.adopt.activations import function_of

#: Called with an equation and what it is given, gives what it makes.
Step = Callable[[JaxprEqn, Sequence[Any]], Sequence[Any]]

# Parts that are entered. A part of any other kind (a loop, a branch, a function with its own gradient) is one equation.
_ENTERED = frozenset({"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"})


def walk(program: ClosedJaxpr, given: Sequence[Any], step: Step) -> list[Any]:
    """What a program gives, if ``step`` says what each of its equations makes."""
    values: dict[Any, Any] = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    values |= zip(program.jaxpr.invars, given, strict=True)

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in program.jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        entered = equation.primitive.name in _ENTERED and function_of(equation) is None
        made = walk(next(parts_of(equation)), inputs, step) if entered else step(equation, inputs)
        values |= zip(equation.outvars, made, strict=True)
    return [read(atom) for atom in program.jaxpr.outvars]


def computed(equation: JaxprEqn, given: Sequence[Any]) -> Sequence[Any]:
    """What an equation makes of arrays."""
    found: Any = equation.primitive.get_bind_params(equation.params)
    functions, params = found if isinstance(found, tuple) else ((), found)  # a pair before JAX 0.10
    with equation.ctx.manager:
        made = equation.primitive.bind(*functions, *given, **params)
    return made if equation.primitive.multiple_results else [made]


def parts_of(equation: JaxprEqn) -> Iterator[ClosedJaxpr]:
    """The programs inside an equation."""
    for part in jax.tree.leaves(equation.params):
        if isinstance(part, ClosedJaxpr):
            yield part
        elif isinstance(part, Jaxpr):
            yield ClosedJaxpr(part, ())
