"""The user's optimizer in place of SGD: a gradient transformation of optax."""

from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from weedout_core.backend import holdings
from weedout_core.errors import BackendError

#: One step of one network: from weights, state, gradient and SGD's rate to new weights and a new state.
Update = Callable[[Any, Any, Any, jax.Array], tuple[Any, Any]]


def first_state(given: Any, params: Any) -> Any:
    """The state of the user's optimizer before its first step, for each of R networks.

    Raises:
        BackendError: it is none of optax's, or cannot take a step: one is traced, on shapes alone.
    """
    if not callable(getattr(given, "init", None)) or not callable(getattr(given, "update", None)):
        raise BackendError(
            f"the jax backend trains with an optax GradientTransformation, such as optax.adam(1e-3); got {given!r}."
        )
    holds = holdings(given)
    try:
        state = jax.vmap(given.init)(params)
        jax.eval_shape(jax.vmap(_two_steps(given)), params, state)
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(
            "optimizer must take a step from update(gradient, state, params) alone, and leave the structure of its "
            f"state; this one fails: {_said(error)}. Take one that needs no more (no value, no value_fn), such as "
            "optax.adam(1e-3)."
        ) from error
    check_holds(given, holds)
    return state


def check_holds(given: Any, holds: tuple[Hashable, ...]) -> None:
    """Raise BackendError where an optimizer has changed itself since it held this."""
    if holdings(given) != holds:
        raise BackendError(
            f"optimizer must be a pure function of the gradient, its state and the weights; {type(given).__name__} "
            "changed itself while its step was compiled, which happens once and not at each step. Keep what changes in "
            "its state."
        )


def of_users(transformation: optax.GradientTransformation) -> Update:
    """A step at the optimizer's own rate."""

    def update(params: Any, state: Any, gradient: Any, rate: Any) -> Any:
        del rate
        updates, state = transformation.update(gradient, state, params)
        _check_updates(updates, params)
        return optax.apply_updates(params, updates), state

    return update


def _check_updates(updates: Any, params: Any) -> None:
    """Raise BackendError where updates would be spread over weights of another shape."""
    for path, weight in params.items():
        shape = getattr(updates.get(path), "shape", None) if isinstance(updates, dict) else None
        if shape != weight.shape:
            raise BackendError(
                f"optimizer must give an update of each weight's shape; for {path} of shape {weight.shape} it gives "
                f"{shape}. Take one for the gradient of a batch, not for those of its examples."
            )


def _two_steps(transformation: Any) -> Callable[[Any, Any], Any]:
    """What an epoch does with one network's optimizer, without the network."""
    update = of_users(transformation)

    def steps(params: Any, state: Any) -> Any:
        return lax.scan(lambda one, _: (update(*one, params, jnp.zeros(())), None), (params, state), length=2)

    return steps


def _said(error: Exception) -> str:
    """What an error says first, as a part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")
