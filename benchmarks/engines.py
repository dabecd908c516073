"""What engines cost: groups that compute nothing, in time and in the driver's memory, and digits with two workers."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from importlib.util import find_spec
from typing import NamedTuple

from benchmarks import machine
from benchmarks.alone import peak_bytes
from benchmarks.digits import experiment
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say, Timed, alternate
from weedout_core.lab.engines.driver import drive
from weedout_core.lab.engines.job import Done, Failed
from weedout_core.lab.engines.on_ray import OnRay
from weedout_core.lab.engines.processes import Processes
from weedout_core.lab.experiment.groups import Group

_WORKERS = 2
_MOST_MILLISECONDS, _MOST_MIB, _MOST_RATIO = 5, 20, 1.2


class Driven(NamedTuple):
    """What the driver spent on groups that compute nothing.

    Attributes:
        milliseconds: of a group.
        mebibytes: by which the most memory that the driver ever held grew, over all but the first groups.
    """

    milliseconds: float
    mebibytes: float


def run(quick: bool, say: Say) -> Section:
    """Processes and, where it is installed, Ray; then whole commands."""
    first, more = (20, 100) if quick else (1_000, 10_000)
    engines: dict[str, Callable[[], Executor]] = {"processes": lambda: Processes(_WORKERS)}
    if find_spec("ray"):
        engines["ray"] = lambda: OnRay(None, 1, 0)
    driven = dict[str, Driven]()
    for name, begin in engines.items():
        driven[name] = drive_nothing(begin, first, more)
        say(f"{name}: {driven[name].milliseconds:.2f} ms a group, {driven[name].mebibytes:.1f} MiB more")
    backend = "numpy" if quick else "jax"
    taken = digits(backend, quick, say)
    one, two = taken.values()
    accepted = [
        *(at_most(f"{name}, ms a group", _MOST_MILLISECONDS, one.milliseconds) for name, one in driven.items()),
        *(at_most(f"{name}, MiB more after {more:,} groups", _MOST_MIB, one.mebibytes) for name, one in driven.items()),
        at_most("digits, two workers over one process", _MOST_RATIO, two.over(one)),
    ]
    text = [
        f"Groups that compute nothing, with {_WORKERS} workers: {more:,} after the first {first:,}, which begin the "
        "engine. The memory is the most that the driver ever held.",
        machine.description(),
        table(
            ["engine", "ms a group", "MiB more"],
            [[name, number(one.milliseconds), f"{one.mebibytes:.1f}"] for name, one in driven.items()],
        ),
        f"`weedout paper --backend {backend}`, imports and compilation included{', in small' if quick else ''}:",
        table(["command", "seconds"], [[name, number(timed.median)] for name, timed in taken.items()]),
        "\n".join(accepted),
    ]
    return Section("Engines", "\n\n".join(text), {})


def drive_nothing(begin: Callable[[], Executor], first: int, more: int) -> Driven:
    """Drive groups of which each is done at once."""
    executor, groups = begin(), [Group(0.5, repeat, repeat + 1) for repeat in range(first + more)]
    try:
        _drive(executor, groups[:first])
        held, began = peak_bytes(), time.perf_counter()
        _drive(executor, groups[first:])
        return Driven((time.perf_counter() - began) * 1e3 / more, (peak_bytes() - held) / 2**20)
    finally:
        executor.shutdown()


def _drive(executor: Executor, groups: list[Group]) -> None:
    taken = set[Group]()
    drive(executor, lambda to, group: to.submit(_nothing), groups, lambda group, done: taken.add(group), 2 * _WORKERS)
    if taken != {*groups}:
        raise RuntimeError(f"{len(taken)} of {len(groups)} groups were taken.")


def _nothing() -> Done | Failed:
    """What becomes of a group here."""
    return Failed("", "It computes nothing.")


def digits(backend: str, quick: bool, say: Say) -> dict[str, Timed]:
    """The paper's grid on digits: with what a command takes by itself, and with two workers of one thread."""
    commands = {
        "weedout paper": [],
        f"--workers {_WORKERS} --threads 1": ["--workers", f"{_WORKERS}", "--threads", "1"],
    }
    runs = {name: lambda more=more: experiment(backend, quick, more) for name, more in commands.items()}
    return alternate(runs, 1 if quick else 2, say)
