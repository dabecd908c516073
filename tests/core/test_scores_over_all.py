"""Masks from scores where the plan has a total: the highest of all sites, at least one of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core import masks_from_scores
from weedout_core.backend import MaskPlan, SitePlan, masks_from_keys
from weedout_core.scores import near_threshold
from weedout_core.testing.examples import last_node_kept

SPACE = {"block/one": (3, 4), "two": (5,), "three": (1,)}
#: Scores and the site of each.
NODES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 6), st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])),
    min_size=1,
    max_size=14,
)


def plan_of(sizes: list[int], total: int) -> MaskPlan:
    return MaskPlan(tuple(SitePlan(f"site_{n}", (size,), n, 1, None) for n, size in enumerate(sizes)), total)


@given(
    st.lists(st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.inf]), min_size=18, max_size=18),
    st.sampled_from([0.0, 0.25, 0.5, 0.8, 0.95]),
    st.integers(0, 2**64 - 1),
)
def test_the_highest_of_all_sites_stay_and_each_sites_highest(values: list[float], sparsity: float, seed: int) -> None:
    with last_node_kept():
        plan, key = wc.mask_plan(SPACE, sparsity, allocation="global"), wc.key(seed)
    flat = dict(zip(SPACE, np.split(np.array(values), [12, 17]), strict=True))
    masks = masks_from_scores({site: flat[site].reshape(shape) for site, shape in SPACE.items()}, plan, key)
    nodes = [
        (-flat[site.site][index], int(word), place, index)
        for place, site in enumerate(plan.sites)
        for index, word in enumerate(wc.random.bits(wc.random.fold_in(key, site.code), site.nodes))
    ]
    first = [min(node for node in nodes if node[2] == place) for place in range(3)]
    assert plan.total is not None
    others = sorted(node for node in nodes if node not in first)[: plan.total - 3]
    wanted = sorted((place, index) for *_, place, index in (*first, *others))
    found = [(place, int(index)) for place, site in enumerate(SPACE) for index in np.flatnonzero(masks[site])]
    assert found == wanted


@given(st.sampled_from([0.0, 0.25, 0.5, 0.8]), st.integers(0, 2**64 - 1))
def test_equal_scores_give_the_random_masks_of_the_key(sparsity: float, seed: int) -> None:
    plan, key = wc.mask_plan(SPACE, sparsity, allocation="global"), wc.key(seed)
    found = masks_from_scores({site: np.full(shape, 1.5) for site, shape in SPACE.items()}, plan, key)
    for site, mask in masks_from_keys(key, plan).items():
        np.testing.assert_array_equal(found[site], mask)


def test_of_equal_words_the_first_site_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weedout_core._masks.scored.bits", lambda key, n: np.arange(n, dtype=np.uint32) // 2)
    found = masks_from_scores({"site_0": np.zeros(4), "site_1": np.zeros(4)}, plan_of([4, 4], 5), wc.key(0))
    # Words 0 0 1 1 at each: the first of each site stays, and of the words 0 and 1, which are as one, the first three.
    assert [mask.tolist() for mask in found.values()] == [[True] * 4, [True] + [False] * 3]


@given(NODES, st.integers(0, 2**64 - 1), st.data())
def test_whatever_another_computation_keeps_instead_is_counted(
    nodes: list[tuple[int, int, float]], seed: int, data: st.DataObject
) -> None:
    """Scores at most half a bound apart, each moved by at most the bound, and equal ones by as much."""
    bound, moved = 0.5, {score: by for _, score, by in nodes}
    sites = sorted({site for site, *_ in nodes})
    rated = [np.array([0.25 * score for site, score, _ in nodes if site == one]) for one in sites]
    total = data.draw(st.integers(len(sites), len(nodes)))
    plan = plan_of([len(one) for one in rated], total)
    scores = dict(zip(plan.kept, rated, strict=True))
    other = {site: np.array([one + bound * moved[round(4 * one)] for one in some]) for site, some in scores.items()}
    here, there = (masks_from_scores(one, plan, wc.key(seed)) for one in (scores, other))
    changed = sum(int((here[site] != there[site]).sum()) for site in scores)
    assert changed <= sum(near_threshold(scores, plan, bound).values())


def test_a_node_that_is_alone_competes_with_those_of_its_site() -> None:
    """The second site keeps its highest, 1, only because it must keep one: 0.9 may take its place, and 5 is far."""
    scores = {"site_0": np.array([9.0, 8.0, 7.0, 5.0]), "site_1": np.array([0.9, 1.0, 0.0])}
    plan = plan_of([4, 3], 4)
    assert {site: int(mask.sum()) for site, mask in masks_from_scores(scores, plan, wc.key(0)).items()} == {
        "site_0": 3,
        "site_1": 1,
    }
    assert near_threshold(scores, plan, 0.05) == {"site_0": 0, "site_1": 2}
    assert near_threshold(scores, plan, 1.0) == {"site_0": 2, "site_1": 3}


def test_scores_that_do_not_differ_are_near_nothing() -> None:
    scores = {"site_0": np.ones(4), "site_1": np.ones(3)}
    assert near_threshold(scores, plan_of([4, 3], 4), 1.0) == {"site_0": 0, "site_1": 0}
