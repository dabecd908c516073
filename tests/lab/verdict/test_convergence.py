"""Epochs to an accuracy by hand, and their paired difference against SciPy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import weedout_core as wc
from weedout_core.lab.verdict.convergence import EpochsDifference, epochs_difference, epochs_to


def test_the_first_epoch_at_an_accuracy() -> None:
    curve = [0.1, 0.5, 0.7, 0.6, 0.9]
    assert epochs_to(range(5), curve, [0.5, 0.65, 0.7, 0.9, 0.91, 0.0]) == (1, 2, 2, 4, None, 0)
    assert epochs_to([1, 2, 5], curve[:3], [0.7]) == (5,), "epochs are numbered as they are"
    assert epochs_to([], [], [0.5]) == (None,)


def test_what_diverged_reaches_nothing_more() -> None:
    assert epochs_to([1, 2, 3], [0.5, math.nan, math.nan], [0.4, 0.6]) == (1, None)


@given(st.lists(st.floats(0, 1), max_size=8), st.lists(st.floats(0, 1), max_size=4))
def test_a_higher_accuracy_takes_no_fewer_epochs(curve: list[float], accuracies: list[float]) -> None:
    found = epochs_to(range(len(curve)), curve, sorted(accuracies))
    reached = [epoch for epoch in found if epoch is not None]
    assert reached == sorted(reached)
    assert found[: len(reached)] == tuple(reached), "above what is never reached nothing is"


def test_the_difference_is_of_the_pairs_in_which_both_arrive() -> None:
    first, second = [3, 5, None, 4, None, 7, 2], [4, 4, 6, None, None, 10, 4]
    wanted = stats.ttest_rel([3, 5, 7, 2], [4, 4, 10, 4])
    found = epochs_difference(first, second, 0.9)
    low, high = wanted.confidence_interval(0.9)
    assert found == (4, 1, 1, 1, pytest.approx(-1.25), pytest.approx(low), pytest.approx(high))
    assert epochs_difference(first, second).low < found.low, "95 % is wider"
    never = epochs_difference([None, None, 3], [1, None, None])
    assert never[:4] == (0, 1, 1, 1)
    assert all(map(math.isnan, never[4:]))
    one = epochs_difference([3], [5])
    assert one[:5] == (1, 0, 0, 0, -2)
    assert math.isnan(one.low)
    assert isinstance(one, EpochsDifference)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(wc.errors.ConfigError, match="one accuracy for each epoch; got 1 for 2 epochs"):
        epochs_to([1, 2], [0.5], [0.5])
    with pytest.raises(wc.errors.ConfigError, match=r"epochs must increase; got \(2, 2\)"):
        epochs_to([2, 2], [0.5, 0.6], [0.5])
    with pytest.raises(wc.errors.ConfigError, match="accuracies to reach must be numbers; got"):
        epochs_to([1], [0.5], [math.nan])
    with pytest.raises(wc.errors.ConfigError, match="paired epochs must be equally many; got 1 and 2"):
        epochs_difference([1], [1, 2])
