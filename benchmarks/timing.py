"""Fair times: all candidates in one process, each once a round, so that what else the machine does meets them all."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Run = Callable[[], Any]
Check = Callable[[Mapping[str, Any]], None]
Say = Callable[[str], None]


class Ratio(NamedTuple):
    """How many times another's time something takes: the median of the rounds' own ratios, and how far they spread."""

    median: float
    least: float
    most: float


class Timed(NamedTuple):
    """What one candidate took, seconds.

    Attributes:
        first: its first call, with whatever is compiled at it; no part of the rounds.
        rounds: each round.
    """

    first: float
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def over(self, other: "Timed") -> Ratio:
        """How many times the other's time it takes, round by round."""
        ratios = [mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True)]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def alternate(runs: Mapping[str, Run], rounds: int, say: Say, check: Check | None = None) -> dict[str, Timed]:
    """Time candidates that return when their result is there: a first call each, then rounds of all.

    Every other round goes backwards, so that nobody always runs behind the same neighbour. Garbage is collected
    between the rounds.

    Args:
        check: called with what the first calls gave; it raises where they do not agree.
    """
    first: dict[str, float] = {}
    given: dict[str, Any] = {}
    for name, run in runs.items():
        first[name], given[name] = timed_call(run)
        say(f"{name}: first call {first[name]:.3g} s")
    if check is not None:
        check(given)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        gc.collect()
        for name in list(runs)[:: -1 if number % 2 else 1]:
            found[name].append(timed_call(runs[name])[0])
        say(f"round {number + 1} of {rounds}: " + ", ".join(f"{name} {times[-1]:.3g}" for name, times in found.items()))
    return {name: Timed(first[name], tuple(times)) for name, times in found.items()}


def wait(array: Any) -> Any:
    """An array that is computed elsewhere, when it is there."""
    if hasattr(array, "block_until_ready"):
        return array.block_until_ready()
    kind = getattr(getattr(array, "device", None), "type", "")
    if kind == "cuda":
        import torch  # here and below: nobody waits for a framework that is not there

        torch.cuda.synchronize()
    if kind == "xla":
        import torch_xla.core.xla_model as xla_model

        xla_model.wait_device_ops()
    return array


def timed_call(run: Run) -> tuple[float, Any]:
    """The seconds of one call, and what it gave."""
    start = time.perf_counter()
    given = run()
    return time.perf_counter() - start, given
