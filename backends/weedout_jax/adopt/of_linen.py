"""Modules of flax.linen, with their variables."""

from typing import Any, cast

import jax
from flax import linen as nn

from weedout_jax.adopt.pure import Mode, Pure, Tree, arguments, flat, groups, parts

_STATISTICS = "batch_stats"


def read(model: tuple[nn.Module, Any]) -> Pure:
    """``(module, variables)``. Variables that are neither weights nor running statistics stay as they are."""
    module, variables = model
    name = type(module).__name__
    rest: dict[str, Any] = {**nn.meta.unbox(variables)}
    weights = parts(rest.pop("params", {}), name)
    moving = parts(rest.pop(_STATISTICS, {}), name)

    def together(params: Tree, statistics: Tree) -> dict[str, Any]:
        more = {_STATISTICS: moving.together(statistics)} if moving.arrays else {}
        return {**rest, "params": weights.together(params), **more}

    def compute(params: Tree, statistics: Tree, x: Any, mode: Mode, key: Any) -> tuple[Any, Tree]:
        given = arguments(type(module).__call__, mode, key)
        draws = {"dropout": key, "params": jax.random.fold_in(key, 1)}  # other streams are drawn from "params"
        with nn.intercept_methods(_without_dropout if mode == "batch" else _fitting):
            logits, changed = module.apply(together(params, statistics), x, rngs=draws, mutable=[_STATISTICS], **given)
        return logits, flat(nn.meta.unbox(changed).get(_STATISTICS, {}))

    def rebuild(params: Tree, statistics: Tree) -> Any:
        smaller = any(params[path].shape != value.shape for path, value in weights.arrays.items())
        return Smaller(module) if smaller else module, together(params, statistics)

    return Pure(name, weights.arrays, moving.arrays, compute, rebuild)


class Smaller(nn.Module):
    """A module, as it computes with smaller weights.

    Attributes:
        module: the module. Its variables are this one's.
    """

    module: nn.Module

    def setup(self) -> None:
        nn.share_scope(self, self.module)

    def __call__(self, *given: Any, **named: Any) -> Any:
        with nn.intercept_methods(_fitting):
            return cast(Any, self.module)(*given, **named)


def _without_dropout(call: Any, given: Any, named: Any, context: Any) -> Any:
    """Statistics of the batch, and nothing else of training."""
    return given[0] if isinstance(context.module, nn.Dropout) else _fitting(call, given, named, context)


def _fitting(call: Any, given: Any, named: Any, context: Any) -> Any:
    """A layer, which checks the shapes of its weights, with as many outputs as they have."""
    layer = context.module
    if not isinstance(layer, nn.Dense | nn.Conv) or not layer.has_variable("params", "kernel"):
        return call(*given, **named)
    *_, of_group, features = layer.get_variable("params", "kernel").shape
    if features == layer.features:
        return call(*given, **named)
    now = {"features": features}
    if isinstance(layer, nn.Conv):
        now["feature_group_count"] = groups(layer.features, layer.feature_group_count, of_group, features)
    return layer.clone(parent=layer.scope, **now)(*given, **named)
