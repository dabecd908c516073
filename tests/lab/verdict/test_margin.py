"""The margin, wherever it is handed in: what is refused, and where a warning says that points may be meant."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.verdict.decisions import Pairs, decide
from weedout_core.lab.verdict.paired import paired_statistics
from weedout_core.lab.verdict.verdicts import sentence, verdict_of

FIRST, SECOND = [0.9, 0.8, 0.9], [0.7, 0.7, 0.8]
PAIRED = paired_statistics(FIRST, SECOND, 0.05)
PLACES: dict[str, Callable[[float], Any]] = {
    "JudgeConfig": lambda margin: JudgeConfig(margin=margin),
    "decide": lambda margin: decide([Pairs("a", "b", 0.5, FIRST, SECOND)] * 2, 3, [3], margin),
    "paired_statistics": lambda margin: paired_statistics(FIRST, SECOND, 0.05, margin),
    "verdict_of": lambda margin: verdict_of(-0.1, 0.1, margin),
    "sentence": lambda margin: sentence("a", "b", 0.5, PAIRED, margin),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("margin", [0, -0.01, 1, 1.5, 50, math.nan, math.inf])
def test_a_margin_that_is_no_fraction_is_refused(place: str, margin: float) -> None:
    points = "Divide points by 100" if margin >= 1 else ""
    with pytest.raises(ConfigError, match=f"^margin must be a finite number above 0 and below 1, .*{points}"):
        PLACES[place](margin)


@pytest.mark.parametrize("place", PLACES)
def test_a_margin_of_many_points_is_taken_with_one_warning(place: str) -> None:
    with pytest.warns(WeedoutWarning, match=r"margin 0.5 is 50 points of percent.*half a point is 0.005") as caught:
        PLACES[place](0.5)
    assert len(caught) == (2 if place == "sentence" else 1), "a sentence has a verdict"
    with pytest.raises(WeedoutWarning, match=r"margin 0\.1 is 10 points"):  # where warnings are errors, as here
        PLACES[place](0.1)
    PLACES[place](0.0999)
