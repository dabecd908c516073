"""The check of ``asarray`` and ``to_numpy``: every dtype, every layout in memory, numbers hard to carry."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from weedout_core._contract.record import Backend
from weedout_core.testing.comparing import equal

_FLOATS = np.array([0.5, -1.25, 1e30, -7e4, np.nan, np.inf, -np.inf, 3.0, -0.0, 1e-40])
_HALVES = np.array([0.5, -1.25, 60000.0, 3.0, np.nan, np.inf])
#: Arrays of each kind, and the dtype that they come back in; None is the backend's own dtype of floats.
_KINDS: Mapping[str, tuple[np.ndarray, type[np.generic] | None]] = {
    "float64": (_FLOATS, None),
    "float32": (_FLOATS.astype(np.float32), None),
    "float16": (_HALVES.astype(np.float16), None),
    "int64": (np.array([0, -1, 2**24 + 1, -(2**31), 2**31 - 1]), np.int32),
    "int32": (np.array([0, -1, 2**24 + 1, -(2**31), 2**31 - 1], np.int32), np.int32),
    "int16": (np.array([0, -1, 30_001, -(2**15)], np.int16), np.int32),
    "int8": (np.array([0, -1, 100, -128], np.int8), np.int32),
    "uint8": (np.array([0, 1, 128, 200, 255], np.uint8), np.int32),
    "uint16": (np.array([0, 1, 40_000, 65_535], np.uint16), np.int32),
    "uint32": (np.array([0, 1, 2**24 + 1, 2**31, 2**32 - 1], np.uint32), np.uint32),
    "bool": (np.array([True, False, False, True]), np.bool_),
}


def conversions(backend: Backend, reference: Backend) -> None:
    """Arrays go to the device and back unchanged, but for the dtype of floats and of integers, and share no memory."""
    del reference
    own = backend.to_numpy(backend.asarray(np.zeros(1))).dtype
    assert own in (np.dtype(np.float32), np.dtype(np.float64)), f"floats come back as {own}"
    if find_spec("ml_dtypes"):  # with which NumPy reads JAX's bfloat16; who has no such arrays hands none in
        small = np.array([0.5, -1.25, 3e38, np.nan, np.inf, -0.0]).astype(import_module("ml_dtypes").bfloat16)
        _same("asarray of bfloat16", backend.to_numpy(backend.asarray(small)), small.astype(own))
    for name, (array, kind) in _KINDS.items():
        dtype = own if kind is None else np.dtype(kind)
        for layout, given in _layouts(array).items():
            got = backend.to_numpy(backend.asarray(given))
            with np.errstate(over="ignore"):
                wanted = given.astype(dtype)
            _same(f"asarray of {name}, {layout},", got, wanted)
        foreign = backend.to_numpy(backend.asarray(_Foreign(array)))
        _same(f"asarray of another library's array of {name}", foreign, array.astype(dtype))
        placed = backend.asarray(array)
        _same(f"asarray of its own array of {name}", backend.to_numpy(backend.asarray(placed)), array.astype(dtype))
        free = _writeable(placed)
        assert not backend.to_numpy(placed).flags.writeable, f"to_numpy gives an array of {name} that can be written to"
        assert _writeable(placed) == free, f"to_numpy changes who may write to the array of {name} that it is given"
        for how, hand in _HANDED.items():
            _shares_nothing(backend, _aligned(array), dtype, f"asarray of {name}, {how},", hand)


def _shares_nothing(
    backend: Backend, source: np.ndarray, dtype: np.dtype[Any], name: str, hand: Callable[[np.ndarray], Any]
) -> None:
    """Write over the memory of an array that was handed in: neither it nor who may write to it has changed."""
    wanted, handed = source.astype(dtype), hand(source)
    free = _writeable(handed)
    placed = backend.asarray(handed)
    assert (_writeable(handed), source.flags.writeable) == (free, True), f"{name} changes who may write to it"
    source[...] = source[1]
    _same(f"{name} after it was written over", backend.to_numpy(backend.asarray(handed)), source.astype(dtype))
    _same(f"{name} shares the memory that it was given: it", backend.to_numpy(placed), wanted)


class _Foreign:
    """An array of a library that nobody knows, which NumPy can read."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype=dtype, copy=copy)


class _Lent(_Foreign):
    """One that hands out its own memory, wherever a copy is not asked for."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        free = copy is not True and dtype in (None, self._array.dtype)
        return self._array if free else super().__array__(dtype, copy)


def _read_only(source: np.ndarray) -> np.ndarray:
    """A view that cannot be written to, which says nothing about who else may write to its memory."""
    view = source.view()
    view.flags.writeable = False
    return view


def _writeable(array: Any) -> bool | None:
    """Whether an array can be written to; None for a library whose arrays do not say it."""
    return getattr(getattr(array, "flags", None), "writeable", None)


#: How the memory of an array may be handed in.
_HANDED: Mapping[str, Callable[[np.ndarray], Any]] = {
    "a view": np.ndarray.view,
    "a read-only view": _read_only,
    "an array that another library lends": _Lent,
}


def _layouts(array: np.ndarray) -> dict[str, np.ndarray]:
    """The same numbers, as views of memory that is laid out otherwise."""
    two = np.stack([array, np.roll(array, 1), np.roll(array, 2)])
    return {
        "in a row": array,
        "without axes": np.array(array[0]),
        "with no element": array[:0],
        "with no row of three": two.T[:0],
        "with rows of nothing": two[:, :0],
        "transposed": two.T,
        "column by column": np.asfortranarray(two),
        "backwards": array[::-1],
        "every second": two.ravel()[::2],
        "with axes of one": array[:, None, None],
        "with four axes": array[:, None, None, None],
        "in the other order of bytes": array.astype(array.dtype.newbyteorder()),
        "repeated without memory": np.broadcast_to(array, (2, len(array))),
    }


def _same(name: str, got: np.ndarray, wanted: np.ndarray) -> None:
    if wanted.dtype.kind == "f":  # a NaN is one
        equal(f"{name}: where it is NaN", np.isnan(got), np.isnan(wanted))
        assert got.dtype == wanted.dtype, f"{name} is {got.dtype}, not {wanted.dtype}"
        got, wanted = np.nan_to_num(got, nan=0.0), np.nan_to_num(wanted, nan=0.0)
        equal(f"{name}: the sign of zeros", np.signbit(got), np.signbit(wanted))
    equal(name, got, wanted)


def _aligned(array: np.ndarray) -> np.ndarray:
    """Some copies of an array, aligned so that a framework can share their memory: JAX on a CPU needs 64 bytes."""
    place, full = 64, np.tile(array, 256)
    room = np.zeros(full.nbytes + place, np.uint8)
    start = -room.ctypes.data % place
    copy = room[start : start + full.nbytes].view(full.dtype)
    copy[...] = full
    return copy
