"""Verdicts for every position of an interval, and the sentences that say them."""

import math
from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core.lab.verdict.paired import Paired, paired_statistics
from weedout_core.lab.verdict.verdicts import Verdict, percent, sentence, verdict_of

NAN = math.nan
MARGIN = 0.02

#: What each verdict claims of the true difference.
CLAIMS: Mapping[Verdict, Callable[[float, float], bool]] = {
    "better": lambda truth, margin: truth > 0,
    "better by less than the margin": lambda truth, margin: 0 < truth < margin,
    "equivalent": lambda truth, margin: -margin < truth < margin,
    "worse by less than the margin": lambda truth, margin: -margin < truth < 0,
    "worse": lambda truth, margin: truth < 0,
    "undecided": lambda truth, margin: True,
}
#: Of two verdicts that an interval implies, the one that says more.
MOST_SAID: tuple[Verdict, ...] = (
    "better by less than the margin",
    "worse by less than the margin",
    "better",
    "worse",
    "equivalent",
    "undecided",
)

#: Below, at and above −margin, 0 and margin.
PLACES = {"<-m": -0.03, "-m": -0.02, "(-m,0)": -0.01, "0": 0.0, "(0,m)": 0.01, "m": 0.02, ">m": 0.03}
TABLE: Mapping[tuple[str, str], Verdict] = {
    ("<-m", "<-m"): "worse",
    ("<-m", "-m"): "worse",
    ("<-m", "(-m,0)"): "worse",
    ("<-m", "0"): "undecided",
    ("<-m", "(0,m)"): "undecided",
    ("<-m", "m"): "undecided",
    ("<-m", ">m"): "undecided",
    ("-m", "-m"): "worse",
    ("-m", "(-m,0)"): "worse",
    ("-m", "0"): "undecided",
    ("-m", "(0,m)"): "undecided",
    ("-m", "m"): "undecided",
    ("-m", ">m"): "undecided",
    ("(-m,0)", "(-m,0)"): "worse by less than the margin",
    ("(-m,0)", "0"): "equivalent",
    ("(-m,0)", "(0,m)"): "equivalent",
    ("(-m,0)", "m"): "undecided",
    ("(-m,0)", ">m"): "undecided",
    ("0", "0"): "equivalent",
    ("0", "(0,m)"): "equivalent",
    ("0", "m"): "undecided",
    ("0", ">m"): "undecided",
    ("(0,m)", "(0,m)"): "better by less than the margin",
    ("(0,m)", "m"): "better",
    ("(0,m)", ">m"): "better",
    ("m", "m"): "better",
    ("m", ">m"): "better",
    (">m", ">m"): "better",
}


def test_the_table_has_every_order_of_the_ends() -> None:
    assert set(TABLE) == set(combinations_with_replacement(PLACES, 2))


@pytest.mark.parametrize(("low", "high"), TABLE)
def test_every_position_of_an_interval(low: str, high: str) -> None:
    ends = PLACES[low], PLACES[high]
    assert verdict_of(ends[0], ends[1], MARGIN) == TABLE[low, high]
    inside = [place for place in PLACES.values() if ends[0] <= place <= ends[1]]
    implied = [verdict for verdict in MOST_SAID if all(CLAIMS[verdict](truth, MARGIN) for truth in inside)]
    assert TABLE[low, high] == implied[0], "all that the interval implies, and no more"


@given(
    ends=st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted), margin=st.floats(1e-6, 0.09), share=st.floats(0, 1)
)
def test_a_claim_holds_wherever_in_the_interval_the_truth_is(ends: list[float], margin: float, share: float) -> None:
    low, high = ends
    claim = CLAIMS[verdict_of(low, high, margin)]
    for truth in (low, min(max(low + share * (high - low), low), high), high):
        assert claim(truth, margin)


@given(ends=st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(sorted), margin=st.floats(1e-6, 0.09))
def test_better_and_worse_are_mirrored(ends: list[float], margin: float) -> None:
    mirror = {"better": "worse", "worse": "better"}
    words = verdict_of(ends[0], ends[1], margin).split()
    assert verdict_of(-ends[1], -ends[0], margin).split() == [mirror.get(word, word) for word in words]


def test_an_unknown_interval_is_undecided_and_half_of_one_is_refused() -> None:
    assert verdict_of(NAN, NAN) == "undecided"
    for low, high in ((NAN, 1.0), (-1.0, NAN), (1.0, 0.5)):
        with pytest.raises(wc.errors.ConfigError, match="two ends, low ≤ high, or be NaN at both; got"):
            verdict_of(low, high)
    with pytest.raises(wc.errors.ConfigError, match="margin must be a finite number above 0 and below 1"):
        verdict_of(0.0, 1.0, 0.0)


def paired(mean: float, low: float, high: float, pairs: int = 10, diverged: int = 0, needed: int | None = 12) -> Paired:
    return Paired(pairs, diverged, mean, low, high, 0.01, 1.0, 1.0, 0.5, 0.5, needed)


SENTENCES = {
    "magnitude is better than random at sparsity 80 %: +1.32 points [+0.40, +2.24], 10 pairs.": paired(
        0.0132, 0.0040, 0.0224
    ),
    "magnitude is better than random at sparsity 80 %, by more than the margin of 0.5 points: +1.32 points "
    "[+0.60, +2.04], 10 pairs.": paired(0.0132, 0.0060, 0.0204),
    "magnitude is better than random at sparsity 80 %, by less than the margin of 0.5 points: +0.25 points "
    "[+0.10, +0.40], 10 pairs.": paired(0.0025, 0.0010, 0.0040),
    "magnitude and random are equivalent at sparsity 80 %, within the margin of 0.5 points: +0.10 points "
    "[-0.20, +0.40], 10 pairs.": paired(0.0010, -0.0020, 0.0040),
    "magnitude is worse than random at sparsity 80 %, by less than the margin of 0.5 points: -0.25 points "
    "[-0.40, -0.10], 10 pairs.": paired(-0.0025, -0.0040, -0.0010),
    "magnitude is worse than random at sparsity 80 %, by more than the margin of 0.5 points: -1.32 points "
    "[-2.04, -0.60], 10 pairs.": paired(-0.0132, -0.0204, -0.0060),
    "magnitude is worse than random at sparsity 80 %: -1.32 points [-2.24, -0.40], 9 of 10 pairs "
    "(in 1 a training diverged).": paired(-0.0132, -0.0224, -0.0040, 9, 1),
    "Whether magnitude is better than random at sparsity 80 % is undecided: +0.30 points [-0.90, +1.50], 8 of 10 pairs "
    "(in 2 a training diverged); 4 more would decide if mean and spread stayed the same.": paired(
        0.0030, -0.0090, 0.0150, 8, 2
    ),
    "Whether magnitude is better than random at sparsity 80 % is undecided: +0.30 points, 1 pair, and one pair does "
    "not show how far that may be off.": paired(0.0030, NAN, NAN, 1, 0, None),
    "Whether magnitude is better than random at sparsity 80 % is undecided: +0.30 points, 5 of 6 pairs (in 1 a "
    "training diverged), and differences that are all equal do not show how far that may be off.": paired(
        0.0030, NAN, NAN, 5, 1, None
    ),
    "Whether magnitude is better than random at sparsity 80 % is undecided: a training diverged in all 5 pairs.": (
        paired(NAN, NAN, NAN, 0, 5, None)
    ),
    "Whether magnitude is better than random at sparsity 80 % is undecided: a training diverged in the only pair.": (
        paired(NAN, NAN, NAN, 0, 1, None)
    ),
    "Whether magnitude is better than random at sparsity 80 % is undecided: there are no pairs yet.": paired(
        NAN, NAN, NAN, 0, 0, None
    ),
}


@pytest.mark.parametrize("said", SENTENCES)
def test_each_verdict_is_one_sentence(said: str) -> None:
    assert sentence("magnitude", "random", 0.8, SENTENCES[said]) == said


@pytest.mark.parametrize(("last", "beyond"), [(None, False), (14, False), (13, True)])
def test_more_than_the_planned_looks_have_is_said_to_need_a_new_run(last: int | None, beyond: bool) -> None:
    found = paired(0.0030, -0.0090, 0.0150, 8, 2)  # 10 repeats, and 4 more would decide
    said = sentence("magnitude", "random", 0.8, found, last=last)
    more = ", but the last planned look is at 13: a new run would be needed, planned with more looks" * beyond
    assert said.endswith(f"; 4 more would decide if mean and spread stayed the same{more}.")


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.00001, 0.0200, "[+0.001, +2.00]"),
        (-0.0049999, 0.0010, "[-0.49999, +0.10]"),
        (0.00499, 0.02, "[+0.499, +2.00]"),
        (0.005, 0.02, "[+0.50, +2.00]"),
        (-0.02, 0.0, "[-2.00, +0.00]"),
        (-0.02, 1e-6, "[-2.00, +0.0001]"),
    ],
)
def test_an_end_is_shown_on_its_side_of_what_it_is_compared_with(low: float, high: float, shown: str) -> None:
    assert shown in sentence("a", "b", 0.5, paired(0.0, low, high))


@pytest.mark.parametrize(("low", "high"), [(0.005, 0.02), (-0.02, -0.005)])
def test_an_interval_that_touches_the_margin_is_not_said_to_be_beyond_it(low: float, high: float) -> None:
    assert "margin" not in sentence("a", "b", 0.5, paired(0.0, low, high))


def test_a_mean_that_rounds_to_zero_has_no_minus() -> None:
    assert ": +0.00 points [" in sentence("a", "b", 0.5, paired(-1e-9, -0.001, 0.001))


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.8, "80"), (0.55, "55"), (0.005, "0.5"), (0.0, "0"), (1e-9, "0.0000001"), (0.999, "99.9")]
)
def test_percent_is_the_shortest_text(fraction: float, text: str) -> None:
    assert percent(fraction) == text


def test_the_sentence_of_real_pairs() -> None:
    found = paired_statistics([0.91, 0.93, 0.90, 0.95, 0.92], [0.90, 0.91, 0.91, 0.92, 0.91], 0.05, 0.01)
    needed = found.repeats_needed
    assert needed is not None
    said = sentence("snip", "random", 0.9, found, 0.01)
    assert said.startswith("Whether snip is better than random at sparsity 90 % is undecided: +1.20 points [")
    assert said.endswith(f"5 pairs; {needed - 5} more would decide if mean and spread stayed the same.")
