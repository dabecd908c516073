"""Examples and labels, checked once before any work starts."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from weedout_core._guard.by_content import by_content
from weedout_core._guard.hosted import hosted
from weedout_core._guard.kinds import Kind
from weedout_core._guard.showing import reordered
from weedout_core._networks.layers import Shape
from weedout_core._networks.network import Network
from weedout_core.errors import DataError, WeedoutWarning

_NUMBERS = Kind("an array of numbers", lambda _, value: hosted(value), DataError)


@by_content
class Examples(NamedTuple):
    """A split: x float ``(examples, *input_shape)``, y int32 ``(examples,)`` in [0, classes)."""

    x: np.ndarray
    y: np.ndarray


def kept(examples: Examples) -> Examples:
    """Examples with copied inputs, for a phase that reads them again after callbacks of the caller have run."""
    return Examples(examples.x.copy(), examples.y)


def checked_inputs(net: Network, x: Any) -> np.ndarray:
    """Inputs as a NumPy array, or DataError if their shape does not fit or float32 cannot hold a value."""
    return _checked_inputs(net.input_shape, x)


def _checked_inputs(shape: Shape, x: Any) -> np.ndarray:
    x = _NUMBERS("inputs", x)
    if x.shape[1:] != shape or len(x) == 0:
        remedy = reordered(shape, x.shape[1:]) or _reshaped(shape, x.shape)
        raise DataError(f"inputs must have shape (examples, *{shape}) and not be empty; got {x.shape}.{remedy}")
    if x.dtype.kind not in "fiu":
        raise DataError(f"inputs must be real numbers; got dtype {x.dtype}.")
    if not np.isfinite(x).all():
        raise DataError(f"inputs must be finite; example {_first(~np.isfinite(x))} has NaN or infinity.")
    narrow = _in_float32(x)
    return x if x.dtype.kind == "f" else narrow


def _reshaped(shape: Shape, found: Shape) -> str:
    """What to do with inputs that lack an axis of length 1; "" if that is not what is wrong."""
    if found == shape:
        return " That is one example: hand in x[None]."
    alike = found[:1] != (0,) and [n for n in found[1:] if n != 1] == [n for n in shape if n != 1]
    return f" Hand in x.reshape(len(x), {', '.join(map(str, shape))})." if alike and len(found) > 1 else ""


def _as_labels(y: np.ndarray, examples: int) -> str:
    """What to do with labels that are no integers, one an example; "" if that is not known."""
    if y.shape == (examples, 1):
        return " Take their second axis away: y[:, 0]."
    if y.ndim == 2 and len(y) == examples:
        return " If each row has the 1 of its class, hand in y.argmax(1)."
    whole = y.shape == (examples,) and y.dtype.kind == "f" and bool((y == np.round(y)).all())
    return " Convert them: y.astype(int)." if whole else ""


def _in_float32(x: np.ndarray) -> np.ndarray:
    """Inputs in float32, in which backends compute, or DataError if float32 cannot hold their values."""
    narrow = x.astype(np.float32, copy=False)
    if x.dtype.kind == "f" and x.itemsize > narrow.itemsize:
        beyond = ~np.isfinite(narrow)
        if beyond.any():
            raise DataError(
                f"inputs must be within float32's range, ±3.4e38; example {_first(beyond)} has a value beyond it. "
                "Scale them, for example to mean 0 and variance 1."
            )
        if x.any() and not narrow.any():
            raise DataError(
                f"inputs must not all be 0 in float32; the largest here is {np.abs(x).max():.1e}. Scale them, for "
                "example to mean 0 and variance 1."
            )
    if x.dtype.kind in "iu" and x.itemsize > 2 and (inexact := narrow.astype(x.dtype) != x).any():
        raise DataError(
            f"integer inputs must be exact in float32, as all within ±2^24 are; example {_first(inexact)} has one that "
            "is not. Scale them, for example to mean 0 and variance 1."
        )
    return narrow


def _warn_where_blurred(x: np.ndarray) -> None:
    """Warn if rounding inputs to float32 changes the differences between examples by a thousandth or more."""
    if len(x) < _FEW or x.dtype.kind != "f" or x.itemsize <= np.dtype(np.float32).itemsize:
        return
    low, high = x.min(axis=0), x.max(axis=0)
    # Float32 rounds by up to 2⁻²⁴ of a number, which is 2⁻¹⁰ of these differences.
    blurred = (low < high) & (high - low < 2.0**-14 * np.maximum(np.abs(low), np.abs(high)))
    if blurred.any():
        where = tuple(int(axis) for axis in np.argwhere(blurred)[0])
        warnings.warn(
            f"inputs differ by too little for float32: at {where} of an example they lie between {low[where]:.17g} and "
            f"{high[where]:.17g}. Subtract the mean, and scale to variance 1.",
            WeedoutWarning,
            stacklevel=2,
        )


_FEW = 8  # of fewer examples, two may be close by chance


def _first(bad: np.ndarray) -> int:
    """The first example with a value that is bad: bool ``(examples, ...)``."""
    return int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])


def checked_examples(net: Network, data: tuple[Any, Any]) -> Examples:
    """A split for a network. Arguments and errors are those of :func:`checked_split`."""
    return checked_split(net.input_shape, net.classes, data)


def checked_split(shape: Shape, classes: int, data: tuple[Any, Any]) -> Examples:
    """A split, or DataError that says what does not fit.

    Args:
        shape: of one input.
        classes: labels are in [0, classes).
        data: a pair ``(x, y)`` of arrays, as :mod:`weedout_core._guard.splits` reads it.
    Warns:
        WeedoutWarning: inputs differ by so little that float32 rounds their differences away.
    """
    x, y = _checked_inputs(shape, data[0]), _NUMBERS("labels", data[1])
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise DataError(
            f"labels must be integers of shape ({len(x)},), one an example; got {y.dtype} {y.shape}."
            f"{_as_labels(y, len(x))}"
        )
    if (least := y.min()) < 0 or y.max() >= classes:
        remedy = f" Subtract the least, {least}." if least and int(y.max()) - int(least) < classes else ""
        raise DataError(f"labels must be in [0, {classes}); got values from {least} to {y.max()}.{remedy}")
    _warn_where_blurred(x)
    return Examples(x, y.astype(np.int32))
