"""Selection: the fittest, the first of equals, and nothing that is not finite."""

import math

import pytest

from weedout_core.backend import Origin
from weedout_core.errors import SearchError
from weedout_numpy.candidates import Candidate
from weedout_numpy.selection import fittest, select


@pytest.mark.parametrize(
    ("fitness", "winner"),
    [
        ([1.0, 3.0, 2.0], 1),
        ([-3.0, -1.0, -2.0], 1),
        ([1.0, 2.0, 2.0], 1),
        ([math.nan, 1.0, 2.0], 2),
        ([1.0, math.inf, 2.0], 2),
        ([-math.inf, -5.0], 1),
        ([math.nan, math.inf, -math.inf], 0),
    ],
)
def test_select(fitness: list[float], winner: int) -> None:
    assert select(fitness) == winner, "the largest finite fitness, the lowest index of equals, else 0"


def population(*fitness: float) -> list[Candidate]:
    return [Candidate(Origin(4, i), {}, {}, value) for i, value in enumerate(fitness)]


def test_the_fittest_candidate_is_one_that_has_been_measured() -> None:
    candidates = population(1.0, 3.0, math.inf, 3.0)
    assert fittest(candidates) is candidates[1], "the first of equals"
    fresh = Candidate(Origin(4, 4), {}, {})
    assert fittest([fresh, *candidates]) is candidates[1], "one that is not measured is never the fittest"


def test_a_population_without_a_finite_fitness_is_an_error() -> None:
    elite = Candidate(Origin(2, 7), {}, {}, math.nan)  # from an earlier generation, and measured again
    with pytest.raises(SearchError, match=r"no candidate of generation 4 has a finite fitness\. Check inputs and"):
        fittest([elite, *population(math.nan, math.inf)])
