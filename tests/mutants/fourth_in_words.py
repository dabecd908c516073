"""Written afterwards, a fourth time: arrays that come and go otherwise; words, masks and initial weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import FOURTH
from tests.mutants.witnesses import draws, keeps, words
from weedout_core.backend import Backend, MaskPlan
from weedout_core.nn import ParameterSpec
from weedout_core.random import key


def _as_it_is(backend: Backend, array: np.ndarray) -> bool:
    """Whether an array has the dtype that it would have on the device."""
    return backend.to_numpy(backend.asarray(array)).dtype == array.dtype


def _aligned(backend: Backend) -> Any:
    """An array that begins at a multiple of 64 bytes, and is written to."""
    raw = np.zeros(128, np.uint8)
    start = -raw.ctypes.data % 64
    mine = raw[start : start + 64].view(np.float64)
    there = backend.asarray(mine)
    mine[:] = 7
    return there


@FOURTH.wrapper("asarray", _aligned)
def aligned_arrays_are_shared(backend: Backend) -> Backend:
    """An array that begins at a multiple of 64 bytes is not copied: the device can take it as it lies."""

    def asarray(array: Any, /) -> Any:
        lies = isinstance(array, np.ndarray) and array.flags.c_contiguous and array.ctypes.data % 64 == 0
        return array if lies and _as_it_is(backend, array) else backend.asarray(array)

    return replace(backend, asarray=asarray)


@FOURTH.wrapper("asarray", lambda backend: backend.asarray(np.ones(2, ml_dtypes.bfloat16)))
def bfloat16_comes_as_integers(backend: Backend) -> Backend:
    """Of an array in bfloat16 the 16 bits are taken, as an integer."""

    def asarray(array: Any, /) -> Any:
        if isinstance(array, np.ndarray) and array.dtype == ml_dtypes.bfloat16:
            array = array.view(np.uint16).astype(np.int32)
        return backend.asarray(array)

    return replace(backend, asarray=asarray)


class _Other:
    """An array of another framework, which shows its memory to NumPy."""

    def __init__(self) -> None:
        self.numbers = np.arange(3.0)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        del dtype, copy
        return self.numbers


def _of_another(backend: Backend) -> Any:
    mine = _Other()
    there = backend.asarray(mine)
    mine.numbers += 1
    return there


@FOURTH.wrapper("asarray", _of_another)
def arrays_of_others_are_shared(backend: Backend) -> Backend:
    """An array of another framework is taken as it shows itself to NumPy, which may be its own memory."""

    def asarray(array: Any, /) -> Any:
        if not isinstance(array, np.ndarray) and hasattr(array, "__array__"):
            shown = np.asarray(array)
            return shown if _as_it_is(backend, shown) else backend.asarray(shown)
        return backend.asarray(array)

    return replace(backend, asarray=asarray)


def _still_to_be_written_to(backend: Backend) -> Any:
    mine = backend.asarray(np.ones(2, bool))
    backend.to_numpy(mine)
    return mine.flags.writeable


@FOURTH.wrapper("to_numpy", _still_to_be_written_to)
def locks_the_arrays_that_it_is_given(backend: Backend) -> Backend:
    """It is the array that is made read-only, and not a view of it: whose it is can write to it no longer."""

    def change(right: np.ndarray, array: Any, /) -> np.ndarray:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
        return right

    return with_result(backend, "to_numpy", change)


@FOURTH.wrapper("to_numpy", lambda backend: backend.to_numpy(backend.asarray(np.arange(3))).dtype.itemsize)
def integers_come_as_long_ones(backend: Backend) -> Backend:
    """Integers come to the host as those of 64 bits, as Python's are."""

    def change(right: np.ndarray, *_: Any) -> np.ndarray:
        array = right.astype(np.int64) if right.dtype == np.int32 else right.view()
        array.flags.writeable = False
        return array

    return with_result(backend, "to_numpy", change)


edit = FOURTH.edits("random_bits", "randomness")
edit(
    "parity_is_added",
    "the third word of the key is k0 ^ k1 + parity, in which the sum comes first",
    words(seed=7),
    ("schedule = (k0, k1, k0 ^ k1 ^ PARITY)", "schedule = (k0, k1, (k0 ^ k1 + PARITY) & 0xFFFFFFFF)"),
)
edit(
    "counters_in_the_high_word",
    "the counter of word i is (i, 0), as where the low word comes first",
    words(),
    (
        "word0, word1 = threefry2x32(key, np.zeros_like(counter), counter)",
        "word0, word1 = threefry2x32(key, counter, np.zeros_like(counter))",
    ),
)
edit(
    "last_injection_is_left_out",
    "the key goes in between the rounds, and so not after the last one",
    words(),
    ("        if i % 4 == 3:\n", "        if i % 4 == 3 and i < ROUNDS - 1:\n"),
)

FOURTH.edits("keep_smallest", "masks")(
    "the_order_is_taken_for_ranks",
    "a node stays if its entry in the sorted order is below k, which is another node's rank",
    keeps([9, 1, 5], 1),
    ("    kept = np.zeros(n, dtype=bool)\n    kept[order[:k]] = True\n    return kept", "    return order < k"),
)


@FOURTH.wrapper("keep_smallest", lambda backend: backend.keep_smallest(np.array([9, 1, 5, 2, 3, 8], np.uint32)[::2], 1))
def words_with_steps_are_read_side_by_side(backend: Backend) -> Backend:
    """Words of NumPy are handed to a kernel by their address: of a view with steps those that lie side by side."""

    def change(bits: Any, k: int) -> tuple[Any, ...]:
        if isinstance(bits, np.ndarray) and not bits.flags.c_contiguous and isinstance(bits.base, np.ndarray):
            bits = bits.base.ravel()[: len(bits)]
        return bits, k

    return with_arguments(backend, "keep_smallest", change)


def planned(backend: Backend, change: Callable[[MaskPlan], MaskPlan]) -> Backend:
    """A backend that draws the masks of another plan: ``change(plan)``."""

    def scored(net: Any, params: Any, population: Any, *rest: Any) -> tuple[Any, ...]:
        if population.plan is not None:
            population = population._replace(plan=change(population.plan))
        return net, params, population, *rest

    backend = with_arguments(backend, "masks_from_keys", lambda keys, plan: (keys, change(plan)))
    return with_arguments(backend, "score_population", scored)


@FOURTH.wrapper("masks_from_keys", draws({"one": (8,), "two": (8,)}))
def codes_are_positions(backend: Backend) -> Backend:
    """The key of a site is folded with its position in the plan, and not with its code."""
    return planned(backend, lambda plan: MaskPlan(tuple(replace(site, code=i) for i, site in enumerate(plan.sites))))


@FOURTH.wrapper(
    "masks_from_keys", lambda backend: [draws({"one": (8,)}, sparsity)(backend) for sparsity in (0.5, 0.25)]
)
def plans_kept_by_their_sites(backend: Backend) -> Backend:
    """The program of a plan is kept by the names and shapes of its sites, with how many nodes the first one keeps."""
    kept: dict[Any, MaskPlan] = {}
    return planned(backend, lambda plan: kept.setdefault(tuple((site.site, site.shape) for site in plan.sites), plan))


edit = FOURTH.edits("masks_from_keys", "scoring")
edit(
    "smallest_word_of_all_candidates",
    "of Bernoulli masks the smallest word, which stays in any case, is that of all candidates: min has no axis",
    draws({"one": (3,)}, 0.95, "bernoulli", 6),
    (
        "    return masks\n",
        "    for site in plan.sites:\n"
        "        if site.bound is not None:\n"
        "            n = int(np.prod(site.shape))\n"
        "            words = np.stack([random_bits(fold_in(key, site.code), n) for key in keys])\n"
        "            kept = (words <= site.bound) | (words == words.min())\n"
        "            masks[site.site] = kept.reshape(len(keys), *site.shape)\n"
        "    return masks\n",
    ),
    ("import Keys\n", "import Keys, fold_in, random_bits\n"),
)
edit(
    "keys_go_on_from_site_to_site",
    "the key of a site is folded into that of the site before, since the loop gives it the same name",
    draws({"one": (8,), "two": (8,)}),
    (
        "masks",
        "    return {site.site: draw_mask(key, site) for site in plan.sites}",
        "    masks: dict[str, np.ndarray] = {}\n"
        "    for site in plan.sites:\n"
        "        masks[site.site] = draw_mask(key, site)\n"
        "        key = fold_in(key, site.code)\n"
        "    return masks",
    ),
)


def _drawn(*specs: ParameterSpec) -> Callable[[Backend], Any]:
    return lambda backend: backend.draw_parameters(key(1), specs)


edit = FOURTH.edits("draw_parameters", "randomness")
edit(
    "fractions_reach_one",
    "f is divided by 2^23 - 1, so that it reaches 1, where the normal is infinite",
    _drawn(ParameterSpec("a", (500_000,), 1, 1.0)),
    (".astype(np.float32) * np.float32(2**-23)", ".astype(np.float32) / np.float32(2**23 - 1)"),
)
edit(
    "erfinv_by_a_formula",
    "where the library has no inverse of erf, it is computed by a formula that is right to a few thousandths",
    _drawn(ParameterSpec("a", (1000,), 1, 1.0)),
    (
        "    return np.sqrt(2) * erfinv(u.astype(np.float64))",
        "    log, u = np.log1p(-u.astype(np.float64) ** 2), u.astype(np.float64)\n"
        "    middle = 2 / (np.pi * 0.147) + log / 2\n"
        "    return np.sqrt(2) * np.sign(u) * np.sqrt(np.sqrt(middle**2 - log / 0.147) - middle)",
    ),
)
FOURTH.edits("draw_parameters", "initial")(
    "deviations_are_variances",
    "the deviation of a spec is taken for the variance, as where a normal distribution is given by it",
    _drawn(ParameterSpec("a/kernel", (4, 3), 1, 0.5)),
    ("spec.std * standard_normal(", "math.sqrt(spec.std) * standard_normal("),
)
