"""Scoring a population: one compiled program a generation, shared over devices.

Everything before the first mask is computed once. Candidates are mapped, not vectorised: on a CPU that is
faster, and a candidate's fitness is the same to the bit whoever is scored beside it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from weedout_core import FITNESS, Layer, Mask, MaskPlan, Network, ParameterSpec, Population, every_layer
from weedout_jax.devices import AXIS, everywhere, platform, shared
from weedout_jax.layers import Arithmetic
from weedout_jax.masks import draw_masks
from weedout_jax.network import forward
from weedout_jax.randomness import normals


def score_population(
    mesh: Mesh,
    net: Network,
    params: Any,
    norm: Any,
    population: Population,
    x: Any,
    y: Any,
    fitness: str,
    precision: str,
    chunk: int,
) -> jax.Array:
    """The fitness of each candidate on one batch: float32 ``(m,)``."""
    own_weights = population.weight_keys is not None
    common, specs = ({}, params) if own_weights else (params, ())
    candidates = {"mask_keys": population.mask_keys, "weight_keys": population.weight_keys, "masks": population.masks}
    candidates = {name: value for name, value in candidates.items() if value is not None}
    padded, chunk = padded_size(mesh, population.size, chunk)
    scored = score(
        jax.device_put(jax.tree.map(lambda leaf: _pad(leaf, padded), candidates), shared(mesh)),
        *jax.device_put((common, norm, x, y), everywhere(mesh)),
        mesh=mesh, net=net, specs=specs, plan=population.plan, fitness=fitness, precision=precision, chunk=chunk,
    )  # fmt: skip
    return scored[: population.size]


def padded_size(mesh: Mesh, size: int, chunk: int) -> tuple[int, int]:
    """How many candidates are scored, so that devices and chunks divide them, and in chunks of how many."""
    # A map over one candidate is inlined and rounds in its own way: no device gets fewer than two.
    each = max(2, -(-size // mesh.size))
    chunk = min(chunk, each)
    return -(-each // chunk) * chunk * mesh.size, chunk


def _pad(leaf: Any, size: int) -> jax.Array:
    """Repeat the last candidate; its extra scores are cut off."""
    leaf = jnp.asarray(leaf)
    return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], size - len(leaf), axis=0)]) if size > len(leaf) else leaf


@partial(jax.jit, static_argnames=("mesh", "net", "specs", "plan", "fitness", "precision", "chunk"))
def score(
    candidates: dict[str, Any],
    params: Mapping[str, Any],
    norm: Any,
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
    how = Arithmetic(platform(mesh), precision)

    def of_device(candidates: dict[str, Any], params: Mapping[str, Any], norm: Any, x: Any, y: Any) -> jax.Array:
        # With weights of their own, candidates have nothing in common but the batch.
        first = 0 if specs else first_masked(net)
        common = run(net.layers[:first], params, None, norm, x, how)

        def one(candidate: dict[str, Any]) -> jax.Array:
            own = normals(candidate["weight_keys"], specs) if specs else params
            logits, _ = run(net.layers[first:], own, candidate["masks"], common.norm, common.h, how)
            return FITNESS[fitness](logits, y)

        def some(candidates: dict[str, Any]) -> jax.Array:
            drawn = {} if plan is None else {"masks": draw_masks(candidates["mask_keys"], plan)}
            return lax.map(one, candidates | drawn)

        chunked = jax.tree.map(lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:]), candidates)
        return lax.map(some, chunked).reshape(-1)

    spread, whole = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(
        of_device, mesh=mesh, in_specs=(spread, whole, whole, whole, whole), out_specs=spread, check_vma=False
    )(candidates, params, norm, x, y)


def first_masked(net: Network) -> int:
    """The first layer in which a mask stands; nothing before it depends on the candidate."""
    return next(i for i, layer in enumerate(net.layers) if any(isinstance(part, Mask) for part in every_layer([layer])))


class Run(NamedTuple):
    """Activations, and what batch normalisation takes in the layers after: as ``norm`` of a backend's score."""

    h: jax.Array
    norm: Any


def run(
    layers: Sequence[Layer], params: Mapping[str, Any], masks: Any, norm: Any, h: jax.Array, how: Arithmetic
) -> Run:
    """Run layers on the scored batch and, where ``norm`` is the activations of other inputs, on these too.

    The statistics of the other inputs are then the ones that the scored batch is normalised with.
    """
    if norm is None:
        return Run(forward(layers, params, h, masks, 1, how)[0], None)
    if isinstance(norm, Mapping):
        return Run(forward(layers, params, h, masks, norm, how)[0], norm)
    others, taken = forward(layers, params, norm, masks, 1, how)
    return Run(forward(layers, params, h, masks, taken, how)[0], others)
