"""No site is taken on trust: what was adopted must compute what the user's model does, and every site must count."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weedout_core.errors import BackendError
from weedout_jax.adopt.model import Model, Spot
from weedout_jax.adopt.pure import Pure

_AT_ONCE = 16  # sites that are tried in one batch


def same_logits(pure: Pure, model: Model, x: np.ndarray, masks: dict[str, np.ndarray]) -> None:
    """Raise BackendError unless masks that keep all change no logit of the user's model, after training."""

    def own(params: Any, statistics: Any, x: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return pure.compute(params, statistics, x, "running", jax.random.key(0, impl="threefry2x32"))[0]

    def kept(params: Any, statistics: Any, x: Any) -> Any:
        return model.forward(params, statistics, masks, x, "running")[0]

    held = pure.params, pure.statistics, x
    one, other = (np.asarray(jax.jit(function)(*held), np.float64) for function in (own, kept))
    # XLA may round the sums of fused layers in another order: some thousand roundings at most.
    bound = 1e-4 * max(1.0, float(np.abs(one).max()))
    if not np.allclose(one, other, rtol=0, atol=bound, equal_nan=True):
        raise BackendError(
            f"{pure.name} gives other logits when its activations are seen: it does not compute the same each time. It "
            "cannot be adopted."
        )


def sites_count(pure: Pure, model: Model, spots: Sequence[Spot], x: np.ndarray) -> None:
    """Raise BackendError unless a NaN in any site changes the logits. Each example has its NaN in another site."""
    held = pure.params, pure.statistics
    for start in range(0, len(spots), _AT_ONCE):
        some = spots[start : start + _AT_ONCE]
        inputs = jnp.asarray(x[np.arange(len(some)) % len(x)])
        places = {spot.activation.name: example for example, spot in enumerate(some)}

        def both(x: Any, places: Any = places) -> Any:
            return model.forward(*held, None, x, "running")[0], model.poisoned(*held, x, places)

        clean, poisoned = jax.jit(both)(inputs)
        # Not "is NaN": the largest of a window drops NaN on a CPU.
        reached = np.asarray(jnp.any(clean != poisoned, axis=1))
        if lost := [spot.site for spot, one in zip(some, reached, strict=True) if not one]:
            raise BackendError(
                f"the site {lost[0]!r} of {pure.name} decides no logit: a NaN in it does not reach them. Leave it out, "
                "by naming others with sites=."
            )
