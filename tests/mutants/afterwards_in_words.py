"""Written afterwards: arrays that come and go otherwise; words, masks and initial weights of some keys and plans."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments
from tests.mutants.body import AFTERWARDS, Witness
from tests.mutants.witnesses import draws, keeps, words
from weedout_core.backend import Backend, MaskPlan, SitePlan
from weedout_core.nn import ParameterSpec
from weedout_core.random import bits, fold_in, key, split


def _of_a_file(backend: Backend) -> Any:
    """Labels and inputs as a file in the other byte order has them."""
    return [backend.to_numpy(backend.asarray(np.array([1, 2], dtype))) for dtype in (">i4", ">f4")]


@AFTERWARDS.wrapper("asarray", _of_a_file)
def bytes_in_the_other_order(backend: Backend) -> Backend:
    """The bytes of an array in the other byte order, as in IDX files, are taken as they lie."""

    def asarray(array: Any, /) -> Any:
        if isinstance(array, np.ndarray) and array.dtype.byteorder == ">":
            array = array.view(array.dtype.newbyteorder())
        return backend.asarray(array)

    return replace(backend, asarray=asarray)


def _written_over(backend: Backend) -> Any:
    """An array that comes to the device, is written over, and comes once more."""
    array = np.zeros(3)
    one = backend.asarray(array)
    array[:] = 1
    return [one, backend.asarray(array)]


@AFTERWARDS.wrapper("asarray", _written_over)
def copies_kept_by_identity(backend: Backend) -> Backend:
    """An array that came to the device before is not copied again, though it was written to."""
    kept: dict[int, tuple[Any, Any]] = {}

    def asarray(array: Any, /) -> Any:
        if not isinstance(array, np.ndarray):
            return backend.asarray(array)
        before, copy = kept.get(id(array), (lambda: None, None))
        if before() is not array:
            copy = backend.asarray(array)
            kept[id(array)] = (weakref.ref(array), copy)
        return copy

    return replace(backend, asarray=asarray)


def _there_and_back(backend: Backend) -> Any:
    got = backend.to_numpy(backend.asarray(np.array([1 + 2**-40])))
    return [(got - 1) * 2**40, got.dtype.itemsize]


@AFTERWARDS.wrapper("to_numpy", _there_and_back)
def doubles_come_as_singles(backend: Backend) -> Backend:
    """Floats of 64 bits come to the host as such of 32 bits: a state that comes back is another one."""

    def to_numpy(array: Any, /) -> np.ndarray:
        right = backend.to_numpy(array)
        shown = right.astype(np.float32) if right.dtype == np.float64 else right
        shown.flags.writeable = False
        return shown

    return replace(backend, to_numpy=to_numpy)


edit = AFTERWARDS.edits("random_bits", "randomness")
edit(
    "a_single_word_is_not_mixed",
    "where one word is drawn it is the first of the two outputs, not their xor",
    words(n=1),
    ("return word0 ^ word1", "return word0 if n == 1 else word0 ^ word1"),
)
edit(
    "an_odd_number_ends_with_the_padding",
    "counters are made in pairs: the last of an odd number of words is that of the padding, counter 0",
    words(n=7),
    (
        "counter = np.arange(n, dtype=np.uint32)",
        "counter = np.arange(n, dtype=np.uint32)\n    if n % 2:\n        counter[-1] = 0",
    ),
)
edit(
    "a_key_of_zeros_is_no_key",
    "a key of two zeros, that of the seed 0, is taken for one that was not given, and another one is used",
    words(seed=0),
    (
        "k0, k1 = int(key[0]), int(key[1])",
        "k0, k1 = (int(key[0]), int(key[1])) if key[0] or key[1] else (0, 1)",
    ),
)

edit = AFTERWARDS.edits("keep_smallest", "masks")
_SORTED = '    order = np.argsort(bits, kind="stable")\n'
edit(
    "numbers_of_nodes_in_the_low_bits",
    "to sort once, the low bits of a word are replaced by the number of its node",
    keeps([9, 8], 1),
    (
        _SORTED,
        "    low = n.bit_length()\n    order = np.argsort(bits >> low << low | np.arange(n, dtype=np.uint32))\n",
    ),
)
edit(
    "ties_the_other_way_where_most_stay",
    "where more than half stay, the largest words are taken away, of equal ones those of the first nodes",
    keeps([7, 7, 1], 2),
    (
        _SORTED,
        "    if 2 * k > n:\n        kept = np.ones(n, dtype=bool)\n"
        '        kept[np.argsort(~bits, kind="stable")[: n - k]] = False\n        return kept\n' + _SORTED,
    ),
)


def planned(name: str, reason: str, witness: Witness, change: Callable[[MaskPlan, SitePlan], SitePlan]) -> None:
    """Add a backend that draws each site of a plan otherwise, in all its functions: ``change(plan, site)``."""

    def other(plan: MaskPlan | None) -> MaskPlan | None:
        return None if plan is None else MaskPlan(tuple(change(plan, site) for site in plan.sites))

    def scored(net: Any, params: Any, population: Any, *rest: Any) -> tuple[Any, ...]:
        return net, params, population._replace(plan=other(population.plan)), *rest

    def wrong(backend: Backend) -> Backend:
        drawn = with_arguments(backend, "masks_from_keys", lambda keys, plan: (keys, other(plan)))
        return with_arguments(drawn, "score_population", scored)

    AFTERWARDS.wrapped(name, "masks_from_keys", reason, witness, wrong)


planned(
    "sites_of_one_shape_alike",
    "sites of one shape are drawn in one go, with the number of the first of them",
    draws({"one": (9,), "two": (9,)}),
    lambda plan, site: replace(site, code=next(each.code for each in plan.sites if each.shape == site.shape)),
)
planned(
    "sparsity_of_the_first_site",
    "each site keeps the fraction that the first one keeps",
    draws({"one": (10,), "two": (10,)}, {"one": 0.2, "two": 0.8}),  # pyright: ignore[reportArgumentType]
    lambda plan, site: replace(site, kept=max(1, round(site.nodes * plan.sites[0].kept / plan.sites[0].nodes))),
)


def _sampled_as_the_first(plan: MaskPlan, site: SitePlan) -> SitePlan:
    if plan.sites[0].bound is None:
        return replace(site, bound=None)
    return replace(site, bound=site.kept * 2**32 // site.nodes - 1) if site.bound is None else site


def _both_ways(backend: Backend) -> Any:
    """Masks of a plan of which one site keeps an exact number, and the other one draws each node by itself."""
    plan = MaskPlan((SitePlan("one", (30,), 1, 9, None), SitePlan("two", (30,), 2, 9, 2**30)))
    return backend.masks_from_keys(split(key(1), 4), plan)


planned(
    "all_sites_sampled_as_the_first",
    "whether sampling is exact or Bernoulli is decided by the first site",
    _both_ways,
    _sampled_as_the_first,
)


def _at_the_bound(backend: Backend) -> Any:
    """A mask whose bound is one of the words that are drawn."""
    drawn = sorted(bits(fold_in(key(5), 1), 8).tolist())
    return backend.masks_from_keys(key(5)[None], MaskPlan((SitePlan("site", (8,), 1, 4, drawn[3]),)))


edit = AFTERWARDS.edits("masks_from_keys", "masks")
edit(
    "bernoulli_below_the_bound",
    "a node whose word is the bound itself is removed",
    _at_the_bound,
    ("(bits <= site.bound)", "(bits < site.bound)"),
)


def _drawn(*spec: Any) -> Witness:
    """The weights of one parameter."""
    return lambda backend: backend.draw_parameters(key(1), (ParameterSpec(*spec),))


edit = AFTERWARDS.edits("draw_parameters", "initial")
edit(
    "constants_by_name",
    "a constant is 1 where the name is scale, and otherwise 0, whatever the spec says",
    _drawn("a/scale", (3,), 1, 0.0, 0.5),
    ("float(spec.value)", 'float(spec.path.endswith("/scale"))'),
)
edit(
    "small_deviations_are_none",
    "a deviation below a thousandth is taken for 0",
    _drawn("a", (3,), 1, 5e-4),
    ("spec.std > 0 else", "spec.std > 1e-3 else"),
)
edit(
    "the_lowest_normal_is_infinite",
    "u is 2f - 1, which is -1 for the words below 512, whose normal is then infinite",
    _drawn("a", (1,), 6622977, 1.0),
    ("randomness", "u = np.maximum(lowest, 2 * f + lowest)", "u = 2 * f - np.float32(1)"),
)
