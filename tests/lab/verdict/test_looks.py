"""The level of a look: the table against new draws, against published levels, and what one look needs."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

import weedout_core as wc
from weedout_core._random.keys import of_intervals, of_looks
from weedout_core.lab.verdict.looks import ERROR, LEVELS, LOOKS, _smallest_p_values, nominal_level, simulated_level


def test_the_levels_of_the_default_looks() -> None:
    alpha = nominal_level()
    quantiles = [stats.t.isf(alpha / 2, pairs - 1) for pairs in LOOKS]
    assert quantiles == pytest.approx([4.08, 3.00, 2.67, 2.54], abs=0.005)


def test_one_look_needs_no_draws() -> None:
    assert nominal_level((10,)) == 0.05
    assert nominal_level([7], 8, 0.1) == 0.1 / 8


def test_an_entry_of_the_table_is_what_is_drawn() -> None:
    for comparisons in (1, 16):
        drawn = simulated_level((5, 10), ERROR / comparisons)
        assert nominal_level((5, 10), comparisons) == pytest.approx(drawn, rel=1e-5), "six digits are kept"


@pytest.mark.slow
def test_the_table_is_what_is_drawn_and_memory_stays_small() -> None:
    assert set(LEVELS) == {LOOKS[:2], LOOKS[:3], LOOKS}, "one look needs no table"
    _smallest_p_values.cache_clear()
    tracemalloc.start()
    for looks, levels in LEVELS.items():
        drawn = [simulated_level(looks, ERROR / comparisons) for comparisons in range(1, 17)]
        assert levels == pytest.approx(drawn, rel=1e-5), looks
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6, f"{peak / 1e6:.0f} MB"


def test_more_looks_and_more_comparisons_have_smaller_levels() -> None:
    for comparisons in (1, 4, 16):
        levels = [nominal_level(LOOKS[:looks], comparisons) for looks in (1, 2, 3, 4)]
        assert levels == sorted(levels, reverse=True)
        share = ERROR / comparisons
        assert all(share / looks <= level <= share for looks, level in enumerate(levels, start=1)), (
            "Bonferroni's bounds"
        )
    for table in LEVELS.values():
        assert list(table) == sorted(table, reverse=True)


@pytest.mark.slow
def test_the_levels_of_many_pairs_are_those_of_pocock() -> None:
    """Pocock 1977, table 1, error 0.05: for equal groups and a known variance, which thousands of pairs all but know.

    The table has three digits, and a quantile of 10^6 draws is known to 0.5 % of itself: 4 standard errors are 2 %.
    """
    for looks, published in ((2, 0.0294), (3, 0.0221), (4, 0.0182), (5, 0.0158)):
        found = nominal_level([10_000 * look for look in range(1, looks + 1)])
        assert found == pytest.approx(published, rel=0.02), looks


@pytest.mark.slow
def test_other_looks_are_those_of_differences_drawn_one_by_one() -> None:
    """Against plain differences: with 200,000 draws, 4 standard errors of the smaller share are 4·√(0.05/200,000)."""
    looks, draws = (2, 3, 9), 200_000
    alpha = nominal_level(looks)
    differences = np.random.default_rng(0).standard_normal((draws, looks[-1]))
    smallest = np.min([np.asarray(stats.ttest_1samp(differences[:, :n], 0, axis=1))[1] for n in looks], axis=0)
    assert np.mean(smallest < alpha) == pytest.approx(ERROR, abs=4 * (ERROR / draws) ** 0.5)


def test_where_draws_are_few_the_error_is_divided_over_looks() -> None:
    assert nominal_level((5, 10), 51) == 0.05 / 51 / 2
    assert nominal_level((5, 10, 20), 1, 0.0009) == 0.0009 / 3


def test_levels_have_a_stream_of_their_own() -> None:
    words = {tuple(key.tolist()) for key in (of_looks(), of_intervals(0), wc.key(0))}
    assert len(words) == 3


@pytest.mark.parametrize("looks", [(), (10, 5), (5, 5)])
def test_looks_must_increase(looks: tuple[int, ...]) -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"looks must be numbers of pairs that increase, at least one; got"):
        nominal_level(looks)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"looks\[0\] must be an integer of at least 2 pairs; got 1"):
        nominal_level((1, 5))
    with pytest.raises(wc.errors.ConfigError, match="comparisons must be an integer of at least 1; got 0"):
        nominal_level(LOOKS, 0)
    with pytest.raises(wc.errors.ConfigError, match="error must be a finite number above 0 and below 1; got 1"):
        nominal_level(LOOKS, 1, 1.0)
