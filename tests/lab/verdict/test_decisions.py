"""A look at several comparisons: what it counts, when it stops, what it refuses."""

import math

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.lab.verdict.decisions import Pairs, decide
from weedout_core.lab.verdict.looks import LOOKS, nominal_level
from weedout_core.lab.verdict.paired import paired_statistics
from weedout_core.lab.verdict.verdicts import sentence, verdict_of

#: Differences of mean 0 and no trend, in points: any ten of them in a row have nearly the same mean and spread.
NOISE = np.array([1.0, -1.0, 0.5, -0.5, 0.0] * 8) / 100
BASE = 0.9 - np.linspace(0, 0.05, 40)


def pairs(method: str, shift: float, scale: float = 1.0, repeats: int = 40) -> Pairs:
    return Pairs(method, "random", 0.8, (BASE + shift + scale * NOISE)[:repeats].tolist(), BASE[:repeats].tolist())


def test_a_look_is_the_statistics_of_its_pairs_at_the_level_of_all() -> None:
    comparisons = [pairs("magnitude", 0.03), pairs("snip", 0.001)]
    found = decide(comparisons, 10)
    assert found.alpha == nominal_level(LOOKS, 2)
    for finding, given in zip(found.findings, comparisons, strict=True):
        wanted = paired_statistics(given.accuracies[:10], given.baseline_accuracies[:10], found.alpha)
        assert finding[:4] == (given.method, "random", 0.8, wanted)
        assert finding.verdict == verdict_of(wanted.low, wanted.high)
        assert finding.sentence == sentence(given.method, "random", 0.8, wanted)


def test_later_repeats_change_no_earlier_look() -> None:
    whole, part = [pairs("snip", 0.001)], [pairs("snip", 0.001, repeats=10)]
    assert decide(whole, 10) == decide(part, 10)


def test_it_stops_at_the_first_look_at_which_everything_is_decided() -> None:
    easy, hard = pairs("magnitude", 0.05), pairs("snip", 0.0, scale=1.3)
    assert [one.verdict for one in decide([easy, hard], 5).findings] == ["better", "undecided"]
    looked = [decide([easy, hard], look) for look in LOOKS]
    assert [one.decided for one in looked] == [False, False, False, True]
    assert [one.next_look for one in looked] == [10, 20, 40, None]
    assert looked[-1].findings[1].verdict == "equivalent"
    alone = decide([easy], 5)
    assert (alone.decided, alone.next_look) == (True, None)


def test_the_last_look_is_the_last() -> None:
    found = decide([pairs("snip", 0.0, scale=10.0)], 40)
    assert (found.decided, found.next_look) == (False, None)
    assert found.findings[0].sentence.endswith(
        "last planned look is at 40: a new run would be needed, planned with more looks."
    )
    early = decide([pairs("snip", 0.0)], 5).findings[0].sentence
    assert early.endswith("more would decide if mean and spread stayed the same."), "at a look that is planned"


def test_the_margin_the_looks_and_the_error_are_the_callers() -> None:
    given = [pairs("snip", 0.0)]
    (wide,) = decide(given, 5, looks=[5], margin=0.05).findings
    assert wide.verdict == "equivalent"
    assert wide.paired == paired_statistics(given[0].accuracies[:5], given[0].baseline_accuracies[:5], 0.05, 0.05)
    assert "within the margin of 5 points" in wide.sentence
    assert decide(given, 5, looks=[5], error=0.01).alpha == 0.01
    assert decide(given, 5, looks=(5, 10)).alpha == nominal_level((5, 10))


def test_comparisons_of_other_runs_may_be_right_together_with_these() -> None:
    given = [pairs("snip", 0.0), pairs("magnitude", 0.01)]
    assert decide(given, 5, family=12).alpha == nominal_level(LOOKS, 12)
    assert decide(given, 5, family=2) == decide(given, 5)
    with pytest.raises(wc.errors.ConfigError, match="family must be at least 2, the number of comparisons made here"):
        decide(given, 5, family=1)


def test_a_repeat_that_diverged_counts_as_looked_at() -> None:
    given = pairs("snip", 0.05, repeats=5)
    diverged = given._replace(accuracies=[math.nan, *given.accuracies[1:]])
    (finding,) = decide([diverged], 5).findings
    assert (finding.paired.pairs, finding.paired.diverged) == (4, 1)
    assert "4 of 5 pairs (in 1 a training diverged)" in finding.sentence


def test_wrong_arguments_are_refused() -> None:
    given = pairs("snip", 0.0)
    with pytest.raises(wc.errors.ConfigError, match="at least one comparison; got none"):
        decide([], 5)
    with pytest.raises(wc.errors.ConfigError, match=r"look must be one of the planned looks, \(5, 10, 20, 40\); got 7"):
        decide([given], 7)
    with pytest.raises(wc.errors.ConfigError, match="looks must be numbers of pairs that increase"):
        decide([given], 5, looks=(10, 5))
    for short in (pairs("snip", 0.0, repeats=7), given._replace(accuracies=given.accuracies[:7])):
        said = "a look at 10 repeats needs 10 accuracies of each method; snip at sparsity 0.8 has 7. Hand in NaN for"
        with pytest.raises(wc.errors.ConfigError, match=said):
            decide([short], 10)
    with pytest.raises(wc.errors.ConfigError, match=r"comparisons\[0\].accuracies\[1\] must be a number in \[0, 1\]"):
        decide([given._replace(accuracies=[0.5, 50.0])], 5)
