"""What is promised of all sentences of a run together, in 10,000 simulated runs each, and what is not."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import weedout_core as wc
from weedout_core.lab.verdict.decisions import Pairs, decide
from weedout_core.lab.verdict.looks import ERROR, LOOKS, nominal_level
from weedout_core.random import bits

pytestmark = pytest.mark.slow

RUNS = 10_000
MARGIN = 0.005
PAGE = Path(__file__).resolve().parents[3] / "docs" / "verdict.md"

Drawn = Callable[[np.ndarray], np.ndarray]


def skewed(skew: float) -> Drawn:
    """A gamma distribution less its mean; its skewness is 2/√shape."""
    shape = 4 / skew**2
    return lambda uniform: special.gammaincinv(shape, uniform) - shape


def laplace(uniform: np.ndarray) -> np.ndarray:
    """The difference of two exponentials."""
    return np.where(uniform < 0.5, np.log(2 * uniform), -np.log(2 - 2 * uniform))


def triangular(uniform: np.ndarray) -> np.ndarray:
    """The difference of two uniforms."""
    return np.where(uniform < 0.5, np.sqrt(2 * uniform) - 1, 1 - np.sqrt(2 - 2 * uniform))


#: By the first cell of the page's table: differences of mean 0.
DISTRIBUTIONS: Mapping[str, Drawn] = {
    "normal": special.ndtri,
    "symmetric with heavy tails (Laplace)": laplace,
    "symmetric with light tails (triangular)": triangular,
    "skew 0.5 (gamma)": skewed(0.5),
    "skew 1 (gamma)": skewed(1.0),
    "skew 2 (exponential)": skewed(2.0),
}


def differences(drawn: Drawn, comparisons: int, seed: int) -> np.ndarray:
    """Of mean 0: ``(runs, comparisons, pairs)``."""
    shape = (RUNS, comparisons, LOOKS[-1])
    return drawn((bits(wc.key(seed), math.prod(shape)).reshape(shape) + 0.5) / 2**32)


def intervals(values: np.ndarray, looks: tuple[int, ...], alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper ends: each ``(runs, comparisons, looks)``. NaN is no value."""
    low, high = [], []
    for look in looks:
        some = values[..., :look]
        pairs = (~np.isnan(some)).sum(axis=-1)
        half = stats.t.isf(alpha / 2, pairs - 1) * np.nanstd(some, axis=-1, ddof=1) / np.sqrt(pairs)
        mean = np.nanmean(some, axis=-1)
        low.append(mean - half)
        high.append(mean + half)
    return np.stack(low, axis=-1), np.stack(high, axis=-1)


def covered(values: np.ndarray, looks: tuple[int, ...]) -> float:
    """The share of runs in which all intervals, at all looks and of all comparisons, cover 0."""
    low, high = intervals(values, looks, nominal_level(looks, values.shape[1]))
    return float(((low <= 0) & (high >= 0)).all(axis=(1, 2)).mean())


def bound(error: float, comparisons: int, looks: int) -> float:
    """4 standard errors: of a share of 10,000 runs, and of a level drawn from 10^6 (relative, 1/√(draws below it))."""
    of_level = error / math.sqrt(ERROR / comparisons * 1e6) if looks > 1 else 0.0
    return 4 * math.sqrt(error * (1 - error) / RUNS + of_level**2)


@pytest.mark.parametrize("comparisons", [1, 8])
@pytest.mark.parametrize("looks", [(10,), LOOKS], ids=["one look", "four looks"])
def test_normal_differences_are_covered_as_promised(looks: tuple[int, ...], comparisons: int) -> None:
    """Each comparison is independent with the error ERROR / n: together 1 − (1 − ERROR / n)^n, at most ERROR."""
    error = 1 - (1 - ERROR / comparisons) ** comparisons
    missed = 1 - covered(differences(special.ndtri, comparisons, seed=1), looks)
    assert missed == pytest.approx(error, abs=bound(error, comparisons, len(looks)))


def wrong(low: Any, high: Any, truth: float) -> Any:
    """Whether the verdict on an interval claims what is not so: the table of ``verdict_of``, written once more."""
    better, worse, inside = low > 0, high < 0, (low > -MARGIN) & (high < MARGIN)
    return (better & (truth <= 0)) | (worse & (truth >= 0)) | (inside & (abs(truth) >= MARGIN))


def stopped(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The look at which each run stops, from 0: the first at which all comparisons are decided, or the last."""
    decided = (low > 0) | (high < 0) | ((low > -MARGIN) & (high < MARGIN))
    everything = np.all(decided, axis=1)
    everything[:, -1] = True
    return np.argmax(everything, axis=1)


@pytest.mark.parametrize("comparisons", [1, 8])
@pytest.mark.parametrize("looks", [(10,), LOOKS], ids=["one look", "four looks"])
@pytest.mark.parametrize("truth", [0.0, MARGIN, -MARGIN])
@pytest.mark.parametrize("deviation", [0.003, 0.02])
def test_sentences_are_jointly_right_where_a_run_stops(
    looks: tuple[int, ...], comparisons: int, truth: float, deviation: float
) -> None:
    """At the edge of what each verdict claims, where it is wrong most often; spreads that decide soon, and late."""
    values = truth + deviation * differences(special.ndtri, comparisons, seed=2)
    low, high = intervals(values, looks, nominal_level(looks, comparisons))
    at = stopped(low, high)[:, None, None]
    low, high = (np.take_along_axis(end, at, axis=2)[..., 0] for end in (low, high))
    error = wrong(low, high, truth).any(axis=1).mean()
    assert error <= ERROR + bound(ERROR, comparisons, len(looks))


def test_the_simulated_runs_are_those_of_decide() -> None:
    """For 40 runs of three comparisons: the same ends, the same stop, and no verdict that claims what is not so."""
    truth, looks = 0.0, LOOKS
    values = truth + 0.003 * differences(special.ndtri, 3, seed=3)[:40]
    low, high = intervals(values, looks, nominal_level(looks, 3))
    at = stopped(low, high)
    assert len(set(at)) > 1, "some stop sooner than others"
    for run, of_run in enumerate(values):
        given = [Pairs("a", "b", 0.5, (0.5 + one).tolist(), [0.5] * len(one)) for one in of_run]
        decisions = [decide(given, look, looks, MARGIN) for look in looks]
        assert at[run] == next(place for place, one in enumerate(decisions) if one.next_look is None)
        for place, one in enumerate(decisions):
            ends = [(finding.paired.low, finding.paired.high) for finding in one.findings]
            assert ends == [pytest.approx(both) for both in zip(low[run, :, place], high[run, :, place], strict=True)]
            for number, finding in enumerate(one.findings):
                claims_a_sign = finding.verdict.startswith(("better", "worse"))
                assert wrong(low[run, number, place], high[run, number, place], truth) == claims_a_sign


def test_a_tenth_of_diverged_pairs_changes_little() -> None:
    """The counts of pairs at the looks are then not quite those that the level was drawn for."""
    values = differences(special.ndtri, 1, seed=4)
    lost = bits(wc.key(5), values.size).reshape(values.shape) < 2**32 / 10
    lost[..., :2] = False  # two pairs have an interval
    values[lost] = math.nan
    assert 1 - covered(values, LOOKS) == pytest.approx(ERROR, abs=bound(ERROR, 1, 4))


def test_the_page_shows_the_coverage_of_other_differences() -> None:
    """To the decimal, as draws are fixed; last bits of SciPy's functions may move a run of 10,000 across an end."""
    cells = re.findall(r"^\| ([^|]+) \| ([\d.]+) % \| ([\d.]+) % \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert [name for name, *_ in cells] == list(DISTRIBUTIONS)
    for name, alone, of_eight in cells:
        found = [100 * covered(differences(DISTRIBUTIONS[name], count, seed=1), LOOKS) for count in (1, 8)]
        assert [float(alone), float(of_eight)] == pytest.approx(found, abs=0.0501), name
