"""How a check compares arrays: to the bit, or within a bound."""

from typing import Any

import numpy as np


def equal(name: str, got: Any, wanted: Any) -> None:
    """Assert that two arrays are equal in dtype, shape and every element."""
    assert got.dtype == wanted.dtype, f"{name}: dtype {got.dtype}, the reference has {wanted.dtype}"
    assert got.shape == wanted.shape, f"{name}: shape {got.shape}, the reference has {wanted.shape}"
    differ = np.argwhere(np.atleast_1d(got != wanted))
    assert not len(differ), f"{name}: {len(differ)} of {got.size} elements differ, the first at {differ[0].tolist()}"


class Differs(AssertionError):
    """Arrays differ by more than a bound.

    Attributes:
        what: which arrays.
    """

    def __init__(self, what: str, how: str) -> None:
        super().__init__(f"{what}: {how}")
        self.what = what


def within(name: str, got: np.ndarray, wanted: np.ndarray, most: np.ndarray | float) -> None:
    """Assert that arrays agree within a bound: one for all elements, or one for each. Raises Differs.

    Floats have 32 bits or 64, and integers are integers.
    """
    kind, size = got.dtype.kind, got.dtype.itemsize
    assert kind == wanted.dtype.kind, f"{name}: dtype {got.dtype}, the reference has {wanted.dtype}"
    assert kind != "f" or size >= 4, f"{name} is {got.dtype}, not float32"
    assert got.shape == wanted.shape, f"{name}: shape {got.shape}, the reference has {wanted.shape}"
    off = np.abs(got.astype(np.float64) - wanted)
    if not (off <= most).all():  # so that NaN is not within
        with np.errstate(divide="ignore", invalid="ignore"):
            worst = np.max(off / most)
        raise Differs(name, f"off by {worst:.3g} times the bound; got {got}, the reference has {wanted}")
