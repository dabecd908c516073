"""The user's optimizer in place of SGD: a gradient transformation of optax."""

import itertools
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from weedout_core.backend import shown
from weedout_core.errors import BackendError
from weedout_jax.jaxprs import arrays_in

#: One step of one network: (weights, optimizer state, gradient, SGD's learning rate) → (new weights, new state).
Update = Callable[[Any, Any, Any, jax.Array], tuple[Any, Any]]

_TURNS = itertools.count()


@dataclass(frozen=True)
class Rule:
    """The user's optimizer, identified by what it computes, so that optimizers that compute the same share a program.

    Attributes:
        operations: the operations of its functions, as the text of their jaxpr.
        arrays: the bytes of the arrays that its functions close over, which this text leaves out.
        turn: None; but for an optimizer that calls back into Python a new number each time, because the text does not
            distinguish Python functions.
        given: the optimizer.
    """

    operations: str
    arrays: tuple[bytes, ...]
    turn: int | None
    given: Any = field(compare=False)

    @property
    def computes(self) -> tuple[str, tuple[bytes, ...]]:
        """Everything that can be read of what it computes."""
        return self.operations, self.arrays


def first_state(given: Any, params: Any) -> Any:
    """The state of the user's optimizer before its first step, for each of R networks.

    Raises:
        BackendError: it is not an optax optimizer, or cannot take a step (which is traced with shapes only).
    """
    _check(given)
    with taking_a_step():
        state = jax.vmap(given.init)(params)
    once, again = (rule_of(given, params, state) for _ in range(2))
    if once.computes != again.computes:
        raise BackendError(
            f"optimizer must be a pure function of the gradient, its state and the weights; {type(given).__name__} "
            "changes itself when it is traced, which happens once and not at each step. Keep what changes in its state."
        )
    return state


def rule_of(given: Any, params: Any, state: Any) -> Rule:
    """The user's optimizer as it is now; it is read again each time, because it may be an object that changes.

    Raises:
        BackendError: it is not an optax optimizer, or cannot take a step from this state.
    """
    _check(given)
    with taking_a_step():
        program = jax.make_jaxpr(jax.vmap(_two_steps(given)))(params, state)
    operations = str(program)
    return Rule(operations, tuple(arrays_in(program)), next(_TURNS) if "callback" in operations else None, given)


def _check(given: Any) -> None:
    if not callable(getattr(given, "init", None)) or not callable(getattr(given, "update", None)):
        raise BackendError(
            "the jax backend trains with an optax GradientTransformation, such as optax.adam(1e-3); got "
            f"{shown(given)}."
        )


@contextmanager
def taking_a_step() -> Generator[None]:
    """Turn an error in the user's functions into a BackendError that says so."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(
            "optimizer must take a step from update(gradient, state, params) alone, and keep the structure of its "
            f"state; this one fails: {_said(error)}. Take one that needs no further arguments (no value, no value_fn), "
            "such as optax.adam(1e-3)."
        ) from error


def update_of(transformation: optax.GradientTransformation) -> Update:
    """A step with the optimizer's own learning rate; the rate of the schedule is ignored."""

    def update(params: Any, state: Any, gradient: Any, rate: Any) -> Any:
        del rate
        updates, state = transformation.update(gradient, state, params)
        _check_updates(updates, params)
        return optax.apply_updates(params, updates), state

    return update


def _check_updates(updates: Any, params: Any) -> None:
    """Raise BackendError if an update would be broadcast over a weight of another shape."""
    for path, weight in params.items():
        shape = getattr(updates.get(path), "shape", None) if isinstance(updates, dict) else None
        if shape != weight.shape:
            raise BackendError(
                f"optimizer must give an update of each weight's shape; for {path} of shape {weight.shape} it gives "
                f"{shape}. Take one for the gradient of a batch, not for the gradients of single examples."
            )


def _two_steps(transformation: Any) -> Callable[[Any, Any], Any]:
    """Two steps of one network's optimizer in a loop, as in an epoch, but without the network."""
    update = update_of(transformation)

    def steps(params: Any, state: Any) -> Any:
        return lax.scan(lambda one, _: (update(*one, params, jnp.zeros(())), None), (params, state), length=2)

    return steps


def _said(error: Exception) -> str:
    """The first line of an error, as a part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")
