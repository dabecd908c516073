"""Selection: the fittest, the lowest of equals, and nothing that is not finite."""

import math

import pytest

from weedout_numpy.selection import select


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
