"""Intervals against hand values and SciPy's own."""

import math

import numpy as np
import pytest
from scipy import stats

import weedout_core as wc
from weedout_core.lab.statistics import IntervalMethod, mean_interval, paired_difference, student_t_interval

KEY = wc.key(0)
VALUES = [0.91, 0.93, 0.90, 0.95, 0.92]


def test_student_t_by_hand() -> None:
    """Mean 2, s = 1, n = 3: the half-width is 4.302653/√3."""
    interval = mean_interval([1.0, 2.0, 3.0], "student_t", KEY)
    assert interval.mean == 2
    assert interval.half_width == pytest.approx(4.302652729911275 / math.sqrt(3))


def test_student_t_and_normal_equal_scipy() -> None:
    sem = stats.sem(VALUES)
    expected: dict[IntervalMethod, tuple[float, float]] = {
        "student_t": stats.t.interval(0.95, 4, np.mean(VALUES), sem),
        "normal": stats.norm.interval(0.95, np.mean(VALUES), sem),
    }
    for method, wanted in expected.items():
        found = mean_interval(VALUES, method, KEY)
        assert (found.low, found.high) == pytest.approx(wanted), method


def test_bootstrap_is_near_scipys_and_repeats_itself() -> None:
    wanted = stats.bootstrap(
        (VALUES,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    found = mean_interval(VALUES, "bootstrap", KEY)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-3)
    assert found == mean_interval(VALUES, "bootstrap", KEY), "the same key gives the same resamples"


@pytest.mark.parametrize("method", ["student_t", "normal", "bootstrap"])
def test_one_run_has_no_interval(method: IntervalMethod) -> None:
    interval = mean_interval([0.5], method, KEY)
    assert interval.mean == 0.5
    assert math.isnan(interval.half_width)


def test_paired_difference_is_that_of_the_differences() -> None:
    first, second = [0.9, 0.8, 0.95], [0.85, 0.82, 0.9]
    found = paired_difference(first, second, "student_t", KEY)
    assert found.mean == pytest.approx(0.08 / 3)
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("method", ["student_t", "normal", "bootstrap"])
def test_what_diverged_becomes_no_mean(method: IntervalMethod, bad: float) -> None:
    said = f"an interval needs values that are finite; got {bad} among 3. Leave out the runs that diverged, and count"
    with pytest.raises(wc.errors.ConfigError, match=said):
        mean_interval([1.0, bad, 2.0], method, KEY)
    for pair in (([1.0, bad, 2.0], [1.0] * 3), ([1.0] * 3, [1.0, bad, 2.0])):
        with pytest.raises(wc.errors.ConfigError, match="values that are finite; got"):
            paired_difference(*pair, method, KEY)
    with pytest.raises(wc.errors.ConfigError, match=f"finite; got {bad} among 1"):
        mean_interval([bad], method, KEY)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(wc.errors.ConfigError, match="at least one value"):
        mean_interval([], "student_t", KEY)
    with pytest.raises(wc.errors.ConfigError, match="'student_t', 'normal', 'bootstrap'; got 'magic'"):
        mean_interval([1.0], "magic", KEY)  # pyright: ignore[reportArgumentType]
    with pytest.raises(wc.errors.ConfigError, match="the same number in both arms; got 1 and 2"):
        paired_difference([1.0], [1.0, 2.0], "normal", KEY)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.9848])
def test_an_interval_has_the_level_that_is_asked_for(level: float) -> None:
    sem = stats.sem(VALUES)
    expected: dict[IntervalMethod, tuple[float, float]] = {
        "student_t": stats.t.interval(level, 4, np.mean(VALUES), sem),
        "normal": stats.norm.interval(level, np.mean(VALUES), sem),
    }
    for method, wanted in expected.items():
        found = mean_interval(VALUES, method, KEY, level)
        assert (found.low, found.high) == pytest.approx(wanted), method
        assert paired_difference(VALUES, [0.0] * 5, method, KEY, level) == pytest.approx(found)
    assert student_t_interval(VALUES, level) == mean_interval(VALUES, "student_t", KEY, level)
    narrow, wide = (mean_interval(VALUES, "bootstrap", KEY, one) for one in (level, 0.999))
    assert narrow.half_width < wide.half_width


def test_a_level_is_a_probability() -> None:
    for bad in (0.0, 1.0, 95.0):
        with pytest.raises(
            wc.errors.ConfigError, match=f"level must be a finite number above 0 and below 1; got {bad}"
        ):
            mean_interval(VALUES, "student_t", KEY, bad)
