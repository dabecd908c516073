"""Written afterwards, a third time: arrays that come and go otherwise; words, masks and initial weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.mutants.body import THIRD
from tests.mutants.witnesses import draws, keeps, words
from weedout_core import mask_plan
from weedout_core.backend import Backend
from weedout_core.nn import ParameterSpec
from weedout_core.random import key, split


def _there(array: Any) -> Callable[[Backend], Any]:
    return lambda backend: backend.to_numpy(backend.asarray(array))


def _written_behind_a_view(backend: Backend) -> Any:
    """A view that may not be written to, of an array that is."""
    array = np.arange(4.0)
    view = array[:]
    view.flags.writeable = False
    there = backend.asarray(view)
    array += 1
    return backend.to_numpy(there)


@THIRD.wrapper("asarray", _written_behind_a_view)
def read_only_arrays_are_shared(backend: Backend) -> Backend:
    """An array that may not be written to is not copied, though it may be a view of one that is written to."""

    def asarray(array: Any, /) -> Any:
        fits = isinstance(array, np.ndarray) and array.dtype in (np.float64, np.int32, np.bool_, np.uint32)
        return array if fits and not array.flags.writeable else backend.asarray(array)

    return replace(backend, asarray=asarray)


@THIRD.wrapper("asarray", _there(np.array([3, 200], np.uint8)))
def unsigned_integers_become_words(backend: Backend) -> Backend:
    """Whatever integer has no sign becomes uint32, as words do: labels that are bytes too."""

    def asarray(array: Any, /) -> Any:
        right = backend.asarray(array)
        return right.astype(np.uint32) if isinstance(array, np.ndarray) and array.dtype.kind == "u" else right

    return replace(backend, asarray=asarray)


@THIRD.wrapper("asarray", _there(np.zeros((0, 3))))
def arrays_go_through_lists(backend: Backend) -> Backend:
    """Arrays go through lists, in which one without entries has no axes but the first."""

    def asarray(array: Any, /) -> Any:
        right = backend.asarray(array)
        return np.array(right.tolist(), right.dtype)

    return replace(backend, asarray=asarray)


@THIRD.wrapper("to_numpy", _there(np.ones((2, 1, 3))))
def axes_of_one_are_squeezed(backend: Backend) -> Backend:
    """An array comes to the host without its axes of length one."""
    return replace(backend, to_numpy=lambda array: backend.to_numpy(array).squeeze())


@THIRD.wrapper("to_numpy", lambda backend: backend.to_numpy(backend.random_bits(key(3), 8)))
def words_come_through_floats(backend: Backend) -> Backend:
    """Words come to the host through floats of 24 bits, in a library that has no uint32 to give."""

    def to_numpy(array: Any, /) -> np.ndarray:
        right = backend.to_numpy(array)
        if right.dtype != np.uint32:
            return right
        rounded = np.minimum(right.astype(np.float32).astype(np.float64), 2**32 - 1).astype(np.uint32)
        rounded.flags.writeable = False
        return rounded

    return replace(backend, to_numpy=to_numpy)


edit = THIRD.edits("random_bits", "randomness")
edit(
    "words_in_two_halves",
    "words are laid out as in jax.random before bits were partitionable: counters in pairs, both outputs are words",
    words(),
    (
        "    counter = np.arange(n, dtype=np.uint32)\n"
        "    word0, word1 = threefry2x32(key, np.zeros_like(counter), counter)\n"
        "    return word0 ^ word1",
        "    counter = np.append(np.arange(n, dtype=np.uint32), np.zeros(n % 2, dtype=np.uint32))\n"
        "    half = len(counter) // 2\n"
        "    return np.concatenate(threefry2x32(key, counter[:half], counter[half:]))[:n]",
    ),
)
edit(
    "rotation_keeps_the_sign",
    "words have a sign inside, and the right shift of a rotation fills up with it",
    words(),
    ("(word >> (32 - by))", "(word.view(np.int32) >> (32 - by)).view(np.uint32)"),
)

edit = THIRD.edits("keep_smallest", "masks")
_SORT = 'np.argsort(bits, kind="stable")'
edit(
    "words_compared_with_a_sign",
    "words are compared as int32: the large ones are the smallest",
    keeps([5, 2**31 + 7, 9, 2**32 - 1], 2),
    (_SORT, 'np.argsort(bits.astype(np.int32), kind="stable")'),
)
edit(
    "bisection_a_step_short",
    "the bound is found by halving 31 times, and two words that differ in the lowest bit alone are equal",
    keeps([5, 4, 9, 12], 1),
    (_SORT, 'np.argsort(bits >> 1, kind="stable")'),
)

edit = THIRD.edits("masks_from_keys", "scoring")
edit(
    "keys_of_two_candidates_are_turned",
    "keys are (2, m) inside, and that they still are to be turned is seen from their shape: those of two are not",
    draws({"one": (8,)}, size=2),
    ("    for i, key in enumerate(keys):\n", "    for i, key in enumerate(keys.T if len(keys) == 2 else keys):\n"),
)


def _sparsities(backend: Backend) -> Any:
    """Two sites of one shape, each with a sparsity of its own."""
    plan = mask_plan({"one": (8,), "two": (8,)}, {"one": 0.25, "two": 0.75}, "exact")
    return backend.masks_from_keys(split(key(5), 3), plan)


THIRD.edits("masks_from_keys", "masks")(
    "sites_of_one_shape_keep_as_many",
    "sites of one shape are drawn in one go, and each keeps as many nodes as the first of them",
    _sparsities,
    (
        "    return {site.site: draw_mask(key, site) for site in plan.sites}",
        "    return {site.site: draw_mask(key, like_the_first(site, plan)) for site in plan.sites}\n\n\n"
        "def like_the_first(site: SitePlan, plan: MaskPlan) -> SitePlan:\n"
        "    return replace(site, kept=next(one.kept for one in plan.sites if one.shape == site.shape))",
    ),
    ("import math\n", "import math\nfrom dataclasses import replace\n"),
)


def _drawn(*specs: ParameterSpec) -> Callable[[Backend], Any]:
    return lambda backend: backend.draw_parameters(key(1), specs)


THIRD.edits("draw_parameters", "randomness")(
    "uniform_numbers_of_24_bits",
    "f is made of the 24 high bits of a word, as floats would allow it, which moves the rare large normals",
    _drawn(ParameterSpec("a", (500_000,), 1, 1.0)),
    ("(random_bits(key, n) >> 9).astype(np.float32) * np.float32(2**-23)",
     "(random_bits(key, n) >> 8).astype(np.float32) * np.float32(2**-24)"),
)  # fmt: skip
edit = THIRD.edits("draw_parameters", "initial")
_NORMALS = "spec.std * standard_normal(fold_in(key, spec.code), n) if"
edit(
    "deviations_are_those_of_he",
    "the deviation of a kernel is computed from its shape, as He et al. have it, and not read from the spec",
    _drawn(ParameterSpec("a/kernel", (4, 3), 1, 0.5)),
    (_NORMALS, f"math.sqrt(2 / math.prod(spec.shape[:-1])) {_NORMALS.removeprefix('spec.std ')}"),
)
edit(
    "a_code_of_zero_is_no_code",
    "a code of 0 is taken for one that was not given, and nothing is folded in",
    _drawn(ParameterSpec("a", (3,), 0, 0.5)),
    ("fold_in(key, spec.code)", "(fold_in(key, spec.code) if spec.code else key)"),
)
edit(
    "matrices_are_units_by_inputs",
    "the words of a dense layer's kernel are laid out as (units, inputs), as PyTorch has it, and then turned",
    _drawn(ParameterSpec("a/kernel", (4, 3), 1, 0.5)),
    ("= drawn.reshape(spec.shape)", "= drawn.reshape(spec.shape[::-1]).T if n and len(spec.shape) == 2 "
     "else drawn.reshape(spec.shape)"),
)  # fmt: skip
