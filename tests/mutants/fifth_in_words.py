"""Written afterwards, a fifth time: arrays that come and go otherwise; words, masks and initial weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import FIFTH
from tests.mutants.witnesses import IMAGES, draws, initialises, keeps, words
from weedout_core.backend import Backend
from weedout_core.nn import ParameterSpec
from weedout_core.random import key


def _there(array: np.ndarray) -> Callable[[Backend], Any]:
    return lambda backend: backend.to_numpy(backend.asarray(array))


@FIFTH.wrapper("asarray", _there(np.arange(3, dtype=np.int64)))
def long_integers_become_floats(backend: Backend) -> Backend:
    """Integers of 64 bits become floats, in a library that has none."""

    def asarray(array: Any, /) -> Any:
        long = isinstance(array, np.ndarray) and array.dtype == np.int64
        return backend.asarray(array.astype(np.float64) if long else array)

    return replace(backend, asarray=asarray)


@FIFTH.wrapper("asarray", _there(np.zeros((0, 3), np.int32)))
def empty_arrays_are_floats(backend: Backend) -> Backend:
    """An array without entries becomes one of floats, as one that is made of an empty list."""

    def asarray(array: Any, /) -> Any:
        right = backend.asarray(array)
        return right if right.size else backend.asarray(np.zeros(right.shape))

    return replace(backend, asarray=asarray)


@FIFTH.wrapper("asarray", _there(np.full((1, 2, 2, 1), 51, np.uint8)))
def bytes_are_pixels(backend: Backend) -> Backend:
    """Bytes with three axes and more are taken for images, and become floats from 0 to 1."""

    def asarray(array: Any, /) -> Any:
        image = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.ndim >= 3
        return backend.asarray(array / 255 if image else array)

    return replace(backend, asarray=asarray)


def _two_in_a_row(backend: Backend) -> Any:
    one, two = (backend.to_numpy(backend.asarray(np.full(3, value))) for value in (1.0, 2.0))
    return one, two


@FIFTH.wrapper("to_numpy", _two_in_a_row)
def staged_in_one_buffer(backend: Backend) -> Backend:
    """Arrays come to the host through a buffer for each shape and dtype, and are read-only views of it."""
    buffers: dict[Any, np.ndarray] = {}

    def change(right: np.ndarray, *_: Any) -> np.ndarray:
        buffer = buffers.setdefault((right.shape, right.dtype), np.empty(right.shape, right.dtype))
        buffer[...] = right
        shown = buffer.view()
        shown.flags.writeable = False
        return shown

    return with_result(backend, "to_numpy", change)


@FIFTH.wrapper("to_numpy", _there(np.array([1, 2**32 - 1], np.uint32)))
def words_are_saturated(backend: Backend) -> Backend:
    """Words come to the host through a conversion to integers with a sign that ends at the largest of these."""

    def change(right: np.ndarray, *_: Any) -> np.ndarray:
        array = np.minimum(right, np.uint32(2**31 - 1)) if right.dtype == np.uint32 else right.view()
        array.flags.writeable = False
        return array

    return with_result(backend, "to_numpy", change)


def _more_and_fewer(backend: Backend) -> Any:
    return [words(n=n)(backend) for n in (8, 5)]


@FIFTH.wrapper("random_bits", _more_and_fewer)
def kept_words_come_whole(backend: Backend) -> Backend:
    """The words of a key are kept, and a later call that asks for fewer of them gets them all."""
    kept: dict[Any, int] = {}

    def change(key: Any, n: int) -> tuple[Any, int]:
        each = tuple(np.asarray(key).tolist())
        kept[each] = max(kept.get(each, 0), n)
        return key, kept[each]

    return with_arguments(backend, "random_bits", change)


FIFTH.edits("random_bits", "randomness")(
    "injections_count_from_zero",
    "the number that goes in with the key is 0 the first time",
    words(),
    ("schedule[(injection + 1) % 3] + injection", "schedule[(injection + 1) % 3] + (injection - 1)"),
)
FIFTH.edits("keep_smallest", "masks")(
    "partitioned_and_not_sorted",
    "the k smallest are found by a partition, which leaves open who of equal words is among them",
    keeps(np.tile([5, 3, 5, 1, 3], 8), 20),
    ('order = np.argsort(bits, kind="stable")', "order = np.argpartition(bits, k - 1)"),
)


def _two_counts(backend: Backend) -> Any:
    return [keeps(np.arange(6), k)(backend) for k in (2, 4)]


@FIFTH.wrapper("keep_smallest", _two_counts)
def compiled_with_the_first_k(backend: Backend) -> Backend:
    """The program for n words is compiled with the k of the first call as a constant."""
    compiled: dict[int, int] = {}

    def change(bits: Any, k: int) -> tuple[Any, int]:
        return bits, compiled.setdefault(len(bits), k)

    return with_arguments(backend, "keep_smallest", change)


edit = FIFTH.edits("masks_from_keys", "scoring")
edit(
    "nodes_by_candidates_reshaped",
    "masks are made as (nodes, candidates), and reshaped where the axes are to be swapped",
    draws({"one": (6,), "two": (2, 2, 3)}),
    (
        "    return masks\n",
        "    return {site: mask.reshape(len(keys), -1).T.reshape(mask.shape) for site, mask in masks.items()}\n",
    ),
)
edit = FIFTH.edits("masks_from_keys", "masks")
edit(
    "nodes_channel_by_channel",
    "the words of an image are laid out as (channels, height, width), and the axes turned afterwards",
    draws({"one": (3, 4, 2)}),
    (
        "    return kept.reshape(site.shape)",
        "    return np.moveaxis(kept.reshape(*site.shape[-1:], *site.shape[:-1]), 0, -1)",
    ),
)
edit(
    "bernoulli_keeps_at_least_as_many",
    "of Bernoulli masks as many nodes stay in any case as of exact ones, where it is one",
    draws({"one": (9,)}, 0.5, "bernoulli", 8),
    ("(bits <= site.bound) | keep_smallest(bits, 1)", "(bits <= site.bound) | keep_smallest(bits, site.kept)"),
)


@FIFTH.wrapper("draw_parameters", initialises(IMAGES))
def codes_in_the_order_of_paths(backend: Backend) -> Backend:
    """Parameters are a tree that is flattened by their names, and the codes are dealt out in the order of the specs."""

    def change(key: Any, specs: Any) -> tuple[Any, ...]:
        by_path = sorted(specs, key=lambda spec: spec.path)
        return key, tuple(replace(spec, code=given.code) for spec, given in zip(by_path, specs, strict=True))

    return with_arguments(backend, "draw_parameters", change)


FIFTH.edits("draw_parameters", "initial")(
    "constants_kept_by_their_size",
    "an array that is the same everywhere is made once for each size, with the value of the first",
    lambda backend: backend.draw_parameters(
        key(1), (ParameterSpec("a/scale", (3,), 1, 0.0, 1.0), ParameterSpec("a/bias", (3,), 2, 0.0, 0.0))
    ),
    ("else np.full(n, float(spec.value))", "else constants.setdefault(n, np.full(n, float(spec.value))).copy()"),
    (
        "    params: dict[str, np.ndarray] = {}\n    for spec in specs:",
        "    params: dict[str, np.ndarray] = {}\n    constants = {}\n    for spec in specs:",
    ),
)
