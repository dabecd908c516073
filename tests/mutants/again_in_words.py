"""Written afterwards, again: arrays that come and go otherwise; words, masks and initial weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.mutants.body import AGAIN
from tests.mutants.witnesses import draws, initialises, keeps
from weedout_core.backend import Backend
from weedout_core.nn import ParameterSpec
from weedout_core.random import key


def _there(array: Any) -> Callable[[Backend], Any]:
    return lambda backend: backend.to_numpy(backend.asarray(array))


@AGAIN.wrapper("asarray", _there(np.array([np.inf, -np.inf, 1.0])))
def infinities_become_large(backend: Backend) -> Backend:
    """Infinite floats become the largest finite ones of 32 bits; NaN stays."""
    large = float(np.finfo(np.float32).max)

    def asarray(array: Any, /) -> Any:
        right = backend.asarray(array)
        return np.where(np.isinf(right), np.copysign(large, right), right) if right.dtype.kind == "f" else right

    return replace(backend, asarray=asarray)


@AGAIN.wrapper("asarray", _there(np.ones((2, 3, 3, 1))))
def grey_images_lose_their_channel(backend: Backend) -> Backend:
    """An array of four axes loses the last one if it is a single channel, as many readers of images do."""

    def asarray(array: Any, /) -> Any:
        right = backend.asarray(array)
        return right[..., 0] if right.ndim == 4 and right.shape[-1] == 1 else right

    return replace(backend, asarray=asarray)


@AGAIN.wrapper("to_numpy", _there(np.array([-1, 2], np.int32)))
def integers_come_as_words(backend: Backend) -> Backend:
    """A library without uint32 has its words as int32, and so each int32 comes to the host as uint32."""

    def to_numpy(array: Any, /) -> np.ndarray:
        right = backend.to_numpy(array)
        return right.view(np.uint32) if right.dtype == np.int32 else right

    return replace(backend, to_numpy=to_numpy)


def _words_of_swapped_keys(backend: Backend) -> Any:
    one = key(2**40 + 5)
    return [backend.random_bits(each, 6) for each in (one, one[::-1].copy())]


@AGAIN.wrapper("random_bits", _words_of_swapped_keys)
def words_remembered_by_the_sum_of_a_key(backend: Backend) -> Backend:
    """Words are remembered by a hash of the key, the sum of its two words: keys of one sum have the same words."""
    kept: dict[tuple[int, int], Any] = {}

    def random_bits(key: Any, n: int) -> Any:
        which = int(np.sum(key, dtype=np.uint64)), n
        if which not in kept:
            kept[which] = backend.random_bits(key, n)
        return kept[which]

    return replace(backend, random_bits=random_bits)


@AGAIN.wrapper("random_bits", lambda backend: [backend.random_bits(key(3), n) for n in (5, 8)])
def kept_words_are_repeated(backend: Backend) -> Backend:
    """The words of a key are kept, and a later call that asks for more of them gets these over and over."""
    kept: dict[bytes, Any] = {}

    def random_bits(key: Any, n: int) -> Any:
        words = kept.setdefault(np.asarray(key).tobytes(), backend.random_bits(key, n))
        return np.resize(words, n)

    return replace(backend, random_bits=random_bits)


def _tied(backend: Backend) -> Any:
    """Of three equal words one is to be kept."""
    return keeps([4, 9, 4, 2, 4], 2)(backend)


AGAIN.edits("keep_smallest", "masks")(
    "ties_across_the_bound_are_left_out",
    "where the smallest word that goes equals the largest that stays, all that are equal to it go",
    _tied,
    (
        "    kept[order[:k]] = True\n",
        "    kept[order[:k]] = True\n"
        "    if k < n and bits[order[k]] == bits[order[k - 1]]:\n"
        "        kept[bits == bits[order[k]]] = False\n",
    ),
)


edit = AGAIN.edits("masks_from_keys", "masks")
edit(
    "last_byte_of_a_mask_from_its_other_end",
    "a mask is packed in bytes, and of a last one that is not full the bits are read from the end that is padding",
    draws({"one": (13,)}),
    (
        "    return kept.reshape(site.shape)",
        "    rest = kept.size % 8\n"
        "    if rest:\n"
        "        byte = np.append(kept.reshape(-1)[-rest:], np.zeros(8 - rest, dtype=bool))\n"
        "        kept = np.append(kept.reshape(-1)[:-rest], byte[-rest:])\n"
        "    return kept.reshape(site.shape)",
    ),
)
edit(
    "bernoulli_bound_and_one_overflows",
    "a word is compared with the bound and one: that of sparsity 0 overflows to 0, and a single node stays",
    draws({"one": (9,)}, 0.0, "bernoulli"),
    ("(bits <= site.bound)", "(bits < np.uint32((site.bound + 1) % 2**32))"),
)
edit(
    "bernoulli_keeps_one_in_each_column",
    "where none of the words of an image is below the bound, the smallest along its first axis stay",
    draws({"one": (3, 2, 2)}, 0.99, "bernoulli"),
    (
        "(bits <= site.bound) | keep_smallest(bits, 1)",
        "bits <= site.bound\n"
        "    if not kept.any():\n"
        "        kept = bits.reshape(site.shape) == bits.reshape(site.shape).min(axis=0)",
    ),
)

edit = AGAIN.edits("draw_parameters", "initial")
_NORMALS = "spec.std * standard_normal(fold_in(key, spec.code), n) if"
edit(
    "values_are_means",
    "the value is added to the normals too, as if it were their mean",
    lambda backend: backend.draw_parameters(key(1), (ParameterSpec("a", (3,), 1, 0.5, 2.0),)),
    (_NORMALS, f"spec.value + {_NORMALS}"),
)
edit(
    "deviations_in_bfloat16",
    "a deviation is cut to bfloat16, as a constant of the program",
    initialises(),
    (
        _NORMALS,
        "float((np.float32(spec.std).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32))"
        " * standard_normal(fold_in(key, spec.code), n) if",
    ),
)
