"""Random words and initial weights: Threefry-2x32 in wrapping int32 arithmetic."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from weedout_core import Compaction, ParameterSpec, parameter_shapes
from weedout_torch.compaction import each
from weedout_torch.devices import Place, Tensor

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
BLOCK = 2**17  # words worked on at once on a CPU: three arrays of them fit the caches of the cores themselves

# The float nearest to −1 from above: a plain [−1, 1) would give −∞ now and then.
_LOW = float(np.nextafter(np.float32(-1), np.float32(0)))


def random_bits(place: Place, key: Any, n: int) -> Tensor:
    """n words of the stream: uint32 ``(n,)``."""
    words = bits(place.words(key), n).view(torch.uint32)
    place.sync()
    return words


def draw_parameters(place: Place, key: Any, specs: tuple[ParameterSpec, ...]) -> dict[str, Tensor]:
    """Initial weights: float32 {path: ``shape``}."""
    params = normals(place.words(key), specs)
    place.sync()
    return params


def normals(keys: Tensor, specs: tuple[ParameterSpec, ...]) -> dict[str, Tensor]:
    """Weights from keys, int32 ``(*batch, 2)``: float32 {path: ``(*batch, *shape)``}, ``value`` where std is 0."""
    params: dict[str, Tensor] = {}
    for spec in specs:
        shape = (*keys.shape[:-1], *spec.shape)
        params[spec.path] = torch.full(shape, spec.value, device=keys.device)
        if spec.std:
            drawn = standard_normal(fold_in(keys, spec.code), math.prod(spec.shape))
            params[spec.path] = spec.std * drawn.reshape(shape)
    return params


def kept_normals(
    keys: Tensor, specs: tuple[ParameterSpec, ...], small: Compaction, indices: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The part of ``normals`` that compacted networks keep: keys ``(R, 2)``, indices {site: ``(R, kept)``}."""
    kept: dict[str, Tensor] = {}
    for path, shape in parameter_shapes(small.net).items():
        spec = next(spec for spec in specs if spec.path == path)
        if not spec.std or shape == spec.shape:
            kept |= normals(keys, (replace(spec, shape=shape),))
        else:
            found = each(lambda one, spec=spec: {"at": small.counters(spec.path, spec.shape, one)}, indices)
            words = torch.bitwise_xor(*_output_words(fold_in(keys, spec.code), found["at"].flatten(1)))
            kept[path] = spec.std * normal_from_bits(words).reshape(len(keys), *shape)
    return kept


def standard_normal(keys: Tensor, n: int) -> Tensor:
    """Standard normals of streams: float32 ``(*batch, n)``."""
    return normal_from_bits(bits(keys, n))


def normal_from_bits(words: Tensor) -> Tensor:
    """√2·erfinv(u), u in (−1, 1) from the top 23 bits of each word: int32 → float32."""
    unit = _shift_right(words, 9).to(torch.float32) * 2.0**-23
    return math.sqrt(2) * torch.erfinv(torch.clamp(2 * unit + _LOW, min=_LOW))


def fold_in(keys: Tensor, data: int) -> Tensor:
    """Both output words for the counter (0, data): int32 ``(*batch, 2)`` → the same."""
    return torch.cat(_output_words(keys, torch.full_like(keys[..., :1], signed(data))), dim=-1)


def bits(keys: Tensor, n: int) -> Tensor:
    """Words as int32 of the same bits: int32 keys ``(*batch, 2)`` → ``(*batch, n)``."""
    if keys.device.type != "cpu":
        low = torch.arange(n, dtype=torch.int32, device=keys.device)
        return torch.bitwise_xor(*_output_words(keys, low))
    # On a CPU each operation passes over memory: blocks that stay in the cache are several times faster.
    flat = keys.reshape(-1, 2)
    words = torch.empty((len(flat), n), dtype=torch.int32)
    rows = max(1, BLOCK // max(n, 1))
    for some, lines in zip(flat.split(rows), words.split(rows), strict=True):
        for start in range(0, n, BLOCK):
            low = torch.arange(start, min(start + BLOCK, n), dtype=torch.int32)
            torch.bitwise_xor(*_output_words(some, low), out=lines[:, start : start + BLOCK])
    return words.reshape(*keys.shape[:-1], n)


def _output_words(keys: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Both words for the counters (0, low): int32 ``(*batch, n)`` each."""
    return threefry2x32(keys[..., 0:1], keys[..., 1:2], torch.zeros_like(low), low)


def threefry2x32(k0: Tensor, k1: Tensor, c0: Tensor, c1: Tensor) -> tuple[Tensor, Tensor]:
    """Threefry-2x32, 20 rounds, on int32 that wrap around: the core's definition, word for word.

    The two words are worked on in place, which takes half the time on a CPU; nothing handed in is changed.
    """
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = c0 + k0, c1 + k1
    spare = torch.empty_like(x1)
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x0 += x1
            _rotate_left(x1, rotation, spare)
            x1 ^= x0
        x0 += schedule[(block + 1) % 3]
        x1 += schedule[(block + 2) % 3] + (block + 1)
    return x0, x1


def _rotate_left(words: Tensor, places: int, spare: Tensor) -> None:
    """Rotate in place; spare holds what is carried over. 2^places times the words shifts and joins in one pass."""
    torch.add(_shift_right(words, 32 - places, out=spare), words, alpha=1 << places, out=words)


def signed(word: int) -> int:
    """The int32 with the bits of a word in [0, 2^32)."""
    return word - 2**32 if word >= 2**31 else word


def _shift_right(words: Tensor, places: int, out: Tensor | None = None) -> Tensor:
    """Shift in zeros: int32 shifts in its sign, which is masked away.

    Not ``>>``: PyTorch/XLA makes a division of it, which rounds negative words towards zero.
    """
    return torch.bitwise_right_shift(words, places, out=out).bitwise_and_((1 << (32 - places)) - 1)
