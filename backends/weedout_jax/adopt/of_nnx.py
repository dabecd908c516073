"""Modules of flax.nnx."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from weedout_jax.adopt.pure import Mode, Pure, Tree, arguments, check_unchanged, float32, groups, kept


def read(model: nnx.Module) -> Pure:
    """A module: its ``nnx.Param`` are weights, its ``nnx.BatchStat`` running statistics; the rest stays as it is.

    Raises BackendError, when it is called, for a module that changes the rest.
    """
    name = type(model).__name__
    graph, *states = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    params, moving, rest = ([(path, _with(one, kept(_value(one)))) for path, one in _flat(state)] for state in states)
    weights, statistics = ({_joined(path): one.get_value() for path, one in state} for state in (params, moving))
    floats = [{path: float32(one, path, name) for path, one in tree.items()} for tree in (weights, statistics)]

    def together(params_: Tree, statistics_: Tree, drawn: Any) -> nnx.Module:
        new = [[(path, one.replace(tree[_joined(path)])) for path, one in state]
               for state, tree in ((params, params_), (moving, statistics_))]  # fmt: skip
        return _fitting(nnx.merge(graph, *(nnx.from_flat_state(state) for state in (*new, drawn))))

    def compute(params: Tree, statistics: Tree, x: Any, mode: Mode, key: Any) -> tuple[Any, Tree]:
        seeded = _seeded(rest, key if mode == "train" else None)
        before = _lasting(seeded)
        module = together(params, statistics, seeded)
        _set_mode(module, mode)
        logits = module(x, **arguments(type(module).__call__, mode, key))
        check_unchanged(before, _lasting(_flat(nnx.state(module))), name, "Make it an nnx.BatchStat, or of a subclass.")
        return logits, {_joined(path): one[...] for path, one in _flat(nnx.state(module, nnx.BatchStat))}

    def rebuild(params: Tree, statistics: Tree) -> nnx.Module:
        weights, moved = (jax.tree.map(jnp.asarray, dict(tree)) for tree in (params, statistics))
        module = together(weights, moved, _seeded(rest, None))
        _set_mode(module, "running")
        return module

    return Pure(name, floats[0], floats[1], compute, rebuild)


def _flat(state: Any) -> list[tuple[Any, Any]]:
    return list(nnx.to_flat_state(state))


def _joined(path: Any) -> str:
    return "/".join(map(str, path))


def _set_mode(module: nnx.Module, mode: Mode) -> None:
    still = mode == "running"
    module.set_attributes(deterministic=still, use_running_average=still, raise_if_not_found=False)
    if mode == "batch":  # statistics of the batch, and nothing else of training
        module.set_attributes(nnx.Dropout, rate=0.0, raise_if_not_found=False)


def _fitting(module: nnx.Module) -> nnx.Module:
    """A module whose layers say how many inputs and outputs they have, as their weights have now."""
    for _, part in nnx.iter_modules(module):
        match part:
            case nnx.Linear():
                part.in_features, part.out_features = part.kernel.shape[-2:]
            case nnx.Conv():
                of_group, features = part.kernel.shape[-2:]
                each = part.in_features == part.feature_group_count
                part.feature_group_count = groups(part.out_features, part.feature_group_count, each, features)
                part.in_features, part.out_features = of_group * part.feature_group_count, features
                part.kernel_shape = (*part.kernel_shape[:-2], of_group, features)
            case nnx.BatchNorm():
                part.num_features = part.mean.shape[-1]
            case _:
                pass
    return module


def _value(one: Any) -> Any:
    return one.get_value() if isinstance(one, nnx.Variable) else one


def _with(one: Any, value: Any) -> Any:
    return one.replace(value) if isinstance(one, nnx.Variable) else value


def _lasting(state: list[tuple[Any, Any]]) -> dict[str, Any]:
    """The values of all but random streams and what a module shows of itself."""
    own = nnx.RngState, nnx.Intermediate
    return {_joined(path): _value(one) for path, one in state if not isinstance(one, own)}


def _seeded(rest: list[tuple[Any, Any]], key: Any) -> list[tuple[Any, Any]]:
    """What is neither a weight nor a statistic, on the device; its random streams are begun anew from a key."""
    return [(path, _with(one, _drawn(one, place, key))) for place, (path, one) in enumerate(rest)]


def _drawn(one: Any, place: int, key: Any) -> Any:
    value = _value(one)
    if key is not None and isinstance(one, nnx.RngKey):
        folded = jax.random.fold_in(key, place)
        return jax.random.split(folded, value.shape) if value.shape else folded
    if key is not None and isinstance(one, nnx.RngCount):
        return jnp.zeros_like(value)
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value
