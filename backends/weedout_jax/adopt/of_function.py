"""A pure function and its weights."""

from typing import Any

from weedout_jax.adopt.pure import Mode, Pure, Tree, arguments, parts


def read(model: tuple[Any, Any]) -> Pure:
    """``(apply, params)``: the logits are ``apply(params, x)``, and the weights any tree of arrays."""
    apply, params = model
    name = getattr(apply, "__name__", type(apply).__name__)
    weights = parts(params, name)

    def compute(params: Tree, statistics: Tree, x: Any, mode: Mode, key: Any) -> tuple[Any, Tree]:
        return apply(weights.together(params), x, **arguments(apply, mode, key)), statistics

    return Pure(name, weights.arrays, {}, compute, lambda params, _: (apply, weights.together(params)))
