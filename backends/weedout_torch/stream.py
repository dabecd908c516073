"""The random stream: Threefry-2x32, on words as int32 of the same bits.

On a CPU the core's own definition, in NumPy, which shares its memory with PyTorch and has arithmetic for uint32.
Elsewhere, and where it is compiled, the same in int32 that wraps around.
"""

from collections.abc import Callable

import torch

import weedout_core as core
from weedout_core import BackendError
from weedout_torch.integers import Tensor, counting, from_host, integer, shift_right, to_host

Draw = Callable[[Tensor, int], Tensor]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_LONG = 2**15  # words of a key from which on a compiled loop is worth its call


def fold_in(keys: Tensor, data: int) -> Tensor:
    """Both output words for the counter (0, data): int32 ``(*batch, 2)`` → the same."""
    if keys.device.type == "cpu":
        return from_host(core.fold_in(to_host(keys), data))
    return torch.cat(_output_words(keys, integer(data, keys.device).expand(keys[..., :1].shape)), dim=-1)


def bits(keys: Tensor, n: int) -> Tensor:
    """Words as int32 of the same bits: int32 keys ``(*batch, 2)`` → ``(*batch, n)``."""
    if keys.device.type == "cpu":
        return from_host(core.bits(to_host(keys), n))
    return bits_at(keys, counting(n, keys.device))


def compiled_bits(device: torch.device) -> Draw:
    """``bits`` with long draws compiled by ``torch.compile``: 10 million words in a fourth of the time on a CPU.

    Compiles at once: twenty seconds on a CPU, six where PyTorch has it in its cache. Raises BackendError where there is
    no compiler.
    """
    fill = torch.compile(_fill, dynamic=True)

    def draw(keys: Tensor, n: int) -> Tensor:
        if n < _LONG:
            return bits(keys, n)
        words = torch.empty((*keys.shape[:-1], n), dtype=torch.int32, device=keys.device)
        # Key by key: a loop over the words of all at once divides each counter by their number.
        for key, row in zip(keys.reshape(-1, 2), words.reshape(-1, n), strict=True):
            fill(key, row)
        return words

    try:
        draw(torch.zeros(2, dtype=torch.int32, device=device), _LONG)
    except Exception as error:  # whatever PyTorch and the compiler below it raise
        raise BackendError(
            "compile=True needs what torch.compile needs, a C++ compiler for a CPU and Triton for CUDA. Install it or "
            f"leave compile out. (PyTorch says: {str(error).strip().splitlines()[0]})"
        ) from error
    return draw


def _fill(key: Tensor, words: Tensor) -> None:
    """Write the words of one key, int32 ``(2,)``, into int32 ``(n,)``."""
    low = torch.arange(len(words), dtype=torch.int32, device=words.device)
    words.copy_(torch.bitwise_xor(*_output_words(key, low)))


def bits_at(keys: Tensor, counters: Tensor) -> Tensor:
    """Some of these words: int32 keys ``(*batch, 2)``, counters that broadcast against ``(*batch, 1)``."""
    if keys.device.type == "cpu":
        return from_host(core.bits_at(to_host(keys), to_host(counters)))
    return torch.bitwise_xor(*_output_words(keys, counters))


def _output_words(keys: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Both words for the counters (0, low): int32 ``(*batch, n)`` each."""
    return threefry2x32(keys[..., 0:1], keys[..., 1:2], torch.zeros_like(low), low)


def threefry2x32(k0: Tensor, k1: Tensor, c0: Tensor, c1: Tensor) -> tuple[Tensor, Tensor]:
    """Threefry-2x32, 20 rounds, on int32 that wrap around: the core's definition, word for word."""
    schedule = (k0, k1, k0 ^ k1 ^ integer(_PARITY, k0.device))
    x0, x1 = c0 + k0, c1 + k1
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x0 = x0 + x1
            x1 = _rotate_left(x1, rotation) ^ x0
        x0 = x0 + schedule[(block + 1) % 3]
        x1 = x1 + (schedule[(block + 2) % 3] + integer(block + 1, k0.device))
    return x0, x1


def _rotate_left(words: Tensor, places: int) -> Tensor:
    return torch.bitwise_left_shift(words, integer(places, words.device)) | shift_right(words, 32 - places)
