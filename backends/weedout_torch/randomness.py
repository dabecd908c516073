"""Random words and initial weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
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


def normals(
    keys: Tensor, specs: Sequence[ParameterSpec], counters: Mapping[str, Tensor] = MappingProxyType({})
) -> dict[str, Tensor]:
    """Weights of their own streams from int32 keys ``(*batch, 2)``: float32 {path: ``(*batch, *shape)``}.

    Args:
        keys: a key for each network.
        specs: how each parameter is drawn; it is ``value`` where its std is 0.
        counters: integers {path: ``(R, *shape)``}, for keys ``(R, 2)``: which words of its stream a parameter is made
            of, if not the first ones.
    """
    params: dict[str, Tensor] = {}
    for spec in specs:
        shape = (*keys.shape[:-1], *spec.shape)
        if not spec.std:
            params[spec.path] = torch.full(shape, spec.value, dtype=torch.float32, device=keys.device)
            continue
        own, at = fold_in(keys, spec.code), counters.get(spec.path)
        words = bits(own, math.prod(spec.shape)) if at is None else bits_at(own, at.flatten(1))
        params[spec.path] = spec.std * normal_from_bits(words).reshape(shape)
    return params


def kept_normals(
    keys: Tensor, specs: tuple[ParameterSpec, ...], small: CompactedNetwork, indices: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The part of ``normals`` that compacted networks keep: keys ``(R, 2)``, indices {site: ``(R, kept)``}."""
    shapes = parameter_shapes(small.net)
    parts = [spec for spec in specs if spec.std and spec.shape != shapes[spec.path]]
    counters = each(lambda one: {spec.path: small.counters(spec.path, spec.shape, one) for spec in parts}, indices)
    return normals(keys, [replace(spec, shape=shapes[spec.path]) for spec in specs], counters)


def normal_from_bits(words: Tensor) -> Tensor:
    """√2·erfinv(u), u in (−1, 1) from the top 23 bits of each word: int32 → float32."""
    unit = shift_right(words, 9).to(torch.float32) * 2.0**-23
    return math.sqrt(2) * torch.erfinv(torch.clamp(2 * unit + _LOW, min=_LOW))
