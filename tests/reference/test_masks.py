"""Masks: counts by hand, ties, and the ends of the Bernoulli bound."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core.backend import MaskPlan, SitePlan
from weedout_core.errors import ConfigError
from weedout_core.random import split
from weedout_numpy.masks import bernoulli_bound, count_kept, draw_mask, draw_masks, erk, keep_smallest, mask_plan
from weedout_numpy.randomness import fold_in, key, path_code, random_bits


@pytest.mark.parametrize(
    ("sparsity", "nodes", "kept"),
    [
        (0.0, 10, 10),
        (0.8, 10, 2),
        (0.8, 512, 102),  # 409.6 are removed: 410
        (0.25, 10, 7),  # 2.5 are removed: halves are rounded up, 3
        (0.5, 1, 1),  # 0.5 is removed: 1, but one node stays
        (0.999, 10, 1),  # 9.99 are removed: 10, but one node stays
        (0.04, 10, 10),  # 0.4 is removed: 0
    ],
)
def test_counts(sparsity: float, nodes: int, kept: int) -> None:
    assert count_kept(sparsity, nodes) == kept, "n − ⌊η·n + 1/2⌋ nodes stay, and at least one"


@pytest.mark.parametrize(
    ("sparsity", "bound"),
    [(0.0, 2**32 - 1), (0.5, 2**31 - 1), (0.75, 2**30 - 1), (1 - 2**-32, 0), (1 - 2**-40, 0)],
)
def test_bernoulli_bounds(sparsity: float, bound: int) -> None:
    assert bernoulli_bound(sparsity) == bound, "(1 − η)·2^32 words keep a node, at least one; the bound is the largest"


def test_a_plan_names_every_site_with_its_count_and_code() -> None:
    exact = mask_plan({"a": (10,), "b": (2, 3)}, {"a": 0.5, "b": 0.0}, "exact")
    assert exact.sites == (
        SitePlan("a", (10,), path_code("a"), 5, None),
        SitePlan("b", (2, 3), path_code("b"), 6, None),
    ), "each site takes its own sparsity; exact sites have no bound"
    (bernoulli,) = mask_plan({"a": (10,)}, 0.75, "bernoulli").sites
    assert bernoulli == SitePlan("a", (10,), path_code("a"), 2, 2**30 - 1), "⌊7.5 + 1/2⌋ = 8 of 10 are expected to go"


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.data())
def test_the_kept_are_no_larger_than_the_removed_and_ties_go_to_the_lowest_index(
    values: list[int], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(values)), label="k")
    kept = keep_smallest(np.array(values, dtype=np.uint32), k)
    assert kept.sum() == k, "exactly k nodes are kept"
    for i, j in combinations(range(len(values)), 2):
        if (values[i], i) < (values[j], j):
            assert kept[i] or not kept[j], f"node {j} is kept before the smaller {i}"
        else:
            assert kept[j] or not kept[i], f"node {i} is kept before the smaller {j}"


def test_equal_words_keep_the_first_nodes() -> None:
    np.testing.assert_array_equal(keep_smallest(np.full(4, 9, dtype=np.uint32), 2), [True, True, False, False])


def test_words_are_unsigned() -> None:
    words = np.array([2**31, 1, 2**32 - 1, 0], dtype=np.uint32)
    np.testing.assert_array_equal(keep_smallest(words, 2), [False, True, False, True], "2^31 is larger than 1")


@pytest.mark.parametrize("k", [0, 4, -1])
def test_a_count_out_of_range_is_an_error(k: int) -> None:
    with pytest.raises(ConfigError, match=rf"keep_smallest needs 1 ≤ k ≤ 3, the number of nodes; got {k}\."):
        keep_smallest(np.zeros(3, dtype=np.uint32), k)


def test_a_mask_is_drawn_from_the_stream_of_its_site() -> None:
    site = SitePlan("b", (2, 3), path_code("b"), 4, None)
    expected = keep_smallest(random_bits(fold_in(key(1), path_code("b")), 6), 4).reshape(2, 3)
    np.testing.assert_array_equal(draw_mask(key(1), site), expected)


def test_bernoulli_keeps_a_node_up_to_the_bound_itself() -> None:
    words = random_bits(fold_in(key(1), path_code("a")), 50)
    bound = int(np.sort(words)[20])
    mask = draw_mask(key(1), SitePlan("a", (50,), path_code("a"), 1, bound))
    assert mask.sum() == 21, "the word that equals the bound keeps its node"
    np.testing.assert_array_equal(mask, words <= bound)


def test_bernoulli_keeps_the_smallest_word_where_none_is_below_the_bound() -> None:
    words = random_bits(fold_in(key(1), path_code("a")), 50)
    mask = draw_mask(key(1), SitePlan("a", (50,), path_code("a"), 1, 0))
    np.testing.assert_array_equal(np.flatnonzero(mask), [words.argmin()], "one node stays, the one with the least word")


def drawn(parent: np.ndarray, count: int, plan: MaskPlan) -> np.ndarray:
    """The masks at site "a" of so many candidates, bool ``(count, nodes)``."""
    return np.stack([draw_masks(one, plan)["a"] for one in split(parent, count)])


def test_bernoulli_at_sparsity_zero_keeps_all() -> None:
    plan = mask_plan({"a": (1000,)}, 0.0, "bernoulli")
    assert drawn(key(2), 5, plan).all(), "2^32 − 1 bounds every word"


def test_bernoulli_counts_are_binomial() -> None:
    """100 masks of 1000 nodes at η = 0.8: 20,000 kept ± 6 standard deviations of √(10^5 · 0.2 · 0.8) = 126."""
    masks = drawn(key(3), 100, mask_plan({"a": (1000,)}, 0.8, "bernoulli"))
    assert abs(int(masks.sum()) - 20_000) < 6 * math.sqrt(1e5 * 0.2 * 0.8)
    assert len(set(masks.sum(axis=1).tolist())) > 1, "the count must differ from mask to mask"


def test_every_node_is_kept_equally_often() -> None:
    """Each of 8 nodes is kept in 1/4 of 4,000 masks: 1,000 ± 6 standard deviations of √(4000 · 3/16) = 27."""
    masks = drawn(key(4), 4000, mask_plan({"a": (8,)}, 0.75, "exact"))
    assert (masks.sum(axis=1) == 2).all(), "an exact mask keeps the same number every time"
    assert (abs(masks.sum(axis=0) - 1000) < 6 * math.sqrt(4000 * 3 / 16)).all(), masks.sum(axis=0)


def test_a_global_plan_has_a_total_and_the_same_portion_of_it_for_each_site_rounded() -> None:
    plan = mask_plan({"a": (10,), "b": (2, 3), "c": (1,)}, 0.7, "exact", "global")
    assert plan.total == 17 - 12, "11.9 of 17 are removed"
    assert plan.kept == {"a": 3, "b": 2, "c": 1}, "2.94, 1.76 and 0.29 of the 5, and at least one"
    assert mask_plan({"a": (3,), "b": (3,)}, 0.9, "exact", "global").total == 2, "each site keeps one"


def test_global_masks_are_of_the_smallest_words_of_all_sites_and_each_sites_smallest() -> None:
    plan = mask_plan({"a": (20,), "b": (5,), "c": (1,)}, 0.5, "exact", "global")
    for one in split(key(6), 20):
        masks = draw_masks(one, plan)
        words = {site.site: random_bits(fold_in(one, site.code), site.nodes) for site in plan.sites}
        assert sum(int(mask.sum()) for mask in masks.values()) == 13
        assert all(mask[words[site].argmin()] for site, mask in masks.items()), "the smallest of each site stays"
        free = [word for site, mask in masks.items() for word in words[site][mask] if word != words[site].min()]
        removed = [word for site, mask in masks.items() for word in words[site][~mask]]
        assert max(free) < min(removed)


def test_a_function_says_how_many_nodes_stay() -> None:
    counts = {"a": 3, "b": 6}
    plan = mask_plan({"a": (10,), "b": (2, 3)}, 0.5, "exact", lambda *_: counts)
    assert plan.kept == counts
    (first, second) = mask_plan({"a": (10,), "b": (2, 3)}, 0.5, "bernoulli", lambda *_: counts).sites
    assert (first.bound, second.bound) == (round(0.3 * 2**32) - 1, 2**32 - 1)


@pytest.mark.parametrize("sparsity", [0.0, 0.2, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("net", [
    wc.mlp((64,), (64, 32, 4), 10), wc.mlp((8, 8, 1), (7, 7), 3), wc.vgg(8, 10, (8, 8, 3)),
    wc.wide_resnet(10, 1, 10, (8, 8, 3), "channel", mask_residual=True),
], ids=["mlp", "equal", "vgg", "wrn"])  # fmt: skip
def test_erk_is_that_of_the_library(net: wc.Network, sparsity: float) -> None:
    space = wc.mask_space(net)
    assert erk(net)(space, sparsity) == wc.erk(net)(space, sparsity)
