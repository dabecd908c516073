"""Modules of flax.linen, with their variables."""

from typing import Any

import jax
from flax import linen as nn

from weedout_jax.adopt.pure import Mode, Pure, Tree, arguments, flat, parts

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
        with nn.intercept_methods(_without_dropout if mode == "batch" else _as_it_is):
            logits, changed = module.apply(together(params, statistics), x, rngs=draws, mutable=[_STATISTICS], **given)
        return logits, flat(nn.meta.unbox(changed).get(_STATISTICS, {}))

    return Pure(
        name, weights.arrays, moving.arrays, compute, lambda params, statistics: (module, together(params, statistics))
    )


def _without_dropout(call: Any, given: Any, named: Any, context: Any) -> Any:
    """Statistics of the batch, and nothing else of training."""
    return given[0] if isinstance(context.module, nn.Dropout) else call(*given, **named)


def _as_it_is(call: Any, given: Any, named: Any, _: Any) -> Any:
    return call(*given, **named)
