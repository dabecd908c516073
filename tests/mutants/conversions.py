"""Purity: arrays that come to the device or from it as other numbers, in another dtype, shape or memory."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_result
from tests.mutants.body import PURITY, Witness
from weedout_core.backend import Backend
from weedout_core.random import key


def there(array: Any) -> Witness:
    """A witness: an array on the device, as NumPy shows it, with its dtype."""

    def answers(backend: Backend) -> Any:
        got = backend.to_numpy(backend.asarray(array))
        return [got, got.dtype.itemsize, got.dtype.kind]

    return answers


def converted(backend: Backend, change: Any) -> Backend:
    """A backend that converts otherwise: ``change(array)`` is what comes to the device."""
    return replace(backend, asarray=lambda array, /: change(backend.asarray(array), np.asarray(array)))


@PURITY.wrapper("asarray", there(np.ones(2, np.float16)))
def half_floats_stay(backend: Backend) -> Backend:
    """Floats of 16 bits stay such, where all floats are to get the backend's precision."""
    return converted(backend, lambda right, given: given.copy() if given.dtype == np.float16 else right)


@PURITY.wrapper("asarray", there(np.ones(2, np.float32)))
def single_floats_stay(backend: Backend) -> Backend:
    """Floats of 32 bits stay such on a backend of double precision."""
    return converted(backend, lambda right, given: given.copy() if given.dtype == np.float32 else right)


@PURITY.wrapper("asarray", there(np.ones(2, np.int64)))
def long_integers_stay(backend: Backend) -> Backend:
    """Integers of 64 bits stay such, where all are to become int32."""
    return converted(backend, lambda right, given: given.copy() if given.dtype == np.int64 else right)


@PURITY.wrapper("asarray", there(np.array([200], np.uint8)))
def bytes_stay(backend: Backend) -> Backend:
    """Integers of 8 bits stay such: a label of 200 and one more are not added up right."""
    return converted(backend, lambda right, given: given.copy() if given.dtype == np.uint8 else right)


@PURITY.wrapper("asarray", there(np.array([200], np.uint8)))
def bytes_get_a_sign(backend: Backend) -> Backend:
    """Integers of 8 bits are read as if they had a sign."""
    return converted(
        backend, lambda right, given: given.view(np.int8).astype(np.int32) if given.dtype == np.uint8 else right
    )


@PURITY.wrapper("asarray", there(np.array([True, False])))
def booleans_become_integers(backend: Backend) -> Backend:
    """Booleans become int32."""
    return converted(backend, lambda right, given: right.astype(np.int32) if given.dtype == bool else right)


@PURITY.wrapper("asarray", there(np.array([True, False])))
def booleans_become_floats(backend: Backend) -> Backend:
    """Booleans become floats, ready to be multiplied."""
    return converted(backend, lambda right, given: right.astype(np.float64) if given.dtype == bool else right)


@PURITY.wrapper("asarray", there(np.array([2**32 - 1], np.uint32)))
def words_get_a_sign(backend: Backend) -> Backend:
    """Random words become int32: the large ones are negative."""
    return converted(backend, lambda right, given: given.view(np.int32).copy() if given.dtype == np.uint32 else right)


@PURITY.wrapper("asarray", there(np.array(3.0)))
def single_numbers_get_an_axis(backend: Backend) -> Backend:
    """An array without axes gets one, as NumPy's ascontiguousarray gives it."""
    return converted(backend, lambda right, given: np.ascontiguousarray(right))


@PURITY.wrapper("asarray", there(np.arange(6.0).reshape(2, 3).T))
def memory_order_is_taken(backend: Backend) -> Backend:
    """The numbers of a transposed array come in the order of its memory."""
    return converted(backend, lambda right, given: given.ravel(order="K").reshape(given.shape).astype(right.dtype))


@PURITY.wrapper("asarray", there(np.arange(6.0)[::-1]))
def strides_are_not_read(backend: Backend) -> Backend:
    """A view with steps, or backwards, is read as if its numbers lay side by side."""

    def change(right: np.ndarray, given: np.ndarray) -> np.ndarray:
        whole = given if given.base is None or not isinstance(given.base, np.ndarray) else given.base
        behind = given.flags.c_contiguous or whole.size < given.size or not given.size
        return right if behind else whole.ravel()[: given.size].reshape(given.shape).astype(right.dtype)

    return converted(backend, change)


@PURITY.wrapper("asarray", there(np.array([np.nan, np.inf, 1.0])))
def nan_becomes_zero(backend: Backend) -> Backend:
    """NaN becomes 0 on its way to the device."""
    return converted(backend, lambda right, given: np.nan_to_num(right, posinf=np.inf, neginf=-np.inf))


@PURITY.wrapper("asarray", there(np.array([1e30, -1e30], np.float32)))
def large_floats_overflow(backend: Backend) -> Backend:
    """Floats go through 16 bits: what is above 65,504 becomes infinite."""
    return converted(
        backend,
        lambda right, given: (
            np.where(np.abs(right) > 65504, np.sign(right) * np.inf, right) if right.dtype.kind == "f" else right
        ),
    )


@PURITY.wrapper("asarray", there(np.array([2**24 + 1], np.int32)))
def integers_go_through_floats(backend: Backend) -> Backend:
    """Integers go through floats of 24 bits: 2^24 + 1 becomes 2^24."""
    return converted(
        backend,
        lambda right, given: (
            right.astype(np.float32).clip(max=2**31 - 129).astype(np.int32) if right.dtype == np.int32 else right
        ),
    )


def _shared(backend: Backend) -> Any:
    mine = np.arange(3.0)
    there = backend.asarray(mine)
    mine[:] = 7
    return there


@PURITY.wrapper("asarray", _shared)
def double_floats_are_shared(backend: Backend) -> Backend:
    """An array that is of the right dtype already is not copied."""
    return converted(backend, lambda right, given: given if given.dtype == np.float64 else right)


@PURITY.wrapper("asarray", lambda backend: backend.asarray(_WORDS) is _WORDS)
def words_are_shared(backend: Backend) -> Backend:
    """An array of random words is not copied."""
    return converted(backend, lambda right, given: given if given.dtype == np.uint32 else right)


_WORDS = np.array([1, 2], np.uint32)


@PURITY.wrapper("to_numpy", lambda backend: backend.to_numpy(backend.asarray(np.ones(2))).flags.writeable)
def gives_arrays_to_write_to(backend: Backend) -> Backend:
    """An array of the backend comes as one that can be written to."""
    return with_result(backend, "to_numpy", lambda right, *_: np.array(right))


@PURITY.wrapper("to_numpy", lambda backend: str(backend.to_numpy(backend.random_bits(key(1), 3)).dtype) == "uint32")
def words_come_as_long_integers(backend: Backend) -> Backend:
    """Random words come as int64."""

    def change(right: np.ndarray, *_: Any) -> np.ndarray:
        array = right.astype(np.int64) if right.dtype == np.uint32 else right.view()
        array.flags.writeable = False
        return array

    return with_result(backend, "to_numpy", change)


@PURITY.wrapper("to_numpy", lambda backend: str(backend.to_numpy(backend.asarray(np.array([True]))).dtype) == "bool")
def booleans_come_as_bytes(backend: Backend) -> Backend:
    """Booleans come as uint8."""

    def change(right: np.ndarray, *_: Any) -> np.ndarray:
        array = right.astype(np.uint8) if right.dtype == bool else right.view()
        array.flags.writeable = False
        return array

    return with_result(backend, "to_numpy", change)


@PURITY.wrapper("to_numpy", lambda backend: backend.to_numpy(backend.asarray(np.array(3.0))))
def single_numbers_come_as_rows(backend: Backend) -> Backend:
    """An array without axes comes with one."""

    def change(right: np.ndarray, *_: Any) -> np.ndarray:
        array = np.atleast_1d(right).view()
        array.flags.writeable = False
        return array

    return with_result(backend, "to_numpy", change)


class _Shown:
    """An array of another framework, which shows itself to NumPy."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        del copy
        return np.ones(2, dtype)


@PURITY.wrapper("asarray", there(_Shown()))
def takes_arrays_of_numpy_alone(backend: Backend) -> Backend:
    """An array of another framework is refused."""

    def asarray(array: Any, /) -> Any:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"an array of NumPy is needed; got {type(array).__name__}.")
        return backend.asarray(array)

    return replace(backend, asarray=asarray)
