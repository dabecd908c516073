"""Random words and initial weights."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from weedout_core.backend import CompactedNetwork
from weedout_core.errors import ConfigError
from weedout_core.nn import ParameterSpec, parameter_shapes
from weedout_torch.compaction import each
from weedout_torch.devices import Place, Tensor
from weedout_torch.integers import shift_right
from weedout_torch.stream import bits, bits_at, fold_in

# The smallest float above −1: u = −1 would give a normal of −∞.
_LOW = float(np.nextafter(np.float32(-1), np.float32(0)))


def random_bits(place: Place, key: Any, n: int) -> Tensor:
    """The first n words of a key's stream, 0 ≤ n ≤ 2^32: uint32 ``(n,)``. Raises ConfigError for another n."""
    if not 0 <= n <= 2**32:
        raise ConfigError(f"the number of words must be in [0, 2^32]; got {n}.")
    words = bits(place.words(key), n).to(torch.uint32)
    place.sync()
    return words


def draw_parameters(place: Place, key: Any, specs: tuple[ParameterSpec, ...]) -> dict[str, Tensor]:
    """Initial weights: float32 {path: ``shape``}."""
    params = normals(place.words(key), specs)
    place.sync()
    return params


def normals(keys: Tensor, specs: tuple[ParameterSpec, ...]) -> dict[str, Tensor]:
    """Weights from int32 keys ``(*batch, 2)``: float32 {path: ``(*batch, *shape)``}, ``value`` if the std is 0."""
    params: dict[str, Tensor] = {}
    for spec in specs:
        shape = (*keys.shape[:-1], *spec.shape)
        params[spec.path] = torch.full(shape, spec.value, dtype=torch.float32, device=keys.device)
        if spec.std:
            drawn = normal_from_bits(bits(fold_in(keys, spec.code), math.prod(spec.shape)))
            params[spec.path] = spec.std * drawn.reshape(shape)
    return params


def kept_normals(
    keys: Tensor, specs: tuple[ParameterSpec, ...], small: CompactedNetwork, indices: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The part of ``normals`` that compacted networks keep: keys ``(R, 2)``, indices {site: ``(R, kept)``}."""
    kept: dict[str, Tensor] = {}
    for path, shape in parameter_shapes(small.net).items():
        spec = next(spec for spec in specs if spec.path == path)
        if not spec.std or shape == spec.shape:
            kept |= normals(keys, (replace(spec, shape=shape),))
        else:
            found = each(lambda one, spec=spec: {"at": small.counters(spec.path, spec.shape, one)}, indices)
            words = bits_at(fold_in(keys, spec.code), found["at"].flatten(1))
            kept[path] = spec.std * normal_from_bits(words).reshape(len(keys), *shape)
    return kept


def normal_from_bits(words: Tensor) -> Tensor:
    """√2·erfinv(u), u in (−1, 1) from the top 23 bits of each word: int32 → float32."""
    unit = shift_right(words, 9).to(torch.float32) * 2.0**-23
    return math.sqrt(2) * torch.erfinv(torch.clamp(2 * unit + _LOW, min=_LOW))
