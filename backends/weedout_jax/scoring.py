"""Scoring a population: compiled once, run for each generation, shared over devices.

Everything before the first mask is computed once. From there on a candidate is its compacted network, wherever masks
keep fixed numbers of nodes. How candidates follow each other is the engine, see ``engines``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from weedout_core import Network, compact
from weedout_core.backend import FITNESS, Compaction, MaskPlan, Population, products, split_at_first_mask
from weedout_core.nn import Layer, ParameterSpec, parameter_shapes
from weedout_jax.devices import AXIS, everywhere, platform, shared
from weedout_jax.engines import fastest_engine
from weedout_jax.layers import Arithmetic
from weedout_jax.masks import draw_masks, kept_indices
from weedout_jax.network import has_convolutions, nodes_first, run_layers, widest
from weedout_jax.randomness import kept_normals

_FLOATS = 2**26  # activations and own weights of the candidates side by side: 256 MiB
_TURN = 10  # dense candidates in one turn of the loop: what one gathers and another multiplies runs on two cores


def score_population(
    mesh: Mesh,
    engine: str | None,
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
    engine = engine or chosen_engine(mesh, net, population.plan, own_weights)
    floats = candidate_floats(net, population.plan, own_weights, len(x))
    padded, chunk, turn = sizes(mesh, engine, net, population.size, floats, chunk)
    placed = jax.device_put((common, norm, x, y), everywhere(mesh))

    def call(some: slice) -> jax.Array:
        return score(
            jax.device_put(jax.tree.map(lambda leaf: _rows(leaf, some), candidates), shared(mesh)), *placed,
            mesh=mesh, engine=engine, net=net, specs=specs, plan=population.plan,
            fitness=fitness, precision=precision, chunk=chunk, turn=turn,
        )  # fmt: skip

    each = mesh.size if engine == "loop" else padded
    calls = [call(slice(start, start + each)) for start in range(0, padded, each)]
    return jnp.concatenate(calls)[: population.size]


def chosen_engine(mesh: Mesh, net: Network, plan: MaskPlan | None, own_weights: bool) -> str:
    """The engine where none is asked for."""
    return fastest_engine(platform(mesh), products(_compaction(net, plan, own_weights), own_weights))


class Sizes(NamedTuple):
    """How a population is cut up.

    Attributes:
        padded: candidates scored, so that devices, chunks and turns divide them.
        chunk: of how many the masks exist at once on a device.
        turn: how many of these a turn of the loop scores.
    """

    padded: int
    chunk: int
    turn: int


def candidate_floats(net: Network, plan: MaskPlan | None, own_weights: bool, examples: int) -> int:
    """What one candidate beside others holds: its widest activations, and weights where they are drawn or gathered."""
    small = _compaction(net, plan, own_weights)
    weights = parameter_shapes(small.net).values() if own_weights or small.arrays else ()
    return examples * widest(small.net) + sum(math.prod(shape) for shape in weights)


def _compaction(net: Network, plan: MaskPlan | None, own_weights: bool) -> Compaction:
    """What each candidate computes: with weights of its own all layers, else those from the first mask on."""
    rest = net if own_weights else split_at_first_mask(net)[1]
    return compact(rest, {} if plan is None else plan.counts)


def sizes(mesh: Mesh, engine: str, net: Network, size: int, floats: int, chunk: int) -> Sizes:
    """How a population of this size is cut up, in chunks of at most ``chunk`` where there can be so small ones.

    Args:
        floats: of one candidate, from :func:`candidate_floats`.
    """
    if engine == "loop":
        return Sizes(-(-size // mesh.size) * mesh.size, 1, 1)
    if engine == "vmap":
        chunk = min(chunk, max(1, _FLOATS // floats))
    # A map of one turn is inlined and rounds in its own way: no device gets fewer than two.
    each = max(2, -(-size // mesh.size))
    chunks = -(-each // min(chunk, each))
    each = -(-each // chunks)
    most = 1 if engine == "vmap" or has_convolutions(net) else max(1, min(_TURN, each // 2))
    turn = max(turn for turn in range(1, most + 1) if each % turn == 0)
    return Sizes(chunks * each * mesh.size, each, turn)


def _rows(leaf: Any, some: slice) -> jax.Array:
    """Some candidates, the last one repeated where they end; its extra scores are cut off."""
    rows = jnp.asarray(leaf)[some]
    missing = some.stop - some.start - len(rows)
    return jnp.concatenate([rows, jnp.repeat(rows[-1:], missing, axis=0)]) if missing else rows


@partial(jax.jit, static_argnames=("mesh", "engine", "net", "specs", "plan", "fitness", "precision", "chunk", "turn"))
def score(
    candidates: dict[str, Any],
    params: Mapping[str, Any],
    norm: Any,
    x: jax.Array,
    y: jax.Array,
    *,
    mesh: Mesh,
    engine: str,
    net: Network,
    specs: tuple[ParameterSpec, ...],
    plan: MaskPlan | None,
    fitness: str,
    precision: str,
    chunk: int,
    turn: int,
) -> jax.Array:
    """The program: candidates ``(devices × chunks × chunk, …)`` → fitness, each device its own share."""
    how = Arithmetic(platform(mesh), precision)

    def of_device(candidates: dict[str, Any], params: Mapping[str, Any], norm: Any, x: Any, y: Any) -> jax.Array:
        # With weights of their own, candidates have nothing in common but the batch.
        head = () if specs else split_at_first_mask(net)[0]
        common = run(head, params, None, norm, x, how)
        small = _compaction(net, plan, bool(specs))

        def one(candidate: dict[str, Any]) -> jax.Array:
            masks, indices = candidate["masks"], candidate["indices"]
            if specs:
                own = kept_normals(candidate["weight_keys"], specs, small, indices)
            else:
                own = small.gather(params, indices)
            normed = small.gather(common.norm, indices) if isinstance(common.norm, Mapping) else common.norm
            logits, _ = run(small.net.layers, own, small.gather_masks(masks, indices), normed, common.h, how)
            return FITNESS[fitness](logits, y, axis=-2)

        def some(candidates: dict[str, Any]) -> jax.Array:
            masks = candidates["masks"] if plan is None else draw_masks(candidates["mask_keys"], plan)
            indices = {site: kept_indices(masks[site], plan.counts[site]) for site in small.sites if plan}
            drawn = candidates | {"masks": masks, "indices": indices}
            return jax.vmap(one)(drawn) if engine == "vmap" else _mapped(one, drawn, turn)

        chunked = jax.tree.map(lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:]), candidates)
        return lax.map(some, chunked).reshape(-1)

    spread, whole = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(
        of_device, mesh=mesh, in_specs=(spread, whole, whole, whole, whole), out_specs=spread, check_vma=False
    )(candidates, params, norm if norm is None or isinstance(norm, Mapping) else nodes_first(norm), nodes_first(x), y)


def _mapped(one: Callable[[Any], jax.Array], xs: Any, turn: int) -> jax.Array:
    """``lax.map``, so many in a turn."""
    return lax.scan(lambda nothing, x: (nothing, one(x)), None, xs, unroll=turn)[1]


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
        return Run(run_layers(layers, params, h, masks, 1, how)[0], None)
    if isinstance(norm, Mapping):
        return Run(run_layers(layers, params, h, masks, norm, how)[0], norm)
    others, taken = run_layers(layers, params, norm, masks, 1, how)
    return Run(run_layers(layers, params, h, masks, taken, how)[0], others)
