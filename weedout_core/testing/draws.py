"""Checks of what is drawn: random words and masks, which must be equal to the bit, and initial weights."""

import inspect
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weedout_core._contract import calls as contract
from weedout_core._contract import optional_calls
from weedout_core._contract.record import Backend
from weedout_core._masks.plan import MaskPlan, SitePlan, mask_plan
from weedout_core._networks.initial import Fan, ParameterSpec, he_normal
from weedout_core._random.keys import path_code
from weedout_core._random.stream import fold_in, split
from weedout_core.testing.cases import KEYS
from weedout_core.testing.comparing import equal
from weedout_core.testing.examples import SHAPES, keys, last_node_kept, spaces, sparsities, tied_words
from weedout_core.testing.networks import networks
from weedout_core.testing.properties import half, heavy, light
from weedout_core.testing.tolerances import bound

_PROTOCOLS = {
    "random_bits": contract.RandomBits,
    "keep_smallest": contract.KeepSmallest,
    "masks_from_keys": contract.MasksFromKeys,
    "draw_parameters": contract.DrawParameters,
    "score_population": contract.ScorePopulation,
    "predict": contract.Predict,
    "train_init": contract.TrainInit,
    "train_epoch": contract.TrainEpoch,
    "score_trained": optional_calls.ScoreTrained,
}


def signatures(backend: Backend, reference: Backend) -> None:
    """The functions take the contract's arguments, by name and in order."""
    del reference
    for name, protocol in _PROTOCOLS.items():
        if (function := getattr(backend, name)) is None:
            continue
        wanted = list(inspect.signature(protocol.__call__).parameters)[1:]
        got = list(inspect.signature(function).parameters)
        assert got == wanted, f"{name} takes {got}; the contract has {wanted}"


#: Numbers of words: one, few, an odd number, and more than 2^16.
_COUNTS = (1, 2, 37, 3001, 2**16 + 77)


def random_bits(backend: Backend, reference: Backend) -> None:
    """Random words are equal, and a word does not depend on how many are drawn with it."""

    def agree(key: np.ndarray, n: int) -> None:
        words = backend.to_numpy(backend.random_bits(key, n))
        equal(f"random_bits({key.tolist()}, {n})", words, reference.to_numpy(reference.random_bits(key, n)))
        equal("random_bits of fewer", backend.to_numpy(backend.random_bits(key, 2))[:n], words[:2])

    for key in KEYS:
        agree(key, 37)
    for n in _COUNTS:
        agree(KEYS[-1], n)
    light(given(keys(), st.sampled_from(_COUNTS[:-1]))(agree))()


#: Words that are in order, in the other order, all equal, and so near to one another that float32 has one number for
#: several; with 0 and 2^32 - 1, which are words as all others.
_WORDS = {
    "0 to n": lambda n: np.arange(n),
    "n to 0": lambda n: np.arange(n)[::-1],
    "all 0": lambda n: np.zeros(n),
    "all 2^32 - 1": lambda n: np.full(n, 2**32 - 1),
    "near 2^31": lambda n: 2**31 + (np.arange(n) * 7919 % n) - n // 2,
    "near 2^32": lambda n: 2**32 - 1 - (np.arange(n) * 7919 % n) // 2,
}


def keep_smallest(backend: Backend, reference: Backend) -> None:
    """The same nodes are kept, ties going to the lowest index."""

    def agree(words: np.ndarray, k: int, name: str = "") -> None:
        kept = backend.to_numpy(backend.keep_smallest(words, k))
        equal(f"keep_smallest({name or words.tolist()}, k={k})", kept, _kept(reference, words, k))

    for name, make in _WORDS.items():
        for n, k in ((60, 1), (60, 30), (60, 59), (60, 60), (64, 24), (2**16 + 77, 2**15 + 99)):
            agree(make(n).astype(np.uint32), k, f"{name}, n={n}")
    light(given(tied_words())(lambda case: agree(*case)))()
    for key in KEYS:
        for n in (1, 37):
            kept = backend.keep_smallest(backend.random_bits(key, n), (n + 1) // 2)
            words = reference.to_numpy(reference.random_bits(key, n))
            equal("keep_smallest of random_bits", backend.to_numpy(kept), _kept(reference, words, (n + 1) // 2))


def _kept(reference: Backend, words: np.ndarray, k: int) -> np.ndarray:
    return reference.to_numpy(reference.keep_smallest(words, k))


def _plans() -> list[MaskPlan]:
    """Plans of one site and of many, at all kinds of sparsity, of any shape and size, by all ways of sampling."""
    many = {f"block/{place}/site": shape for place, shape in enumerate(SHAPES)}
    each_its_own = dict(zip(many, (0.0, 0.3, 0.5, 0.8, 0.2, 0.25, 0.0, 0.99, float(np.nextafter(1, 0))), strict=True))
    with last_node_kept():
        drawn = [
            mask_plan(space, sparsity, sampling)
            for sampling in ("exact", "bernoulli")
            for space, sparsity in ((many, each_its_own), ({"large": (2**16 + 77,)}, 0.4))
        ]
    # A code is any number: the names of sites say nothing about it.
    codes = (0, 1, 2**31, 2**32 - 1)
    counts = zip(codes, (11, 1, 29, 12), strict=True)  # sites of one shape need not keep equally many
    coded = (SitePlan(f"site_{code}", (5, 3, 2), code, kept, None) for code, kept in counts)
    bound = (SitePlan(f"site_{code}", (5, 3, 2), code, 11, limit) for code, limit in zip(codes, BOUNDS, strict=True))
    return [*drawn, MaskPlan(tuple(coded)), MaskPlan(tuple(bound)), *_over_all()]


def _over_all() -> list[MaskPlan]:
    """Plans with a total, which keep as few as can be, some or all: of one site, a few, large ones and single nodes."""

    def plan(sites: dict[int, tuple[int, ...]], total: int) -> MaskPlan:
        return MaskPlan(tuple(SitePlan(f"site_{code}", shape, code, 1, None) for code, shape in sites.items()), total)

    few = {5: (5, 3), 2**31: (1,), 2**32 - 1: (2, 3, 4)}
    return [
        *(plan(few, total) for total in (3, 20, 40)),
        plan({5: (7,)}, 4),
        plan({5: (1,), 9: (1, 1, 1)}, 2),
        plan({3: (2**16 + 77,), 8: (9,)}, 2**15),
        plan(dict.fromkeys(TIED, (60,)), 26),
    ]


#: Of ``KEYS[-1]`` the word 48 of the first code and the word 22 of the second are equal. Smaller are 25: if 26 nodes
#: are kept, the order of the sites decides, and the indices would decide otherwise.
TIED = (669, 3627)


#: The bounds of Bernoulli sampling that decide: the smallest, about a half on either side, and the largest.
BOUNDS = (0, 2**31 - 1, 2**31 + 5, 2**32 - 1)


def masks_from_keys(backend: Backend, reference: Backend) -> None:
    """Masks are equal for any space, sparsity, sampling, count and key; exact masks keep what is planned."""
    for plan in _plans():
        large = max(site.nodes for site in plan.sites) > 2**16
        _masks_agree(backend, reference, split(KEYS[-1], 2) if large else np.stack(KEYS), plan)
    many = MaskPlan((SitePlan("a", (5, 3), 7, 4, None), SitePlan("b", (11,), 8, 5, 2**30)))
    _masks_agree(backend, reference, split(KEYS[2], 261), many)

    @half
    @given(keys(), st.sampled_from([1, 4]))
    def agree(key: np.ndarray, count: int) -> None:
        _masks_agree(backend, reference, split(key, count), many)

    agree()


def _masks_agree(backend: Backend, reference: Backend, candidates: np.ndarray, plan: MaskPlan) -> None:
    drawn, wanted = backend.masks_from_keys(candidates, plan), reference.masks_from_keys(candidates, plan)
    assert set(drawn) == {site.site for site in plan.sites}, f"sites {sorted(drawn)}"
    for site in plan.sites:
        mask = backend.to_numpy(drawn[site.site])
        kept = mask.reshape(len(candidates), -1).sum(axis=1)
        assert (kept >= 1).all(), f"{site}: a candidate keeps no node"
        assert site.site not in plan.counts or (kept == site.kept).all(), f"{site}: kept {kept.tolist()}"
        equal(f"masks of {len(candidates)} candidates for {site}", mask, reference.to_numpy(wanted[site.site]))


def bernoulli_thresholds(backend: Backend, reference: Backend) -> None:
    """A word equal to the threshold keeps its node, and a word one above it does not.

    The thresholds are chosen next to drawn words. A random word is next to a given threshold once in billions of draws,
    so that a rounded threshold would otherwise not be noticed.
    """

    @heavy
    @given(keys(), st.sampled_from([1, 7, 64]), st.data())
    def agree(key: np.ndarray, nodes: int, data: Any) -> None:
        candidates = split(key, 1)
        words = reference.to_numpy(reference.random_bits(fold_in(candidates[0], path_code("a")), nodes))
        word = int(words[data.draw(st.integers(0, nodes - 1))])
        for threshold in (word, max(word - 1, 0)):
            plan = MaskPlan((SitePlan("a", (nodes,), path_code("a"), 1, threshold),))
            got = backend.to_numpy(backend.masks_from_keys(candidates, plan)["a"])
            equal(
                f"mask for the bound {threshold}",
                got,
                reference.to_numpy(reference.masks_from_keys(candidates, plan)["a"]),
            )

    agree()


def sample_masks(backend: Backend, reference: Backend) -> None:
    """Candidate i of a sample is drawn from ``fold_in(key, i)``, whatever the count."""

    @heavy
    @given(keys(), spaces(), sparsities(), st.sampled_from([2, 4]))
    def agree(key: np.ndarray, space: dict[str, tuple[int, ...]], sparsity: float, count: int) -> None:
        with last_node_kept():
            drawn = backend.sample_masks(key, space, sparsity=sparsity, count=count)
            alone = reference.masks_from_keys(split(key, count)[-1:], mask_plan(space, sparsity))
        for site in space:
            equal(f"mask of {site!r}", backend.to_numpy(drawn[site])[-1:], reference.to_numpy(alone[site]))

    agree()


#: Beyond what networks have: deviations above 1 and next to 0, constants that are no integers, codes that are not the
#: path's, a parameter without axes, and one of more than 2^16 numbers.
_SPECS = (
    ParameterSpec("wide/kernel", (5, 4), 2**31 + 1, 3.5, 0.0),
    ParameterSpec("wide/bias", (7,), 0, 0.0, 0.625),
    ParameterSpec("none/kernel", (5, 4), 0, 0.5, 0.0),
    ParameterSpec("window/kernel", (3, 3, 2, 5), 2**32 - 1, 1.0, 0.0),
    ParameterSpec("narrow/kernel", (4, 3), 9, 5e-4, 0.0),
    ParameterSpec("narrowest/kernel", (4, 3), 10, 1e-6, 0.0),
    ParameterSpec("factor", (), 1, 0.5, 0.0),
    ParameterSpec("constant", (), 3, 0.0, -1.5),
    ParameterSpec("drawn", (1,), 5, 0.5, 2.0),  # where a deviation is given, the value is none
    ParameterSpec("large/kernel", (257, 256), 4, 0.01, 0.0),
)


def draw_parameters(backend: Backend, reference: Backend) -> None:
    """Initial weights agree within the error of erfinv; biases are zero."""

    def agree(key: np.ndarray, specs: tuple[ParameterSpec, ...]) -> None:
        drawn, wanted = backend.draw_parameters(key, specs), reference.draw_parameters(key, specs)
        assert set(drawn) == {spec.path for spec in specs}, f"paths {sorted(drawn)}"
        off = bound("draw_parameters")({path: reference.to_numpy(value) for path, value in wanted.items()})
        for spec in specs:
            got, true = backend.to_numpy(drawn[spec.path]), reference.to_numpy(wanted[spec.path])
            assert got.shape == spec.shape, f"{spec.path}: shape {got.shape}"
            too_far = np.argwhere(np.atleast_1d(~(np.abs(got - true) <= off[spec.path])))  # a NaN is too far
            assert not len(too_far), f"{spec}: {len(too_far)} of {got.size} weights differ by more than the bound"

    fans: tuple[Fan, Fan] = ("fan_in", "fan_out")
    drawn = [he_normal(net, fans[place % 2]) for place, net in enumerate(networks(backend)[::3])]
    many = tuple(ParameterSpec(f"{place}/kernel", (3,), place, 1.0, 0.0) for place in range(20))
    for one in (*drawn, many, _SPECS):
        agree(KEYS[-1], one)
    for key in KEYS:
        agree(key, _SPECS[:-1])
    light(given(keys())(lambda key: agree(key, _SPECS[:-1])))()
