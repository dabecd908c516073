"""The random stream: Threefry-2x32, on words as int32 of the same bits.

On a CPU it is computed in compiled loops, see ``host``; elsewhere in operations on int32, whose overflow wraps around.
"""

from collections.abc import Callable

import torch

from weedout_torch import host
from weedout_torch.integers import Tensor, counting, from_host, integer, signed, to_host


def fold_in(keys: Tensor, data: int) -> Tensor:
    """Both output words for the counter (0, data): int32 ``(*batch, 2)`` → the same."""
    if keys.device.type == "cpu":
        return from_host(host.fold_in(to_host(keys), data))
    return torch.cat(output_words(keys, torch.full_like(keys[..., :1], signed(data))), dim=-1)


def bits(keys: Tensor, n: int) -> Tensor:
    """Words as int32 of the same bits: int32 keys ``(*batch, 2)`` → ``(*batch, n)``."""
    if keys.device.type == "cpu":
        return from_host(host.bits(to_host(keys), n))
    return bits_at(keys, counting(n, keys.device))


def bits_at(keys: Tensor, counters: Tensor) -> Tensor:
    """The words of ``bits`` at some counters: int32 keys ``(*batch, 2)``, counters broadcast with ``(*batch, 1)``."""
    if keys.device.type == "cpu":
        return from_host(host.bits_at(to_host(keys), to_host(counters)))
    return torch.bitwise_xor(*output_words(keys, counters))


def output_words(keys: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Both output words for the counters (0, low), in operations for any device: int32 ``(*batch, n)`` each."""
    k0, k1 = keys[..., 0:1], keys[..., 1:2]
    schedule = (k0, k1, k0 ^ k1 ^ integer(host.PARITY, k0.device))
    rotate = {rotation: _rotate_left(rotation, low.device) for rotation in host.EVEN + host.ODD}
    x0, x1 = torch.zeros_like(low) + k0, low + k1
    for block in range(5):
        for rotation in host.ROTATIONS[block % 2]:
            x0 = x0 + x1
            x1 = rotate[rotation](x1) ^ x0
        x0 = x0 + schedule[(block + 1) % 3]
        x1 = x1 + (schedule[(block + 2) % 3] + integer(block + 1, k0.device))
    return x0, x1


def _rotate_left(places: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function that rotates words left by ``places``; its constants are made once for all rounds, see ``integer``."""
    left, right, mask = (integer(number, device) for number in (places, 32 - places, (1 << places) - 1))
    return lambda words: torch.bitwise_left_shift(words, left) | (torch.bitwise_right_shift(words, right) & mask)
