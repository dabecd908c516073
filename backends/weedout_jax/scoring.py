"""Scoring a population: one compiled program a generation, shared over devices.

Everything before the first mask is computed once. Candidates are mapped, not vectorised: on a CPU that is
faster, and a candidate's fitness is the same to the bit whoever is scored beside it.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from weedout_core import FITNESS, Mask, MaskPlan, Network, ParameterSpec, Population
from weedout_jax.masks import draw_masks
from weedout_jax.network import forward
from weedout_jax.randomness import normals

AXIS = "population"
AXIS_TYPES = (AxisType.Auto,)


def score_population(
    mesh: Mesh,
    net: Network,
    params: Any,
    population: Population,
    x: Any,
    y: Any,
    fitness: str,
    precision: str,
    chunk: int,
) -> jax.Array:
    """The fitness of each candidate on one batch: float32 ``(m,)``."""
    own_weights = population.weight_keys is not None
    shared, specs = ({}, params) if own_weights else (params, ())
    candidates = {"mask_keys": population.mask_keys, "weight_keys": population.weight_keys, "masks": population.masks}
    candidates = {name: value for name, value in candidates.items() if value is not None}
    # A map over one candidate is inlined and rounds in its own way: no device gets fewer than two.
    share = max(2, -(-population.size // mesh.size))
    chunk = min(chunk, share)
    padded = -(-share // chunk) * chunk * mesh.size
    spread, everywhere = NamedSharding(mesh, PartitionSpec(AXIS)), NamedSharding(mesh, PartitionSpec())
    scored = score(
        jax.device_put(jax.tree.map(lambda leaf: _pad(leaf, padded), candidates), spread),
        jax.device_put(shared, everywhere),
        jax.device_put(x, everywhere),
        jax.device_put(y, everywhere),
        mesh=mesh, net=net, specs=specs, plan=population.plan, fitness=fitness, precision=precision, chunk=chunk,
    )  # fmt: skip
    return scored[: population.size]


def _pad(leaf: Any, size: int) -> jax.Array:
    """Repeat the last candidate, so that devices and chunks divide the population; its extra scores are cut off."""
    leaf = jnp.asarray(leaf)
    return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], size - len(leaf), axis=0)]) if size > len(leaf) else leaf


@partial(jax.jit, static_argnames=("mesh", "net", "specs", "plan", "fitness", "precision", "chunk"))
def score(
    candidates: dict[str, Any],
    params: Mapping[str, Any],
    x: jax.Array,
    y: jax.Array,
    *,
    mesh: Mesh,
    net: Network,
    specs: tuple[ParameterSpec, ...],
    plan: MaskPlan | None,
    fitness: str,
    precision: str,
    chunk: int,
) -> jax.Array:
    """The program: candidates ``(devices × chunks × chunk, …)`` → fitness, each device its own share."""

    def share(candidates: dict[str, Any], params: Mapping[str, Any], x: jax.Array, y: jax.Array) -> jax.Array:
        # With weights of their own, candidates have nothing in common but the batch.
        first = 0 if specs else next(i for i, layer in enumerate(net.layers) if isinstance(layer, Mask))
        common = forward(net.layers[:first], params, x, None, precision)

        def one(candidate: dict[str, Any]) -> jax.Array:
            own = normals(candidate["weight_keys"], specs) if specs else params
            logits = forward(net.layers[first:], own, common, candidate["masks"], precision)
            return FITNESS[fitness](logits, y)

        def some(candidates: dict[str, Any]) -> jax.Array:
            drawn = {} if plan is None else {"masks": draw_masks(candidates["mask_keys"], plan)}
            return lax.map(one, candidates | drawn)

        chunked = jax.tree.map(lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:]), candidates)
        return lax.map(some, chunked).reshape(-1)

    spread, everywhere = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(
        share, mesh=mesh, in_specs=(spread, everywhere, everywhere, everywhere), out_specs=spread, check_vma=False
    )(candidates, params, x, y)
