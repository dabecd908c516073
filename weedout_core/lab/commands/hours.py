"""From what was measured and how much work there is to hours."""

from collections.abc import Iterator, Sequence
from heapq import heapreplace
from typing import NamedTuple

from weedout_core.backend import Backend
from weedout_core.lab.commands.amounts import Work
from weedout_core.lab.commands.probe import Probe
from weedout_core.lab.experiment.names import named


class Measured(NamedTuple):
    """A measurement, and the sparsities for which it counts."""

    sparsities: Sequence[float]
    probe: Probe


def hours(amount: Work, measured: Sequence[Measured], backend: Backend) -> Iterator[str]:
    """Lines on how long the experiment takes, phase by phase and in all, at the speed that was measured."""
    for sparsities, probe in measured:
        # Of a backend that compiles nothing, a first call takes longer for other reasons.
        compiling = "" if backend.compile_seconds is None else f", {_time(probe.compiling)} compiling"
        yield (
            f"measured on {backend.device} for sparsity {', '.join(map(named, sorted(sparsities)))}: "
            f"{_time(probe.candidate)} a candidate, {_time(probe.step)} a step, "
            f"{_time(probe.thousand)} an evaluation on 1,000 examples{compiling}"
        )
    each = [probe for sparsities, probe in measured for _ in sparsities]
    training = amount.parts * amount.epochs * amount.steps * sum(probe.step for probe in each)
    evaluation = amount.parts * amount.evaluated / 1000 * sum(probe.thousand for probe in each)
    search = None if amount.evaluations is None else amount.evaluations * sum(_scored(amount, probe) for probe in each)
    known = f"training: {_time(training)}; evaluation: {_time(evaluation)}"
    yield f"search: {'unknown' if search is None else _time(search)}; {known}"
    if search is not None:
        whole = search + training + evaluation
        yield f"together about {_time(whole)} on this machine, if all of it runs at this speed"


def with_workers(
    amount: Work, measured: Sequence[Measured], backend: Backend, groups: int, workers: int, price: float | None
) -> Iterator[str]:
    """Lines on how long workers take, each as fast as this machine, and what they cost.

    Args:
        amount: the work at each sparsity.
        measured: what was measured.
        backend: with which.
        groups: of each sparsity, of which each takes about as long.
        workers: the number of workers; each takes the next group when it has done one.
        price: of an hour of a worker; None for no line on the cost.
    """
    if amount.evaluations is None:
        yield f"with {workers} workers: unknown, because patience alone ends a search"
        return
    training, evaluation = amount.parts * amount.epochs * amount.steps, amount.parts * amount.evaluated / 1000
    each = {
        sparsity: (amount.evaluations * _scored(amount, probe) + training * probe.step + evaluation * probe.thousand)
        / groups
        for sparsities, probe in measured
        for sparsity in sparsities
    }
    ends = [0.0] * min(workers, groups * len(each))
    for sparsity in [*sorted(each)] * groups:  # in the order in which the run begins them
        heapreplace(ends, ends[0] + each[sparsity])
    compiling = 0.0 if backend.compile_seconds is None else sum(probe.compiling for _, probe in measured)
    besides, whole = f", and each compiles for at most {_time(compiling)} besides" if compiling else "", max(ends)
    yield (
        f"{groups * len(each)} groups of {_time(min(each.values()))} to {_time(max(each.values()))}: {workers} workers "
        f"take about {_time(whole)}, no number of them less than {_time(max(each.values()))}{besides}"
    )
    if price is not None:
        cost = workers * (whole + compiling) / 3600 * price
        yield f"cost: about {cost:,.2f}, at {price:g} for an hour of a worker, all of them until the last one ends"


def _scored(amount: Work, probe: Probe) -> float:
    """The seconds of a candidate: its score, and its share of the steps that are taken side by side before."""
    return probe.candidate + amount.limited * probe.step / amount.networks


def _time(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.3g} s"
