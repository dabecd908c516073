"""Times on a device: until the result is there, the first call apart, as many rounds as a second holds."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.timing import timed_call

_SECONDS, _LEAST, _MOST = 1.0, 3, 30

Check = Callable[[Any], None]


class Measured(NamedTuple):
    """What one candidate took.

    Attributes:
        first: seconds of the first call, with whatever is compiled at it.
        seconds: of a call after it, the median.
    """

    first: float
    seconds: float

    def columns(self, each: float = 1.0) -> dict[str, float]:
        """As columns of a table: milliseconds of each of so many things that a call does, and the first call."""
        return {"ms": 1e3 * self.seconds / each, "first call, s": self.first}


def measure(run: Callable[[], Any], check: Check, quick: bool) -> Measured:
    """Time a call that returns when its result is there.

    Nothing is timed before ``check`` has seen what the first call gave; it raises AssertionError where that is wrong.
    """
    first, given = timed_call(run)
    check(given)
    del given
    rounds: list[float] = []
    end = time.perf_counter() + (0.0 if quick else _SECONDS)
    while len(rounds) < (1 if quick else _LEAST) or (time.perf_counter() < end and len(rounds) < _MOST):
        rounds.append(timed_call(run)[0])
    return Measured(first, statistics.median(rounds))
