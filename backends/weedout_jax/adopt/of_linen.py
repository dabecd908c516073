"""Modules of flax.linen, with their variables."""

from collections.abc import Collection
from typing import Any, cast

import jax
from flax import linen as nn

from weedout_jax.adopt.pure import Mode, Pure, Tree, arguments, check_unchanged, flat, groups, parts

_STATISTICS = "batch_stats"


def read(model: tuple[nn.Module, Any]) -> Pure:
    """``(module, variables)``. Variables that are neither weights nor running statistics stay as they are.

    Raises BackendError, when it is called, for a module that changes them.
    """
    module, variables = model
    name = type(module).__name__
    rest: dict[str, Any] = {**nn.meta.unbox(variables)}
    weights = parts(rest.pop("params", {}), name)
    moving = parts(rest.pop(_STATISTICS, {}), name)
    each = tuple(path for path, value in weights.arrays.items() if value.ndim > 2 and value.shape[-2] == 1)
    fitting = _fitting(each)

    def together(params: Tree, statistics: Tree) -> dict[str, Any]:
        more = {_STATISTICS: moving.together(statistics)} if moving.arrays else {}
        return {**rest, "params": weights.together(params), **more}

    def compute(params: Tree, statistics: Tree, x: Any, mode: Mode, key: Any) -> tuple[Any, Tree]:
        given = arguments(type(module).__call__, mode, key)
        draws = {"dropout": key, "params": jax.random.fold_in(key, 1)}  # other streams are drawn from "params"
        with nn.intercept_methods(_without_dropout(fitting) if mode == "batch" else fitting):
            logits, changed = module.apply(
                together(params, statistics), x, rngs=draws, mutable=[_STATISTICS, *rest], **given
            )
        after: dict[str, Any] = {**nn.meta.unbox(changed)}
        moved = flat(after.pop(_STATISTICS, {}))
        check_unchanged(flat(rest), flat(after), name, f"Hold it in the collection {_STATISTICS!r}.")
        return logits, moved

    def rebuild(params: Tree, statistics: Tree) -> Any:
        smaller = any(params[path].shape != value.shape for path, value in weights.arrays.items())
        return Smaller(module, each) if smaller else module, together(params, statistics)

    return Pure(name, weights.arrays, moving.arrays, compute, rebuild)


class Smaller(nn.Module):
    """A module, as it computes with smaller weights.

    Attributes:
        module: the module. Its variables are this one's.
        each: the paths of the kernels that read one channel in each group when they were whole.
    """

    module: nn.Module
    each: tuple[str, ...] = ()

    def setup(self) -> None:
        nn.share_scope(self, self.module)

    def __call__(self, *given: Any, **named: Any) -> Any:
        with nn.intercept_methods(_fitting(self.each)):
            return cast(Any, self.module)(*given, **named)


def _without_dropout(fitting: Any) -> Any:
    """Statistics of the batch, and nothing else of training."""

    def called(call: Any, given: Any, named: Any, context: Any) -> Any:
        return given[0] if isinstance(context.module, nn.Dropout) else fitting(call, given, named, context)

    return called


def _fitting(each: Collection[str]) -> Any:
    """A layer, which checks the shapes of its weights, with as many outputs as they have."""

    def called(call: Any, given: Any, named: Any, context: Any) -> Any:
        layer = context.module
        if not isinstance(layer, nn.Dense | nn.Conv) or not layer.has_variable("params", "kernel"):
            return call(*given, **named)
        features = layer.get_variable("params", "kernel").shape[-1]
        if features == layer.features:
            return call(*given, **named)
        now = {"features": features}
        if isinstance(layer, nn.Conv):
            depthwise = "/".join((*cast(Any, layer.scope).path, "kernel")) in each
            now["feature_group_count"] = groups(layer.features, layer.feature_group_count, depthwise, features)
        return layer.clone(parent=layer.scope, **now)(*given, **named)

    return called
