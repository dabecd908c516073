"""Selection: the fittest, the lowest index of equals, never what is not finite."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._algorithm.agreement import margin
from weedout_core._algorithm.strategies import STRATEGIES
from weedout_core._configs import search_config

VALUES = st.sampled_from([-1.0, 0.0, 0.5, 0.5, 1.0, math.nan, math.inf, -math.inf]) | st.floats(-10, 10)


def slowly(fitness: list[float]) -> int:
    """The definition, one candidate after the other."""
    best = 0
    for index, value in enumerate(fitness):
        if math.isfinite(value) and (not math.isfinite(fitness[best]) or value > fitness[best]):
            best = index
    return best


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_select_is_the_first_of_the_fittest(fitness: list[float]) -> None:
    array = np.asarray(fitness)
    found = wc.ask_tell.select(array)
    assert found.dtype == np.int32
    assert int(found) == slowly(fitness)
    np.testing.assert_array_equal(wc.ask_tell.random_search(wc.key(0), array), [slowly(fitness)])


@pytest.mark.parametrize(
    ("fitness", "index"),
    [
        ([1.0, 3.0, 2.0], 1),
        ([2.0, 2.0, 2.0], 0),
        ([math.nan, -5.0, math.inf], 1),
        ([-math.inf, -1e300], 1),
        ([math.nan, math.nan], 0),
        ([math.inf, 1.0], 1),
        ([0.0, -0.0], 0),
    ],
)
def test_select_by_hand(fitness: list[float], index: int) -> None:
    assert int(wc.ask_tell.select(np.asarray(fitness))) == index


@given(st.lists(st.lists(VALUES, min_size=3, max_size=3), min_size=1, max_size=5))
def test_select_treats_each_row_alone(rows: list[list[float]]) -> None:
    np.testing.assert_array_equal(wc.ask_tell.select(np.asarray(rows)), [slowly(row) for row in rows])


@pytest.mark.parametrize(
    ("fitness", "wanted"),
    [
        ([-2.5, -2.0, -3.0], 0.5),
        ([-2.0, np.nan, -2.25, np.inf], 0.25),
        ([-2.0, -2.0], 0.0),
        ([np.nan, -2.0, -np.inf], None),
    ],
    ids=["any order", "of the finite", "a tie", "one finite"],
)
def test_the_margin_is_best_minus_second_best(fitness: list[float], wanted: float | None) -> None:
    assert margin(np.array(fitness)) == wanted


def test_strategies_by_name() -> None:
    assert set(STRATEGIES) == set(get_args(search_config.StrategyName))
    assert [name for name, one in STRATEGIES.items() if one.children is None] == ["random_search", "successive_halving"]


@pytest.mark.parametrize("name", STRATEGIES)
@given(fitness=st.lists(VALUES, min_size=2, max_size=12))
def test_the_elite_survives_in_the_first_place(name: str, fitness: list[float]) -> None:
    assert int(STRATEGIES[name].survivors(wc.key(0), np.asarray(fitness))[0]) == slowly(fitness)


@given(st.lists(VALUES, min_size=1, max_size=12))
def test_the_fitter_half_goes_on_fittest_first(fitness: list[float]) -> None:
    survivors = STRATEGIES["successive_halving"].survivors(wc.key(0), np.asarray(fitness))
    rated = [value if math.isfinite(value) else -math.inf for value in fitness]
    assert survivors.tolist() == sorted(range(len(rated)), key=lambda i: (-rated[i], i))[: max(1, len(rated) // 2)]
