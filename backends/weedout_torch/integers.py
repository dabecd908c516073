"""32-bit words as int32 of the same bits, because PyTorch lacks most arithmetic on uint32."""

from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor

TOP = -(2**31)  # the highest bit, as int32

_SHORT = 4096


def to_host(words: Tensor) -> np.ndarray:
    """Words on a CPU as a NumPy array of uint32 that shares their memory."""
    return words.numpy().view(np.uint32)


def from_host(words: np.ndarray) -> Tensor:
    """Words from a NumPy array of uint32, as an int32 tensor that shares its memory."""
    return torch.from_numpy(words.view(np.int32))


def signed(word: int) -> int:
    """The int32 with the bits of a word in [0, 2^32)."""
    return word - 2**32 if word >= 2**31 else word


def integer(word: int, device: torch.device) -> Tensor | int:
    """The int32 with the bits of a word in [0, 2^32), as a constant: a Python number, except on PyTorch/XLA.

    PyTorch/XLA turns each Python number other than 0 and 1 into an argument of the program, so that another number
    needs no new compilation. But a loop of shifts by arguments takes eight times as long as a loop of shifts by
    constants. So the number is computed from ones here, which the compiler folds into a constant.
    """
    if device.type != "xla":
        return signed(word)
    one = torch.ones((), dtype=torch.int32, device=device)
    value = torch.zeros_like(one)
    for digit in f"{word:b}":
        value = value + value + one if digit == "1" else value + value
    return value


def shift_right(words: Tensor, places: int) -> Tensor:
    """Shift right and fill with zeros. An int32 shift fills with the sign bit, so these bits are masked.

    Not ``>>``, which PyTorch/XLA turns into a division that rounds negative words towards zero.
    """
    shifted = torch.bitwise_right_shift(words, integer(places, words.device))
    return shifted & integer((1 << (32 - places)) - 1, words.device)


def counting(n: int, device: torch.device) -> Tensor:
    """0 … n−1 as int32 ``(n,)``, made of short ranges: PyTorch/XLA writes an arange on the host, number by number."""
    short: Any = {"dtype": torch.int32, "device": device}
    if n <= _SHORT:
        return torch.arange(n, **short)
    rows = torch.arange(-(-n // _SHORT), **short).unsqueeze(1)
    return (rows * _SHORT + torch.arange(_SHORT, **short)).reshape(-1)[:n]
