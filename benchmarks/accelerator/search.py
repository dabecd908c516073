"""Scoring a population: every engine, in full precision and in the device's own, against peers and both limits."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from benchmarks.accelerator import peers
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.clock import measure
from benchmarks.accelerator.frameworks import PRECISIONS, Framework, framework
from benchmarks.accelerator.limits import Limits, limits, search
from benchmarks.accelerator.models import Scored, scored
from benchmarks.accelerator.peers import Runner
from benchmarks.task import Task, first

_TRUE = 2  # candidates whose fitness the CPU computes too


class Handed(NamedTuple):
    """What a case is scored with, and the true fitness of its first candidates."""

    task: Task
    wanted: np.ndarray


def run(asked: Asked) -> None:
    """In order of worth: our choice for every network, other engines and peers, and all of it less precisely."""
    one = framework(asked.part)
    fastest = limits(one, asked.quick)
    say_limits(asked, fastest)
    cases = scored(asked.quick)

    @cache
    def handed(label: str) -> Handed:
        case = next(case for case in cases if case.label == label)
        task = case.task(one)
        return Handed(task, peers.truth(first(task, _TRUE if case.everybody else 1)))

    for precision in PRECISIONS:
        some = cases[:1] if asked.quick and precision == "default" else cases
        for wanted in (_chosen, _not_chosen):
            for case in some:
                for runner in wanted(one, case, precision, asked.quick):
                    find = partial(_row, case, runner, precision, fastest, partial(handed, case.label), asked.quick)
                    asked.attempt(case.title, runner.name, find)
    for case in cases:
        asked.notes.line(f"{case.label}: weedout {one.name} takes the engine {one.fastest(case.computed)}.")


def say_limits(asked: Asked, fastest: Limits) -> None:
    """Write down what the device did at best."""
    values = {f"{kind}, TFLOP/s": 2e-12 * speed for kind, speed in fastest.macs.items()}
    asked.notes.row("Limits of the device", asked.part, values | {"memory, GB/s": 1e-9 * fastest.bytes})


def _chosen(one: Framework, case: Scored, precision: str, quick: bool) -> Iterator[Runner]:
    del quick
    yield peers.ours(one, one.fastest(case.computed), precision)


def _not_chosen(one: Framework, case: Scored, precision: str, quick: bool) -> Iterator[Runner]:
    if case.everybody:
        for engine in one.engines:
            if engine != one.fastest(case.computed):
                yield peers.ours(one, engine, precision)
        yield from peers.others(one, case.net, precision, quick)


def _row(
    case: Scored, runner: Runner, precision: str, fastest: Limits, handed: Callable[[], Handed], quick: bool
) -> dict[str, float]:
    """The columns of one runner, once its fitness is the CPU's."""
    task, wanted = handed()

    def check(fitness: np.ndarray) -> None:
        assert fitness.shape == (case.candidates,), f"{len(fitness)} fitnesses of {case.candidates} candidates"
        off = float(np.max(np.abs(fitness[: len(wanted)] - wanted)))
        most = peers.agreement(precision, case.net)
        assert off <= most, f"a fitness is {off:.2g} from the CPU's, more than {most:.2g}"

    taken = measure(runner.make(task), check, quick)
    work = search(case.net, case.plan, case.candidates, case.batch)
    return taken.columns(case.candidates) | fastest.columns(work, precision, case.candidates)
