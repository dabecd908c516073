"""Masks of one plan become masks of another: which nodes go, how many, and by what law."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import weedout_core as wc
from weedout_core._algorithm.strategies.breeding import thinned

SPACE = {"one": (40,), "other": (3, 3, 2)}
M = 6
SPARSITY = st.floats(0, 0.95)


def plan(sparsity: float, allocation: str) -> wc.backend.MaskPlan:
    if allocation == "bernoulli":
        return wc.mask_plan(SPACE, sparsity, "bernoulli")
    return wc.mask_plan(SPACE, sparsity, allocation=allocation)


def drawn(of: wc.backend.MaskPlan, seed: int, count: int = M) -> dict[str, NDArray[np.bool_]]:
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), count), of)
    return {site: mask.reshape(count, -1) for site, mask in masks.items()}


@pytest.mark.filterwarnings("ignore::weedout_core.errors.WeedoutWarning")
@given(st.integers(0, 2**32 - 1), SPARSITY, SPARSITY)
def test_at_each_site_the_smallest_words_of_those_that_were_kept_stay(seed: int, one: float, other: float) -> None:
    """Where more are kept, all of those before, and of the others the smallest words."""
    before, after = plan(one, "uniform"), plan(other, "uniform")
    masks, keys = drawn(before, seed), wc.random.split(wc.key(seed + 1), M)
    found = thinned(keys, masks, before, after)
    for site in after.sites:
        for row in range(M):
            words = wc.random.bits(wc.random.fold_in(keys[row], site.code), site.nodes)
            was = masks[site.site][row]
            ranked = sorted(
                range(site.nodes), key=lambda node, words=words, was=was: (not was[node], words[node], node)
            )
            assert np.flatnonzero(found[site.site][row]).tolist() == sorted(ranked[: site.kept])


@pytest.mark.filterwarnings("ignore::weedout_core.errors.WeedoutWarning")
@given(st.integers(0, 2**32 - 1), SPARSITY, SPARSITY)
def test_over_all_sites_the_total_is_exact_and_each_site_keeps_a_node(seed: int, one: float, other: float) -> None:
    before, after = plan(one, "global"), plan(other, "global")
    masks = drawn(before, seed)
    found = thinned(wc.random.split(wc.key(seed + 1), M), masks, before, after)
    was, now = (np.concatenate([each[site] for site in SPACE], axis=1) for each in (masks, found))
    assert (now.sum(axis=1) == after.nodes_kept).all()
    assert all(mask.any(axis=1).all() for mask in found.values())
    assert ((now <= was) if other >= one else (now >= was)).all()


@pytest.mark.parametrize(("one", "other"), [(0.2, 0.7), (0.7, 0.2), (0.5, 0.5), (0.0, 0.9)])
def test_under_bernoulli_sampling_the_law_is_that_of_the_new_plan(one: float, other: float) -> None:
    """Of 4,000 rows: five standard deviations of the share that is kept, √(p(1 − p)/n). One node stays in any case."""
    before, after = plan(one, "bernoulli"), plan(other, "bernoulli")
    masks = drawn(before, 1, 4000)
    found = thinned(wc.random.split(wc.key(2), 4000), masks, before, after)
    for site, mask in found.items():
        was, share = masks[site], mask.mean()
        nodes = mask.shape[1]
        assert abs(share - (1 - other) - other**nodes / nodes) <= 5 * math.sqrt(other * (1 - other) / mask.size) + 1e-9
        assert ((mask <= was) if other >= one else (mask >= was)).all()
        assert other != one or (mask == was).all()


@pytest.mark.filterwarnings("ignore::weedout_core.errors.WeedoutWarning")
def test_the_last_node_of_a_site_stays_under_bernoulli_sampling() -> None:
    before, after = plan(0.5, "bernoulli"), plan(0.999, "bernoulli")
    found: Any = thinned(wc.random.split(wc.key(4), 500), drawn(before, 3, 500), before, after)
    assert all(mask.any(axis=1).all() for mask in found.values())
    assert all((mask.sum(axis=1) == 1).mean() > 0.9 for mask in found.values())
