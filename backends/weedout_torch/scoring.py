"""Scoring a population, a chunk of candidates at a time.

The layers before the first mask are computed once for all candidates. From there on, each candidate is computed as its
compacted network, which has room for the nodes that any of them keeps. ``engines`` says in which order candidates are
scored.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from weedout_core import Network
from weedout_core.backend import (
    FITNESS,
    CompactedNetwork,
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
from weedout_torch.compaction import gather_each, gather_masks, kept_axes, some_of
from weedout_torch.devices import Place, Tensor, rows
from weedout_torch.engines import fastest_engine
from weedout_torch.masks import draw_masks, kept_indices, most_kept
from weedout_torch.network import FLOATS, alive, forward, has_convolutions
from weedout_torch.precision import precise
from weedout_torch.randomness import kept_normals

_TURN = 4  # dense candidates in one turn of the loop: an operation wakes the other cores once for all of them


def score_population(
    place: Place,
    engine: str | None,
    net: Network,
    params: Any,
    population: Population,
    batch: ScoredBatch,
    scoring: Scoring,
) -> Tensor:
    """The fitness of each candidate on one batch: float32 ``(m,)``."""
    own: tuple[ParameterSpec, ...] = params if population.weight_keys is not None else ()
    params, batch = params if own else place.placed(params), ScoredBatch(*map(place.placed, batch))
    # Candidates with their own weights share only the batch.
    head, rest = ((), net) if own else split_at_first_mask(net)
    room = _room(place, rest, population, scoring.chunk)
    small = compacted(rest, room)
    examples = max(len(batch.x), 0 if batch.calibration is None else len(batch.calibration))
    most = _together(place, small.net, bool(own or own_arrays(small)), examples, scoring.chunk)
    turn = None
    if (engine or fastest_engine(place.device.type, products(small, bool(own)))) == "loop":
        turn = 1 if has_convolutions(rest) else _TURN
    padded, chunk, together = sizes(place, population.size, scoring.chunk, most, turn)
    # Allocated before the large temporary tensors: among them, these few floats would fragment the memory.
    parts = [torch.empty(together, dtype=torch.float32, device=place.device) for _ in range(padded // together)]
    with torch.no_grad(), precise(scoring.precision):
        shared = {} if own else params
        start = _start(head, shared, batch)
        place.sync()  # otherwise it would be in the graph of the first chunk only, and the second would compile again
        for some in _slices(padded, chunk):
            masks = _masks(place, population, some)
            indices = {site: kept_indices(masks[site], k, room.padded) for site, k in small.counts}
            axes = kept_axes(small, {**shared, **(start.statistics or {})}, indices)
            kept = _Kept(indices, axes, gather_masks(small, masks, indices))
            for few in _slices(some.stop - some.start, together):
                candidates = slice(some.start + few.start, some.start + few.stop)
                of_few = _Kept(*(some_of(tree, few) for tree in kept))
                logits = _logits(place, small, start, params, population.weight_keys, candidates, of_few)
                parts[candidates.start // together].copy_(FITNESS[scoring.fitness](logits, batch.y))
            place.sync()
    return torch.cat(parts)[: population.size]


def _room(place: Place, net: Network, population: Population, chunk: int) -> Room:
    """The room of the candidates' smaller network. Where they keep different numbers of nodes, they are counted."""
    if (known := known_room(net, population.plan)) is not None:
        return known
    counts: dict[str, list[Tensor]] = {site: [] for site in counted_sites(net)}
    for some in _slices(place.padded(population.size), place.padded(chunk)):
        masks = _masks(place, population, some)
        for site, found in counts.items():
            found.append(most_kept(masks[site]))
        place.sync()
    return counted_room(net, population.plan, {site: max(map(int, each)) for site, each in counts.items()})


class Sizes(NamedTuple):
    """How a population is divided. Each number is a multiple of the number of devices.

    Attributes:
        padded: the number of candidates scored, rounded up so that turns divide it.
        chunk: the number of candidates whose masks exist at once. On an accelerator, drawing the masks of many takes no
            longer than drawing those of one.
        turn: the number of candidates that are scored together.
    """

    padded: int
    chunk: int
    turn: int


def sizes(place: Place, size: int, chunk: int, most: int, turn: int | None) -> Sizes:
    """Divide ``size`` candidates into turns of ``turn``, at most ``most``; None takes as few turns as possible.

    All turns have the same length, so that there is one program to compile, and a fitness does not depend on the other
    candidates. On PyTorch/XLA a chunk is a single turn, because each turn of a chunk would be another program.
    """
    most = min(most, place.padded(size))
    if turn is None:
        turn = place.padded(-(-size // -(-size // most)))  # as few turns as possible, and as small as possible
    turn = min(place.padded(turn), most)
    padded = -(-size // turn) * turn
    return Sizes(padded, turn if place.recorded else max(turn, min(chunk, padded) // turn * turn), turn)


class _Start(NamedTuple):
    """The activations from which on candidates differ.

    Attributes:
        h: the activations of the batch, ``(1, examples, *shape)``.
        calibration: the activations of the calibration inputs, on which candidates take their own statistics; None if
            there are no such inputs.
        statistics: the given statistics for batch normalisation; None if none are given.
    """

    h: Tensor
    calibration: Tensor | None
    statistics: Mapping[str, Tensor] | None


def _start(head: Sequence[Layer], params: Mapping[str, Tensor], batch: ScoredBatch) -> _Start:
    """Run the layers that candidates share."""
    calibration, taken = None, 1 if batch.statistics is None else batch.statistics
    if batch.calibration is not None:
        others, taken = forward(head, params, batch.calibration.unsqueeze(0), None, 1)
        calibration = _nodes_first(others)
    h, _ = forward(head, params, batch.x.unsqueeze(0), None, taken)
    return _Start(_nodes_first(h), calibration, batch.statistics)


class _Kept(NamedTuple):
    """What candidates keep, as it follows from their masks.

    Attributes:
        indices: the indices of the kept nodes, {site: int32 ``(R, kept)``}.
        axes: the kept indices of the shared arrays, from ``kept_axes``.
        inputs: the mask arguments of the smaller networks, from ``gather_masks``.
    """

    indices: Mapping[str, Tensor]
    axes: Mapping[str, Mapping[int, Tensor]]
    inputs: Mapping[str, Tensor]


def _nodes_first(h: Tensor) -> Tensor:
    """Flat activations laid out in memory with a row for each node, so that candidates can select rows."""
    return h.mT.contiguous().mT if h.ndim == 3 else h


def _logits(
    place: Place, small: CompactedNetwork, start: _Start, params: Any, keys: Any, candidates: slice, kept: _Kept
) -> Tensor:
    """The logits ``(R, examples, classes)`` of candidates. ``keys``: those of their own weights, uint32 ``(m, 2)``."""
    if keys is not None:
        weights = kept_normals(place.keys(keys, candidates), params, small, kept.indices)
    else:
        weights = gather_each(params, kept.axes)
    layers, taken = small.net.layers, 1
    if start.calibration is not None:
        _, taken = forward(layers, weights, start.calibration, kept.inputs, 1)
    elif start.statistics is not None:
        taken = gather_each(start.statistics, kept.axes)
    logits, _ = forward(layers, weights, start.h, kept.inputs, taken)
    # If nothing is removed and weights are shared, all candidates are the same network, computed once.
    return logits.expand(candidates.stop - candidates.start, *logits.shape[1:])


def _masks(place: Place, population: Population, some: slice) -> dict[str, Tensor]:
    if population.plan is not None:
        return draw_masks(place, place.keys(population.mask_keys, some), population.plan)
    given: Mapping[str, Any] = population.masks or {}
    return {site: place.spread(place.placed(rows(mask, some))) for site, mask in given.items()}


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _together(place: Place, net: Network, own: bool, examples: int, chunk: int) -> int:
    """The number of candidates whose activations and own weights fit into ``FLOATS``, a multiple of the devices.

    A convolution takes the weights of one candidate at a time, so on PyTorch/XLA a graph of several candidates would be
    several times as long; there it is as few candidates as possible.
    """
    if own and place.recorded and has_convolutions(net):
        return place.padded(1)
    weights = sum(math.prod(shape) for shape in parameter_shapes(net).values()) if own else 0
    return place.padded(min(chunk, max(1, FLOATS // (examples * alive(net) + weights))))
