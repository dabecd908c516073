"""Random words and initial weights: Threefry-2x32 in wrapping int32 arithmetic."""

import math
from typing import Any

import numpy as np
import torch

from weedout_core import ParameterSpec
from weedout_torch.devices import Place, Tensor

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_BLOCK = 2**15  # words worked on at once on a CPU: what fits a core's own cache

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
    """Weights from keys, int32 ``(*batch, 2)``: float32 {path: ``(*batch, *shape)``}, zeros where std is 0."""
    params: dict[str, Tensor] = {}
    for spec in specs:
        shape = (*keys.shape[:-1], *spec.shape)
        params[spec.path] = torch.zeros(shape, device=keys.device)
        if spec.std:
            drawn = standard_normal(fold_in(keys, spec.code), math.prod(spec.shape))
            params[spec.path] = spec.std * drawn.reshape(shape)
    return params


def standard_normal(keys: Tensor, n: int) -> Tensor:
    """√2·erfinv(u), u in (−1, 1) from the top 23 bits of each word: float32 ``(*batch, n)``."""
    unit = (_shift_right(bits(keys, n), 9)).to(torch.float32) * 2.0**-23
    return math.sqrt(2) * torch.erfinv(torch.clamp(2 * unit + _LOW, min=_LOW))


def fold_in(keys: Tensor, data: int) -> Tensor:
    """Both output words for the counter (0, data): int32 ``(*batch, 2)`` → the same."""
    zero = torch.zeros_like(keys[..., :1])
    return torch.cat(threefry2x32(keys[..., 0:1], keys[..., 1:2], zero, zero + signed(data)), dim=-1)


def bits(keys: Tensor, n: int) -> Tensor:
    """Words as int32 of the same bits: int32 keys ``(*batch, 2)`` → ``(*batch, n)``."""
    low = torch.arange(n, dtype=torch.int32, device=keys.device)
    if keys.device.type != "cpu":
        return _words(keys, low)
    # On a CPU each operation passes over memory: blocks that stay in the cache are several times faster.
    flat = keys.reshape(-1, 2)
    rows = max(1, _BLOCK // max(n, 1))
    blocks = [
        torch.cat([_words(some, part) for part in low.split(_BLOCK)], dim=-1) if n else some[:, :0]
        for some in flat.split(rows)
    ]
    return torch.cat(blocks).reshape(*keys.shape[:-1], n)


def _words(keys: Tensor, low: Tensor) -> Tensor:
    word0, word1 = threefry2x32(keys[..., 0:1], keys[..., 1:2], torch.zeros_like(low), low)
    return word0 ^ word1


def threefry2x32(k0: Tensor, k1: Tensor, c0: Tensor, c1: Tensor) -> tuple[Tensor, Tensor]:
    """Threefry-2x32, 20 rounds, on int32 that wrap around: the core's definition, word for word.

    The two words are worked on in place, which takes half the time on a CPU; nothing handed in is changed.
    """
    schedule = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = c0 + k0, c1 + k1
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x0 += x1
            carried = _shift_right(x1, 32 - rotation)
            x1 <<= rotation
            x1 |= carried
            x1 ^= x0
        x0 += schedule[(block + 1) % 3]
        x1 += schedule[(block + 2) % 3] + (block + 1)
    return x0, x1


def signed(word: int) -> int:
    """The int32 with the bits of a word in [0, 2^32)."""
    return word - 2**32 if word >= 2**31 else word


def _shift_right(words: Tensor, places: int) -> Tensor:
    """Shift in zeros: int32 shifts in its sign, which is masked away.

    Not ``>>``: PyTorch/XLA makes a division of it, which rounds negative words towards zero.
    """
    by = torch.full((), places, dtype=torch.int32, device=words.device)
    return torch.bitwise_right_shift(words, by).bitwise_and_((1 << (32 - places)) - 1)
