"""Scoring a population: a program that is compiled once, run for each generation, and shared over devices.

The layers before the first mask are computed once for all candidates. From there on, each candidate is computed as its
compacted network, which has room for the nodes that any of them keeps. ``engines`` says in which order candidates are
scored.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from weedout_core import Network
from weedout_core.backend import (
    FITNESS,
    MaskPlan,
    Population,
    Room,
    ScoredBatch,
    Scoring,
    compacted,
    counted_room,
    counted_sites,
    known_room,
    own_arrays,
    products,
    split_at_first_mask,
)
from weedout_core.nn import Layer, ParameterSpec, parameter_shapes
from weedout_jax.compiling import compiled
from weedout_jax.devices import AXIS, everywhere, gather, platform, put, shared
from weedout_jax.engines import fastest_engine
from weedout_jax.layers import Arithmetic, products_of
from weedout_jax.masks import draw_masks, kept_indices, most_given, most_kept
from weedout_jax.network import has_convolutions, nodes_first, run_layers, widest
from weedout_jax.randomness import kept_normals

_FLOATS = 2**26  # activations and own weights of the candidates that are scored at once: 256 MiB
_TURN = 10  # dense candidates in one turn of the loop: one core gathers for one while another multiplies for another


def score_population(
    mesh: Mesh,
    engine: str | None,
    net: Network,
    params: Any,
    population: Population,
    batch: ScoredBatch,
    scoring: Scoring,
) -> jax.Array:
    """The fitness of each candidate on one batch: float32 ``(m,)``."""
    own_weights = population.weight_keys is not None
    common, specs = ({}, params) if own_weights else (params, ())
    candidates = {"mask_keys": population.mask_keys, "weight_keys": population.weight_keys, "masks": population.masks}
    candidates = {name: value for name, value in candidates.items() if value is not None}
    room = room_of(mesh, net, population, own_weights, scoring.chunk)
    engine = engine or chosen_engine(mesh, net, room, own_weights)
    floats = candidate_floats(net, room, own_weights, len(batch.y))
    cut = sizes(mesh, engine, net, population.size, floats, scoring.chunk)
    program = Program(mesh, engine, net, specs, population.plan, room, scoring, cut)
    placed = put((common, batch), everywhere(mesh))

    def call(some: slice) -> jax.Array:
        rows = jax.tree.map(lambda leaf: _rows(leaf, some), candidates)
        return score(put(rows, shared(mesh)), *placed, program=program)

    each = mesh.size if engine == "loop" else cut.padded
    calls = [call(slice(start, start + each)) for start in range(0, cut.padded, each)]
    return jnp.concatenate(calls)[: population.size]


def room_of(mesh: Mesh, net: Network, population: Population, own_weights: bool, chunk: int) -> Room:
    """The room of the candidates' smaller network. Where they keep different numbers of nodes, they are counted."""
    masked, plan = computed(net, own_weights), population.plan
    if (known := known_room(masked, plan)) is not None:
        return known
    sites = counted_sites(masked)
    if plan is None:
        given: Any = population.masks
        most = most_given({site: given[site] for site in sites})
    else:
        most = most_kept(everywhere(mesh), population.mask_keys, plan, sites, min(chunk, population.size))
    return counted_room(masked, plan, most)


def computed(net: Network, own_weights: bool) -> Network:
    """What each candidate computes by itself: all layers with own weights, else those from the first mask on."""
    return net if own_weights else split_at_first_mask(net)[1]


def chosen_engine(mesh: Mesh, net: Network, room: Room, own_weights: bool) -> str:
    """The engine that is taken if the caller asks for none."""
    return fastest_engine(platform(mesh), products(compacted(computed(net, own_weights), room), own_weights))


class Sizes(NamedTuple):
    """How a population is divided.

    Attributes:
        padded: the number of candidates scored, rounded up so that devices, chunks and turns divide it.
        chunk: the number of candidates whose masks exist at once on a device.
        turn: the number of candidates that one turn of the loop scores.
    """

    padded: int
    chunk: int
    turn: int


def candidate_floats(net: Network, room: Room, own_weights: bool, examples: int) -> int:
    """The floats of one candidate: its widest activations, and its weights if they are drawn or gathered for it."""
    small = compacted(computed(net, own_weights), room)
    weights = parameter_shapes(small.net).values() if own_weights or own_arrays(small) else ()
    return examples * widest(small.net) + sum(math.prod(shape) for shape in weights)


def sizes(mesh: Mesh, engine: str, net: Network, size: int, floats: int, chunk: int) -> Sizes:
    """How a population of ``size`` candidates is divided, in chunks of at most ``chunk`` if that is possible.

    Args:
        floats: the floats of one candidate, from :func:`candidate_floats`.
    """
    if engine == "loop":
        return Sizes(-(-size // mesh.size) * mesh.size, 1, 1)
    if engine == "vmap":
        chunk = min(chunk, max(1, _FLOATS // floats))
    # XLA inlines a map of one turn, which then rounds differently, so each device gets at least two candidates.
    each = max(2, -(-size // mesh.size))
    chunks = -(-each // min(chunk, each))
    each = -(-each // chunks)
    most = 1 if engine == "vmap" or has_convolutions(net) else max(1, min(_TURN, each // 2))
    turn = max(turn for turn in range(1, most + 1) if each % turn == 0)
    return Sizes(chunks * each * mesh.size, each, turn)


def _rows(leaf: Any, some: slice) -> Any:
    """Some candidates. Past the end the last one is repeated; the scores of the copies are dropped later."""
    rows = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    return rows[np.minimum(np.arange(some.start, some.stop), len(leaf) - 1)]


class Program(NamedTuple):
    """The static arguments of a program that scores candidates.

    Attributes:
        mesh: the devices.
        engine: in which order candidates are scored, see ``engines``.
        net: the parent.
        specs: the specifications from which each candidate draws its own weights; () if candidates share weights.
        plan: the plan from which masks are drawn; None if masks are given.
        room: the nodes of the smaller network as which each candidate is computed.
        scoring, cut: how the population is scored, and how it is divided.
    """

    mesh: Mesh
    engine: str
    net: Network
    specs: tuple[ParameterSpec, ...]
    plan: MaskPlan | None
    room: Room
    scoring: Scoring
    cut: Sizes


@compiled("program")
def score(candidates: dict[str, Any], params: Mapping[str, Any], batch: ScoredBatch, *, program: Program) -> jax.Array:
    """The program: candidates ``(devices × chunks × chunk, …)`` → their fitness; each device scores its part."""
    net, specs, plan, fitness = program.net, program.specs, program.plan, FITNESS[program.scoring.fitness]
    how = Arithmetic(platform(program.mesh), products_of(program.scoring.precision))

    def of_device(candidates: dict[str, Any], params: Mapping[str, Any], batch: ScoredBatch) -> jax.Array:
        # Candidates with their own weights share only the batch.
        head = () if specs else split_at_first_mask(net)[0]
        common = run(head, params, None, Activations(batch.x, batch.calibration), batch.statistics, how)
        small = compacted(computed(net, bool(specs)), program.room)

        def one(candidate: dict[str, Any]) -> jax.Array:
            indices = candidate["indices"]
            if specs:
                own = kept_normals(candidate["weight_keys"], specs, small, indices)
            else:
                own = small.gather(params, indices)
            statistics = None if batch.statistics is None else small.gather(batch.statistics, indices)
            logits, _ = run(small.net.layers, own, candidate["inputs"], common, statistics, how)
            return fitness(logits, batch.y, axis=-2)

        def some(candidates: dict[str, Any]) -> jax.Array:
            masks = candidates["masks"] if plan is None else draw_masks(candidates["mask_keys"], plan)
            indices = {site: kept_indices(masks[site], k, program.room.padded) for site, k in small.counts}
            # All at once: in a loop over candidates XLA on a CPU takes a fifth of a microsecond for each bit of a mask.
            inputs = jax.vmap(small.gather_masks, axis_size=program.cut.chunk)(masks, indices)
            drawn = candidates | {"indices": indices, "inputs": inputs}
            return jax.vmap(one)(drawn) if program.engine == "vmap" else _mapped(one, drawn, program.cut.turn)

        chunked = jax.tree.map(lambda leaf: leaf.reshape(-1, program.cut.chunk, *leaf.shape[1:]), candidates)
        return lax.map(some, chunked).reshape(-1)

    spread, whole = PartitionSpec(AXIS), PartitionSpec()
    first = batch._replace(
        x=nodes_first(batch.x), calibration=None if batch.calibration is None else nodes_first(batch.calibration)
    )
    scored = jax.shard_map(
        of_device, mesh=program.mesh, in_specs=(spread, whole, whole), out_specs=spread, check_vma=False
    )
    return gather(program.mesh, scored(candidates, params, first))


def _mapped(one: Callable[[Any], jax.Array], xs: Any, turn: int) -> jax.Array:
    """``lax.map`` with ``turn`` elements in each turn of the loop."""
    return lax.scan(lambda nothing, x: (nothing, one(x)), None, xs, unroll=turn)[1]


class Activations(NamedTuple):
    """Activations of the scored batch, and of the calibration inputs if candidates take their own statistics there."""

    batch: jax.Array
    calibration: jax.Array | None


def run(
    layers: Sequence[Layer],
    params: Mapping[str, Any],
    masks: Any,
    before: Activations,
    statistics: Mapping[str, Any] | None,
    how: Arithmetic,
) -> Activations:
    """Run layers on the scored batch, and on the calibration inputs if there are any.

    Batch normalisation takes the statistics of the calibration inputs if there are any; otherwise the given
    ``statistics``; otherwise those of the batch.
    """
    if before.calibration is None:
        taken = 1 if statistics is None else statistics
        return Activations(run_layers(layers, params, before.batch, masks, taken, how)[0], None)
    others, taken = run_layers(layers, params, before.calibration, masks, 1, how)
    return Activations(run_layers(layers, params, before.batch, masks, taken, how)[0], others)
