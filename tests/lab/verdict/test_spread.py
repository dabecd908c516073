"""The variance components of fitness: a published table, SciPy's analysis of variance, and what is drawn."""

import math

import numpy as np
import pytest
from scipy import stats

import weedout_core as wc
from weedout_core.lab.verdict.spread import fitness_spread

#: Shrout and Fleiss 1979, table 2: four judges' ratings of six targets.
RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def test_the_published_example() -> None:
    """Shrout and Fleiss, tables 3 and 4: mean squares of 11.24 and 6.26, and ICC(1, 1) = 0.17."""
    found = fitness_spread(RATINGS)
    assert found.masks == pytest.approx(6.26, abs=0.005)
    assert found.initialisations == pytest.approx((11.24 - 6.26) / 4, abs=0.005)
    assert found.share == pytest.approx(0.17, abs=0.005)
    assert found.share == pytest.approx(found.initialisations / (found.initialisations + found.masks))


def test_the_mean_squares_equal_scipys() -> None:
    table = np.random.default_rng(0).normal(size=(5, 3))
    found = fitness_spread(table)
    ratio = (3 * found.initialisations + found.masks) / found.masks
    assert ratio == pytest.approx(stats.f_oneway(*table).statistic)


def test_the_components_are_unbiased() -> None:
    """4,000 tables of variances 0.5 and 2: means within 4 standard errors of the estimates' own spread."""
    rng, tables = np.random.default_rng(0), 4000
    drawn = rng.normal(0, 0.5**0.5, (tables, 4, 1)) + rng.normal(0, 2**0.5, (tables, 4, 5))
    found = np.array([fitness_spread(table)[:2] for table in drawn])
    errors = found.std(axis=0) / tables**0.5
    assert (abs(found.mean(axis=0) - [0.5, 2.0]) < 4 * errors).all()
    assert (found[:, 0] < 0).any(), "an unbiased estimate may be below 0"


def test_no_spread_has_no_share() -> None:
    spread = fitness_spread([[1.0, 1.0], [1.0, 1.0]])
    assert spread[:2] == (0, 0)
    assert math.isnan(spread.share)


def test_wrong_tables_are_refused() -> None:
    for table in (np.ones(4), np.ones((1, 4)), np.ones((4, 1)), np.ones((2, 2, 2))):
        with pytest.raises(
            wc.errors.ConfigError, match=r"table \(initialisations, masks\) with at least 2 of each; got"
        ):
            fitness_spread(table)
    with pytest.raises(
        wc.errors.ConfigError, match=r"fitness must be finite; 2 of 4 values are not. Leave out the init"
    ):
        fitness_spread([[1.0, math.nan], [math.inf, 1.0]])
