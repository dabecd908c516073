"""The statistics of pairs against SciPy, a published example, and simulation of what they claim."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, stats

import weedout_core as wc
from weedout_core.lab.verdict.paired import MARGIN, Paired, hedges_correction, paired_statistics
from weedout_core.lab.verdict.verdicts import verdict_of

NAN = math.nan
FIRST = [0.91, 0.93, 0.90, 0.95, 0.92]
SECOND = [0.90, 0.91, 0.91, 0.92, 0.91]

#: Lakens 2013, table 1: ten people's ratings of two movies, here divided by 10.
MOVIE1 = [0.9, 0.7, 0.8, 0.9, 0.8, 0.9, 0.9, 1.0, 0.9, 0.9]
MOVIE2 = [0.9, 0.6, 0.7, 0.8, 0.7, 0.9, 0.8, 0.8, 0.8, 0.7]


def same(one: Paired, other: Paired) -> bool:
    return all(a == b or (a != a and b != b) for a, b in zip(one, other, strict=True))


def test_the_published_example() -> None:
    """Lakens 2013: a mean difference of 1 with the 95 % interval [0.52, 1.48], t(9) = 4.74, d_z = 1.50."""
    found = paired_statistics(MOVIE1, MOVIE2, alpha=0.05)
    assert (found.pairs, found.diverged) == (10, 0)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.052, 0.148), abs=5e-4)
    assert found.cohens_d == pytest.approx(1.5)
    assert found.cohens_d * math.sqrt(10) == pytest.approx(4.74, abs=0.005)


@pytest.mark.parametrize("alpha", [0.05, 0.0152, 0.001])
def test_the_interval_and_the_correlation_equal_scipys(alpha: float) -> None:
    found = paired_statistics(FIRST, SECOND, alpha)
    wanted = stats.ttest_rel(FIRST, SECOND).confidence_interval(1 - alpha)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.correlation == pytest.approx(stats.pearsonr(FIRST, SECOND).statistic)  # pyright: ignore[reportAttributeAccessIssue]
    differences = np.subtract(FIRST, SECOND)
    assert found.mean == pytest.approx(differences.mean())
    assert found.deviation == pytest.approx(differences.std(ddof=1))
    assert found.cohens_d == pytest.approx(stats.ttest_rel(FIRST, SECOND).statistic / math.sqrt(5))


def test_hedges_correction_makes_the_effect_size_unbiased() -> None:
    """The mean of d_z is its mean under the noncentral t, which SciPy has, divided by √n: J times it is the truth."""
    effect, n = 0.7, 5
    mean = np.asarray(stats.nct.stats(n - 1, effect * math.sqrt(n), moments="m")).item() / math.sqrt(n)
    assert hedges_correction(n - 1) * mean == pytest.approx(effect)
    assert hedges_correction(49) == pytest.approx(1 - 3 / (4 * 49 - 1), abs=1e-4), "the usual approximation"
    found = paired_statistics(FIRST, SECOND, 0.05)
    assert found.hedges_g == pytest.approx(found.cohens_d * hedges_correction(4))
    assert math.isnan(hedges_correction(1)), "the mean of a t of one degree of freedom does not exist"


def test_power_is_the_noncentral_t() -> None:
    """P(t > q), where t = (z + noncentrality) / √(w / m) with w a chi-square of m degrees: integrated over w here."""
    found = paired_statistics(FIRST, SECOND, alpha=0.05, margin=0.01)
    degrees, noncentrality = 4, 0.01 * math.sqrt(5) / found.deviation
    quantile = stats.t.ppf(0.975, degrees)

    def above(w: float) -> float:
        return float(stats.norm.sf(quantile * math.sqrt(w / degrees) - noncentrality) * stats.chi2.pdf(w, degrees))

    assert found.power == pytest.approx(integrate.quad(above, 0, 200)[0], rel=1e-6)
    assert found.power == pytest.approx(stats.nct.sf(quantile, degrees, noncentrality))


def test_power_of_an_effect_of_a_half_is_what_tables_say() -> None:
    """Cohen 1988, paired, two-sided at 0.05: 34 pairs for d_z = 0.5 and power 0.80, as G*Power too computes."""
    spread = np.array([stats.norm.ppf((i + 0.5) / 34) for i in range(34)]) / 100
    differences = spread / spread.std(ddof=1) * 0.01
    found = paired_statistics((0.5 + differences).tolist(), [0.5] * 34, alpha=0.05, margin=0.005)
    assert found.power == pytest.approx(0.808, abs=0.001)


accuracies = st.lists(st.integers(0, 297).map(lambda right: right / 297), min_size=2, max_size=12)
levels = st.floats(1e-4, 0.2)
margins = st.floats(1e-3, 0.09)


@given(first=accuracies, alpha=levels, margin=margins, data=st.data())
def test_exactly_so_many_repeats_are_needed(
    first: list[float], alpha: float, margin: float, data: st.DataObject
) -> None:
    second = data.draw(st.lists(st.integers(0, 297).map(lambda n: n / 297), min_size=len(first), max_size=len(first)))
    found = paired_statistics(first, second, alpha, margin)
    assume(found.deviation > 0)
    needed = found.repeats_needed
    assert needed is not None
    assert needed >= 2

    def decided(pairs: int) -> bool:
        half_width = float(stats.t.ppf(1 - alpha / 2, pairs - 1)) * found.deviation / math.sqrt(pairs)
        return verdict_of(found.mean - half_width, found.mean + half_width, margin) != "undecided"

    assert decided(needed)
    assert needed == 2 or not decided(needed - 1)
    assert (verdict_of(found.low, found.high, margin) == "undecided") == (needed > found.pairs)
    assert 0 <= found.power <= 1


@given(first=accuracies, alpha=levels)
def test_the_methods_may_change_places(first: list[float], alpha: float) -> None:
    second = first[::-1]
    one, other = paired_statistics(first, second, alpha), paired_statistics(second, first, alpha)
    mirrored = other._replace(
        mean=-other.mean, low=-other.high, high=-other.low, cohens_d=-other.cohens_d, hedges_g=-other.hedges_g
    )
    assert one == pytest.approx(mirrored, nan_ok=True)


def test_pairs_that_diverged_are_counted_and_in_no_mean() -> None:
    first, second = [0.91, NAN, 0.93, 0.90, NAN, 0.95], [0.90, 0.2, 0.91, 0.91, NAN, 0.92]
    found = paired_statistics([*first, 0.3], [*second, NAN], 0.05)
    kept = paired_statistics([0.91, 0.93, 0.90, 0.95], [0.90, 0.91, 0.91, 0.92], 0.05)
    assert found == kept._replace(diverged=3)


def test_no_pair_and_one_pair_have_no_interval() -> None:
    nothing = Paired(0, 2, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, None)
    assert same(paired_statistics([NAN, 0.5], [0.5, NAN], 0.05), nothing)
    assert same(paired_statistics([], [], 0.05), nothing._replace(diverged=0))
    one = paired_statistics([0.75, NAN], [0.5, 0.5], 0.05)
    assert same(one, nothing._replace(pairs=1, diverged=1, mean=0.25))


@pytest.mark.parametrize("first", [[0.5, 0.7, 0.6], [0.5, 0.7 + 1e-16, 0.6]])
def test_equal_differences_have_no_interval(first: list[float]) -> None:
    """0.7 − 0.6 and 0.6 − 0.5 differ in their last bits, and an interval of that width would be sure of anything."""
    found = paired_statistics(first, [0.4, 0.6, 0.5], 0.05)
    assert found.deviation == 0
    assert found.mean == pytest.approx(0.1)
    assert all(math.isnan(value) for value in (found.low, found.high, found.cohens_d, found.hedges_g, found.power))
    assert found.repeats_needed is None
    assert found.correlation == pytest.approx(1)


def test_two_pairs_have_no_unbiased_effect_size() -> None:
    found = paired_statistics([0.5, 0.7], [0.4, 0.5], 0.05)
    assert found.cohens_d == pytest.approx(0.15 / (0.1 / math.sqrt(2)))
    assert math.isnan(found.hedges_g)
    assert found.low < found.mean < found.high


def test_a_method_that_never_varies_has_no_correlation() -> None:
    found = paired_statistics(FIRST, [0.9] * 5, 0.05)
    assert math.isnan(found.correlation)
    assert found.deviation == pytest.approx(np.std(FIRST, ddof=1))


@pytest.mark.parametrize("deviation", [1e-7, 1e-3, 0.3])
def test_power_is_a_probability_however_small_the_spread(deviation: float) -> None:
    found = paired_statistics([0.5, 0.5 + deviation] * 20, [0.5] * 40, 0.01)
    assert 0 <= found.power <= 1
    assert (found.power > 0.99) == (deviation < 0.01)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(wc.errors.ConfigError, match="paired accuracies must be equally many; got 1 and 2"):
        paired_statistics([0.5], [0.5, 0.6], 0.05)
    said = r"first\[1\] must be a number in \[0, 1\], or NaN where a training diverged; got 91.5. Divide percentages by"
    with pytest.raises(wc.errors.ConfigError, match=said):
        paired_statistics([0.5, 91.5], [0.5, 0.6], 0.05)
    for bad in (-0.1, math.inf):
        with pytest.raises(wc.errors.ConfigError, match=r"second\[0\] must be a number in \[0, 1\]"):
            paired_statistics([0.5], [bad], 0.05)
    with pytest.raises(wc.errors.ConfigError, match="alpha must be a finite number above 0 and below 1; got 0"):
        paired_statistics([0.5], [0.5], 0.0)
    with pytest.raises(
        wc.errors.ConfigError, match="margin must be a finite number above 0 and below 1, a fraction of 1; got 0"
    ):
        paired_statistics([0.5], [0.5], 0.05, 0.0)
    assert MARGIN == 0.005
