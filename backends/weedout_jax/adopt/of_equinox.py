"""Modules of equinox, which compute one example: they are mapped over the examples."""

import inspect
from typing import Any

import equinox as eqx
import jax
import numpy as np

from weedout_jax.adopt.pure import Mode, Pure, Tree, arguments, flat, groups, is_float, parts

_SIZED = (eqx.nn.Linear, eqx.nn.Conv, eqx.nn.BatchNorm)


def read(model: Any) -> Pure:
    """A module, or ``(module, state)`` as ``eqx.nn.make_with_state`` gives it."""
    module, state = model if isinstance(model, tuple) else (model, None)
    name = type(module).__name__
    weights = parts(module, name)
    moving = parts(jax.tree.map(_as_float, state), name)
    kinds = {path: np.asarray(value).dtype for path, value in flat(state).items()}
    statistics = {f"state/{path}": value for path, value in moving.arrays.items()}
    axis = next((part.axis_name for part in _norms(module)), "batch")
    takes_key = "key" in inspect.signature(type(module).__call__).parameters

    def state_of(statistics: Tree) -> Any:
        own = {path: statistics[f"state/{path}"].astype(kind) for path, kind in kinds.items() if kind != np.float32}
        return moving.together({path: own.get(path, statistics[f"state/{path}"]) for path in moving.arrays})

    def compute(params: Tree, statistics: Tree, x: Any, mode: Mode, key: Any) -> tuple[Any, Tree]:
        ready = _in_mode(_fitting(weights.together(params)), mode)

        def one(x: Any, state: Any, key: Any) -> Any:
            given = arguments(type(ready).__call__, mode, key)
            return ready(x, **given) if state is None else ready(x, state, **given)

        keys = jax.random.split(key, len(x)) if takes_key else None
        if state is None:
            return jax.vmap(one, (0, None, 0 if takes_key else None), axis_name=axis)(x, None, keys), statistics
        each = jax.vmap(one, (0, None, 0 if takes_key else None), (0, None), axis_name=axis)
        logits, after = each(x, state_of(statistics), keys)
        return logits, {f"state/{path}": value.astype(np.float32) for path, value in flat(after).items()}

    def rebuild(params: Tree, statistics: Tree) -> Any:
        arrays = ({path: jax.numpy.asarray(value) for path, value in tree.items()} for tree in (params, statistics))
        again, moved = next(arrays), next(arrays)
        ready = _in_mode(_fitting(weights.together(again)), "running")
        return ready if state is None else (ready, state_of(moved))

    return Pure(name, weights.arrays, statistics, compute, rebuild)


def _as_float(leaf: Any) -> Any:
    """Counts and flags too are statistics: floats hold them exactly up to 2^24."""
    return leaf if is_float(leaf) else np.asarray(leaf, np.float32)


def _fitting(module: Any) -> Any:
    """A module whose layers say how many inputs and outputs they have, as their weights have now."""
    for part in jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, _SIZED)):
        now: dict[str, Any] = {}
        match part:
            case eqx.nn.Linear():
                now = dict(zip(("out_features", "in_features"), part.weight.shape, strict=True))
            case eqx.nn.Conv():
                features, of_group, *_ = part.weight.shape
                each = part.in_channels == part.groups
                now = {"groups": groups(part.out_channels, part.groups, each, features), "out_channels": features}
                now["in_channels"] = of_group * now["groups"]
            case eqx.nn.BatchNorm() if part.weight is not None:
                now = {"input_size": len(part.weight)}
            case _:
                pass
        for name, size in now.items():
            if getattr(part, name) != "scalar":
                object.__setattr__(part, name, size)  # a module is frozen once it is made; this one is new
    return module


def _is_norm(part: Any) -> bool:
    return isinstance(part, eqx.nn.BatchNorm)


def _norms(module: Any) -> list[Any]:
    return [part for part in jax.tree.leaves(module, is_leaf=_is_norm) if _is_norm(part)]


def _in_mode(module: Any, mode: Mode) -> Any:
    ready = eqx.nn.inference_mode(module, mode != "train")
    if mode != "batch":
        return ready
    return jax.tree.map(
        lambda part: eqx.nn.inference_mode(part, False) if _is_norm(part) else part, ready, is_leaf=_is_norm
    )
