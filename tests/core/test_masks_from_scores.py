"""Masks from scores: the highest stay, ties as random masks have them, and what another computation may turn round."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core import masks_from_scores
from weedout_core.backend import masks_from_keys
from weedout_core.scores import near_threshold

SPACE = {"block/one": (3, 4), "two": (5,)}
PLAN = wc.mask_plan(SPACE, 0.6)
KEY = wc.key(7)


def scores(values: Any = 0.0) -> dict[str, np.ndarray]:
    return {site: np.full(shape, values) for site, shape in SPACE.items()}


@given(
    st.lists(st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 2.0, np.inf]), min_size=12, max_size=12),
    st.sampled_from([0.0, 0.25, 0.5, 0.8]),
    st.integers(0, 2**64 - 1),
)
def test_the_highest_stay_and_ties_are_ordered_by_words(values: list[float], sparsity: float, seed: int) -> None:
    plan, key = wc.mask_plan({"site": (3, 4)}, sparsity), wc.key(seed)
    mask = masks_from_scores({"site": np.reshape(values, (3, 4))}, plan, key)["site"].reshape(-1)
    words = wc.random.bits(wc.random.fold_in(key, plan.sites[0].code), 12)
    wanted = sorted(range(12), key=lambda node: (-values[node], words[node], node))[: plan.kept["site"]]
    assert sorted(np.flatnonzero(mask)) == sorted(wanted)


def test_of_equal_words_the_first_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weedout_core._masks.scored.bits", lambda key, n: np.full(n, 3, np.uint32))
    found = masks_from_scores(scores(), PLAN, KEY)
    assert found["two"].tolist() == [True, True, False, False, False]


@given(st.sampled_from([0.0, 0.25, 0.5, 0.8]), st.integers(0, 2**64 - 1))
def test_equal_scores_give_the_random_masks_of_the_key(sparsity: float, seed: int) -> None:
    plan, key = wc.mask_plan(SPACE, sparsity), wc.key(seed)
    found, wanted = masks_from_scores(scores(1.5), plan, key), masks_from_keys(key, plan)
    for site, mask in wanted.items():
        np.testing.assert_array_equal(found[site], mask)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint64, np.bool_])
def test_scores_of_any_type_of_number_are_compared_as_they_are(dtype: type) -> None:
    rated = {"site": np.array([0, 1, 0, 1, 1], dtype=dtype)}
    mask = masks_from_scores(rated, wc.mask_plan({"site": (5,)}, 0.4), KEY)["site"]
    assert mask.dtype == np.bool_
    assert mask.tolist() == [False, True, False, True, True]


def test_large_integers_are_not_rounded() -> None:
    rated = {"site": np.array([2**62, 2**62 + 1, 2**62 + 2])}
    assert masks_from_scores(rated, wc.mask_plan({"site": (3,)}, 0.7), KEY)["site"].tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("given_scores", "text"),
    [
        (
            {"two": np.zeros(5)},
            r"scores must be of the sites \['block/one', 'two'\]; got \['two'\]\. Give an entry for each node of",
        ),
        (
            scores() | {"two": np.zeros((5, 1))},
            r"scores of site 'two' must have shape \(5,\); got \(5, 1\)\.",
        ),
        (scores() | {"two": np.array([0, 1, np.nan, 2, np.nan])}, "2 of the 5 of site 'two' are NaN"),
        (scores() | {"two": ["high"] * 5}, r"\['two'\] must be an array of numbers"),
    ],
)
@pytest.mark.parametrize("function", [lambda rated: masks_from_scores(rated, PLAN, KEY),
                                      lambda rated: near_threshold(rated, PLAN, 0.1)])  # fmt: skip
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_score_is_refused(function: Any, given_scores: Any, text: str) -> None:
    with pytest.raises(wc.WeedoutError, match=text):
        function(given_scores)


def test_a_plan_without_fixed_numbers_is_refused() -> None:
    plan = wc.mask_plan(SPACE, 0.5, "bernoulli")
    with pytest.raises(wc.errors.ConfigError, match="make the plan with sampling='exact'"):
        masks_from_scores(scores(), plan, KEY)


def test_a_network_without_masks_has_none() -> None:
    assert masks_from_scores({}, wc.mask_plan({}, 0.5), KEY) == {}
    assert near_threshold({}, wc.mask_plan({}, 0.5), 1.0) == {}


@given(
    st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 0.5, 0.75, 2.0, np.inf]), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.125, 0.25, 1.0]),
    st.data(),
)
def test_near_the_threshold_is_what_may_change_sides(values: list[float], bound: float, data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, len(values)))
    ordered = sorted(values)
    removed, stay = ordered[: len(values) - kept], ordered[len(values) - kept :]
    wanted = sum(any(0 < one - other <= 2 * bound for other in removed) for one in stay) + sum(
        any(0 < other - one <= 2 * bound for other in stay) for one in removed
    )
    plan = wc.backend.MaskPlan((wc.backend.SitePlan("site", (len(values),), 1, kept, None),))
    assert near_threshold({"site": np.array(values)}, plan, bound) == {"site": wanted}


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])), min_size=1, max_size=12),
    st.integers(0, 2**64 - 1),
    st.data(),
)
def test_whatever_another_computation_keeps_instead_is_counted(
    nodes: list[tuple[int, float]], seed: int, data: st.DataObject
) -> None:
    """Scores at most half a bound apart, each moved by at most the bound, and equal ones by as much."""
    bound, kept = 0.5, data.draw(st.integers(1, len(nodes)))
    moved = dict(nodes)
    scores = np.array([0.25 * score for score, _ in nodes])
    other = np.array([0.25 * score + bound * moved[score] for score, _ in nodes])
    plan = wc.backend.MaskPlan((wc.backend.SitePlan("site", (len(nodes),), 1, kept, None),))
    here, there = (masks_from_scores({"site": found}, plan, wc.key(seed))["site"] for found in (scores, other))
    assert int((here != there).sum()) <= near_threshold({"site": scores}, plan, bound)["site"]
