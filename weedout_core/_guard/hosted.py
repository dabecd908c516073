"""Arrays of any framework as NumPy's: read where they are handed in, copied and frozen where they are kept."""

from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from weedout_core._guard.shown import shown
from weedout_core.errors import ConfigError


def hosted(value: Any) -> np.ndarray:
    """An array of any framework, wherever it lies, in NumPy; not copied where that can be.

    Types of float that NumPy does not have, such as bfloat16, become float32, which holds all of their numbers.

    Raises:
        TypeError, ValueError, RuntimeError: it is no array, has no one shape, or has a mask of its own.
    """
    if is_torch_array(value):
        value = _torch_hosted(value)
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a masked array, whose mask would be lost")
    array = np.asarray(value)
    if array.dtype == object:
        raise TypeError("not an array of numbers")
    return array.astype(np.float32) if array.dtype.kind == "V" and "float" in array.dtype.name else array


def host_view(value: Any) -> np.ndarray:
    """An array of any framework in NumPy, through which nobody can write to it. What backends give as ``to_numpy``.

    Raises:
        ConfigError: it is no array of numbers.
    """
    array = _read(value).view()
    array.flags.writeable = False
    return array


def host_array(value: Any) -> np.ndarray:
    """An array of any framework in NumPy, of a type that backends compute with.

    Returns:
        floats of their own type, words of the random stream (uint32) and booleans as they are, integers as int32.
    Raises:
        ConfigError: it is no array of numbers, or holds an integer beyond int32.
    """
    array = _read(value)
    if array.dtype.kind in "fb" or array.dtype == np.uint32:
        return array
    if array.dtype.kind not in "iu":
        raise ConfigError(f"arrays must be of floats, integers or booleans; got {array.dtype}.")
    if array.dtype.itemsize >= 4 and array.size and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise ConfigError(f"integers must be in [-2^31, 2^31); got {array.min()} … {array.max()}.")
    return array.astype(np.int32, copy=False)


def _read(value: Any) -> np.ndarray:
    try:
        return hosted(value)
    except Exception as error:
        raise ConfigError(f"an array of numbers is needed; got {shown(value)}.") from error


def _torch_hosted(tensor: Any) -> np.ndarray:
    try:
        return tensor.numpy(force=True)
    except TypeError:
        return tensor.float().numpy(force=True)


def frozen(value: Any) -> np.ndarray:
    """:func:`hosted`, for keeping: a copy that nobody can write to, unless nobody can write to it as it is."""
    array = hosted(value)
    if _is_frozen(array):
        return array
    kept = array.copy()
    kept.flags.writeable = False
    return kept


def _is_frozen(array: Any) -> bool:
    """Whether neither an array nor any that it is a view of can be written to."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return True
