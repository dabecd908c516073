"""How a loss changes with the numbers of the masks, in float64: what SNIP and SynFlow rate nodes by."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from weedout_core import Network
from weedout_core.backend import negative_cross_entropy
from weedout_jax.compiling import compiled
from weedout_jax.devices import everywhere, platform, put
from weedout_jax.layers import Arithmetic
from weedout_jax.network import forward

_JAX: Any = jax  # a name that older versions have elsewhere


def mask_gradient(
    mesh: Mesh, net: Network, params: Any, statistics: Any, masks: Any, x: Any, y: Any | None
) -> Mapping[str, jax.Array]:
    """∂L/∂m of one network: {site: float64 ``shape``}."""
    placed = put((params, statistics, masks, x, y), everywhere(mesh))
    with _double():
        return _gradient(*placed, mesh=mesh, net=net)


def _double() -> Any:
    """JAX's 64-bit types, in this thread and context alone."""
    return _JAX.enable_x64(True) if hasattr(jax, "enable_x64") else _JAX.experimental.enable_x64()


@compiled(("mesh", "net"))
def _gradient(
    params: Any, statistics: Any, masks: Any, x: jax.Array, y: jax.Array | None, *, mesh: Mesh, net: Network
) -> dict[str, jax.Array]:
    """The program."""
    how = Arithmetic(platform(mesh), "highest", "float64")
    params, statistics, factors, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (params, statistics, masks, x))

    def loss(factors: Any) -> jax.Array:
        logits, _ = forward(net, params, x, factors, statistics, how)
        return jnp.sum(logits) if y is None else -len(x) * negative_cross_entropy(logits, y, axis=-2)

    return jax.grad(loss)(factors)
