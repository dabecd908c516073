"""Arrays of any framework as NumPy arrays: read where they are handed in, copied and frozen where they are kept."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from array_api_compat import is_torch_array

from weedout_core._guard.showing import shown, torn
from weedout_core.errors import ConfigError


def hosted(value: Any) -> np.ndarray:
    """An array of any framework, on any device, as a NumPy array; without a copy where that is possible.

    Types of float that NumPy does not have, such as bfloat16, become float32, which holds all of their numbers.

    Raises:
        TypeError, ValueError, RuntimeError: it is not an array, is ragged, or is a masked array.
    """
    for one in _together(value):
        if why := torn(one):
            raise TypeError(why)
    array = np.asarray(_torch_hosted(value) if is_torch_array(value) else value)
    if array.dtype == object:
        raise TypeError("not an array of numbers")
    if not array.dtype.isnative:  # the other byte order: PyTorch cannot read it, and it equals no other array
        array = array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float32) if array.dtype.kind == "V" and "float" in array.dtype.name else array


def host_view(value: Any) -> np.ndarray:
    """An array of any framework as a read-only NumPy array. Backends can use it as their ``to_numpy``.

    Raises:
        ConfigError: ``value`` is not an array of numbers.
    """
    array = _read(value).view()
    array.flags.writeable = False
    return array


def host_array(value: Any) -> np.ndarray:
    """An array of any framework as a NumPy array, of a dtype that backends compute with.

    Returns:
        floats, booleans and random words (uint32) in their own dtype, all other integers as int32.
    Raises:
        ConfigError: ``value`` is not an array of numbers, or holds an integer outside of int32.
    """
    array = _read(value)
    if array.dtype.kind in "fb" or array.dtype == np.uint32:
        return array
    if array.dtype.kind not in "iu":
        raise ConfigError(f"arrays must be of floats, integers or booleans; got {array.dtype}.")
    if array.dtype.itemsize > 4 and array.size and not -(2**31) <= int(array.min()) <= int(array.max()) < 2**31:
        raise ConfigError(f"integers must be in [-2^31, 2^31); got {array.min()} … {array.max()}.")
    return array.astype(np.int32, copy=False)


def _together(value: Any) -> Sequence[Any]:
    """The arrays in a list or tuple, which NumPy puts together to one, or the one array."""
    return cast(Sequence[Any], value) if isinstance(value, list | tuple) else (value,)


def _read(value: Any) -> np.ndarray:
    try:
        return hosted(value)
    except Exception as error:
        raise ConfigError(f"an array of numbers is needed; got {shown(value)}.") from error


def _torch_hosted(tensor: Any) -> np.ndarray:
    try:
        return tensor.numpy(force=True)
    except TypeError:
        if tensor.is_complex():
            raise
        return tensor.float().numpy(force=True)


def frozen(value: Any) -> np.ndarray:
    """:func:`hosted`, for keeping: a copy whose memory is a ``bytes`` object, which can never be written to.

    An array whose memory is one already is returned as it is. An array that is merely read-only is copied: its flag can
    be set again, and its memory may belong to a file, a buffer or another framework that changes it.
    """
    array = hosted(value)
    return array if _in_bytes(array) else np.ndarray(array.shape, array.dtype, buffer=array.tobytes())


def _in_bytes(array: Any) -> bool:
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, bytes)
