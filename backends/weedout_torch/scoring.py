"""Scoring a population, a chunk of candidates at a time.

Everything before the first mask is computed once. On a CPU candidates are scored one by one: the products are
large enough, and a candidate's fitness is the same to the bit whoever is scored beside it. Elsewhere a chunk is
one batch of products; on XLA it is one graph, which every generation finds compiled.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from weedout_core import (
    FITNESS,
    Mask,
    Network,
    ParameterSpec,
    Population,
    activation_shapes,
    parameter_shapes,
)
from weedout_torch.devices import Place, Tensor
from weedout_torch.masks import draw_masks
from weedout_torch.network import forward, precise
from weedout_torch.randomness import normals

_FLOATS = 2**26  # activations and own weights that may exist at once: 256 MiB


def score_population(
    place: Place,
    net: Network,
    params: Any,
    population: Population,
    x: Tensor,
    y: Tensor,
    fitness: str,
    precision: str,
    chunk: int,
) -> Tensor:
    """The fitness of each candidate on one batch: float32 ``(m,)``."""
    own: tuple[ParameterSpec, ...] = params if population.weight_keys is not None else ()
    padded = -(-population.size // place.devices) * place.devices
    chunk = min(padded, _chunk(place, net, len(y), chunk))
    batch = 1 if place.device.type == "cpu" else chunk
    parts: list[Tensor] = []
    with torch.no_grad(), precise(precision):
        # With weights of their own, candidates have nothing in common but the batch.
        first = 0 if own else next(i for i, layer in enumerate(net.layers) if isinstance(layer, Mask))
        common = forward(net.layers[:first], {} if own else params, x.unsqueeze(0), None)
        for some in _slices(padded, chunk):
            masks = _masks(place, population, some)
            weights = normals(_keys(place, population.weight_keys, some), own) if own else params
            for few in _slices(some.stop - some.start, batch):
                logits = forward(net.layers[first:], _pick(weights, few) if own else weights, common, _pick(masks, few))
                parts.append(FITNESS[fitness](logits, y))
            place.sync()
    return torch.cat(parts)[: population.size]


def _masks(place: Place, population: Population, some: slice) -> dict[str, Tensor]:
    if population.plan is not None:
        return draw_masks(_keys(place, population.mask_keys, some), population.plan)
    given: Mapping[str, Any] = population.masks or {}
    return {site: place.spread(place.asarray(_rows(mask, some))) for site, mask in given.items()}


def _keys(place: Place, keys: Any, some: slice) -> Tensor:
    return place.spread(place.words(_rows(keys, some)))


def _rows(array: Any, some: slice) -> Any:
    """Some rows; past the end the last one again, so that devices divide the population. Its scores are cut off."""
    index = np.minimum(np.arange(some.start, some.stop), len(array) - 1)
    return array[torch.from_numpy(index).to(array.device) if isinstance(array, Tensor) else index]


def _pick(tree: Mapping[str, Tensor], few: slice) -> dict[str, Tensor]:
    return {path: value[few] for path, value in tree.items()}


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _chunk(place: Place, net: Network, examples: int, chunk: int) -> int:
    """A chunk whose activations and own weights fit ``_FLOATS``, a multiple of the devices."""
    widest = max(math.prod(shape) for shape in activation_shapes(net))
    floats = examples * widest + sum(math.prod(shape) for shape in parameter_shapes(net).values())
    return -(-min(chunk, max(1, _FLOATS // floats)) // place.devices) * place.devices
