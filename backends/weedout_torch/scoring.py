"""Scoring a population, a chunk of candidates at a time.

Everything before the first mask is computed once. On a CPU candidates are scored one by one: the products are
large enough, and a candidate's fitness is the same to the bit whoever is scored beside it. Elsewhere a chunk is
one batch of products; on XLA it is one graph, which every generation finds compiled.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from weedout_core import FITNESS, Layer, Mask, Network, ParameterSpec, Population, every_layer, parameter_shapes
from weedout_torch.batch_norm import Norm
from weedout_torch.devices import Place, Tensor, rows
from weedout_torch.masks import draw_masks
from weedout_torch.network import FLOATS, alive, forward, has_convolutions
from weedout_torch.precision import precise
from weedout_torch.randomness import normals


def score_population(
    place: Place,
    net: Network,
    params: Any,
    norm: Any,
    population: Population,
    x: Tensor,
    y: Tensor,
    fitness: str,
    precision: str,
    chunk: int,
) -> Tensor:
    """The fitness of each candidate on one batch: float32 ``(m,)``."""
    own: tuple[ParameterSpec, ...] = params if population.weight_keys is not None else ()
    padded = place.padded(population.size)
    examples = max(len(x), len(norm) if isinstance(norm, Tensor) else 0)
    chunk = min(padded, _chunk(place, net, bool(own), examples, chunk))
    batch = 1 if place.device.type == "cpu" else chunk
    parts: list[Tensor] = []
    with torch.no_grad(), precise(precision):
        # With weights of their own, candidates have nothing in common but the batch.
        start = _start(net, 0 if own else _first_masked(net.layers), {} if own else params, norm, x)
        place.sync()  # else it would be part of the first chunk's graph, and the second would compile anew
        for some in _slices(padded, chunk):
            masks = _masks(place, population, some)
            weights = normals(place.keys(population.weight_keys, some), own) if own else params
            for few in _slices(some.stop - some.start, batch):
                logits = _logits(start, _pick(weights, few) if own else weights, _pick(masks, few))
                parts.append(FITNESS[fitness](logits, y))
            place.sync()
    return torch.cat(parts)[: population.size]


class _Start(NamedTuple):
    """Where candidates begin to differ.

    Attributes:
        layers: from there on.
        h: the batch's activations there, ``(1, examples, *shape)``.
        calibration: those of the inputs on which candidates take their own statistics; None where they do not.
        norm: what batch normalisation takes, unless they do.
    """

    layers: Sequence[Layer]
    h: Tensor
    calibration: Tensor | None
    norm: Norm


def _start(net: Network, first: int, params: Mapping[str, Tensor], norm: Any, x: Tensor) -> _Start:
    """Run the layers before the first one that a mask is in."""
    before, calibration = net.layers[:first], None
    taken: Norm = 1 if norm is None else norm
    if isinstance(norm, Tensor):
        calibration, taken = forward(before, params, norm.unsqueeze(0), None, 1)
    h, _ = forward(before, params, x.unsqueeze(0), None, taken)
    return _Start(net.layers[first:], h, calibration, taken)


def _first_masked(layers: Sequence[Layer]) -> int:
    masked = (i for i, layer in enumerate(layers) if any(isinstance(one, Mask) for one in every_layer((layer,))))
    return next(masked, len(layers))


def _logits(start: _Start, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
    """Candidates' logits ``(R, examples, classes)``."""
    norm = start.norm
    if start.calibration is not None:
        _, norm = forward(start.layers, weights, start.calibration, masks, 1)
    return forward(start.layers, weights, start.h, masks, norm)[0]


def _masks(place: Place, population: Population, some: slice) -> dict[str, Tensor]:
    if population.plan is not None:
        return draw_masks(place.keys(population.mask_keys, some), population.plan)
    given: Mapping[str, Any] = population.masks or {}
    return {site: place.spread(place.asarray(rows(mask, some))) for site, mask in given.items()}


def _pick(tree: Mapping[str, Tensor], few: slice) -> dict[str, Tensor]:
    return {path: value[few] for path, value in tree.items()}


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _chunk(place: Place, net: Network, own: bool, examples: int, chunk: int) -> int:
    """A chunk whose activations and own weights fit ``FLOATS``, a multiple of the devices.

    A convolution takes the weights of one candidate at a time: where operations are recorded, a graph of several would
    be as many times as long.
    """
    if own and place.recorded and has_convolutions(net):
        return place.padded(1)
    weights = sum(math.prod(shape) for shape in parameter_shapes(net).values()) if own else 0
    return place.padded(min(chunk, max(1, FLOATS // (examples * alive(net) + weights))))
