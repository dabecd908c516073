"""32-bit integers: words as int32 of the same bits, since PyTorch has little arithmetic for uint32."""

from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor

TOP = -(2**31)  # the highest bit, as int32

_SHORT = 4096


def to_host(words: Tensor) -> np.ndarray:
    """Words on a CPU as uint32 in NumPy, in the same memory."""
    return words.numpy().view(np.uint32)


def from_host(words: np.ndarray) -> Tensor:
    """The way back."""
    return torch.from_numpy(words.view(np.int32))


def signed(word: int) -> int:
    """The int32 with the bits of a word in [0, 2^32)."""
    return word - 2**32 if word >= 2**31 else word


def integer(word: int, device: torch.device) -> Tensor | int:
    """A constant of a program: the int32 with the bits of a word in [0, 2^32); a Python number, except on PyTorch/XLA.

    PyTorch/XLA turns each Python number other than 0 and 1 into an argument, so that another number needs no new
    compilation. But a loop of shifts by arguments takes eight times as long as a loop of shifts by constants. What is
    computed from ones, the compiler folds to a constant.
    """
    if device.type != "xla":
        return signed(word)
    one = torch.ones((), dtype=torch.int32, device=device)
    value = torch.zeros_like(one)
    for digit in f"{word:b}":
        value = value + value + one if digit == "1" else value + value
    return value


def shift_right(words: Tensor, places: int) -> Tensor:
    """Shift in zeros: int32 shifts in its sign, which is masked away.

    Not ``>>``: PyTorch/XLA makes a division of it, which rounds negative words towards zero.
    """
    shifted = torch.bitwise_right_shift(words, integer(places, words.device))
    return shifted & integer((1 << (32 - places)) - 1, words.device)


def counting(n: int, device: torch.device) -> Tensor:
    """0 … n−1: int32 ``(n,)``. Of short ones, since PyTorch/XLA writes an arange on the host, number by number."""
    short: Any = {"dtype": torch.int32, "device": device}
    if n <= _SHORT:
        return torch.arange(n, **short)
    rows = torch.arange(-(-n // _SHORT), **short).unsqueeze(1)
    return (rows * _SHORT + torch.arange(_SHORT, **short)).reshape(-1)[:n]
