"""How time and memory of a search grow: with the population, sparsity, depth and devices."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.alone import Alone, Asked, alternately
from benchmarks.figures import Panel, draw
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say

_BACKENDS = ("jax", "torch")
_INPUTS, _CLASSES = 64, 10
_CHUNK = 100
_FEW = 100  # candidates, from which on growth with the population is judged
_PROCESSES = 9  # for each population, whose memory is compared: peaks of JAX differ by 40 MiB between processes


class Axis(NamedTuple):
    """What is varied, and what it is called.

    Attributes:
        name: of the quantity.
        found: {backend: {value: what was found}}.
        fit: how time is fitted, in words.
    """

    name: str
    found: dict[str, dict[float, Alone]]
    fit: str


def run(quick: bool, say: Say) -> Section:
    """Searches of one generation, each in a fresh process."""
    width, batch = (32, 64) if quick else (1024, 1024)
    backends = list(machine.load_backends(_BACKENDS[:1] if quick else _BACKENDS, say))
    populations = (_FEW, 2 * _FEW) if quick else (10, _FEW, 1_000, 10_000)
    sparsities = () if quick else (0.2, 0.4, 0.6, 0.8, 0.9)
    depths = () if quick else (1, 2, 4, 8)
    devices = (2,) if quick else (1, 2, 4, 8)
    # Each population about as long, so that a slow moment weighs the same.
    rounds = dict.fromkeys(populations, 2) if quick else {10: 33, _FEW: 33, 1_000: 4, 10_000: 1}
    processes = 1 if quick else _PROCESSES

    def vary(
        name: str, values: Mapping[float, Mapping[str, Any]], who: Sequence[str], fit: str, processes: int = 1
    ) -> Axis:
        found: dict[str, dict[float, Alone]] = {}
        for backend in who:
            asked = {
                value: _asked(backend, batch, **{"hidden": (width, width), **change})
                for value, change in values.items()
            }
            found[backend] = alternately(asked, processes, partial(_report, say, f"{backend}, {name}"))
        return Axis(name, found, fit)

    half = (width // 2,)
    axes = [
        vary(
            "population", {m: {"population": m, "rounds": rounds[m]} for m in populations}, backends, "of m", processes
        ),
        vary("sparsity", {eta: {"sparsity": eta} for eta in sparsities}, backends, "of 1 − η"),
        vary("depth", {depth: {"hidden": half * depth} for depth in depths}, backends, "of the hidden layers"),
        vary("devices", {n: {"devices": n} for n in devices}, [b for b in backends if b == "jax"], "of the devices"),
    ]
    axes = [axis for axis in axes if axis.found and any(axis.found.values())]
    text = [
        f"`wc.search` of one generation on {_INPUTS}-{width}-{width}-{_CLASSES}, batch {batch:,}, η = 0.8, 100 "
        f"candidates, chunks of {_CHUNK}, where nothing else is said; depth with hidden layers of {half[0]}. Each in a "
        "process of its own; the median of several searches after a first one; the most memory the process ever held, "
        f"libraries included. Of populations the medians of {processes} processes, those of all populations in turn. "
        "Devices are virtual ones, all on this machine's cores.",
        machine.description(),
        *(_part(axis) for axis in axes),
        "\n".join(_accepted(axes[0], populations[-1])),
    ]
    return Section("Growth", "\n\n".join(text), {"growth.png": draw("Growth of a search", [_panel(a) for a in axes])})


def _report(say: Say, what: str, value: float, one: Alone) -> None:
    say(f"{what} {value}: {one.timed.median:.3g} s, {one.peak:.0f} MiB")


def _asked(
    backend: str,
    batch: int,
    hidden: tuple[int, ...],
    sparsity: float = 0.8,
    population: int = 100,
    devices: int = 1,
    rounds: int = 5,
) -> Asked:
    config = wc.SearchConfig(population=population, generations=1, validation_batch=batch, chunk=_CHUNK)
    return Asked(wc.mlp(_INPUTS, hidden, _CLASSES), sparsity, config, backend, devices, rounds)


def exponent(times: Mapping[float, Alone], least: float = 0.0) -> float | None:
    """The p of the power law value^p that fits the times best, from two values on."""
    points = [(value, grown.timed.median) for value, grown in times.items() if value >= least]
    if len(points) < 2:
        return None
    values, seconds = np.log(points).T
    return float(np.polyfit(values, seconds, 1)[0])


def _fitted(axis: Axis, times: Mapping[float, Alone]) -> float | None:
    if axis.name == "sparsity":
        return exponent({1 - eta: grown for eta, grown in times.items()})
    return exponent(times, _FEW if axis.name == "population" else 0)


def _part(axis: Axis) -> str:
    rows = [
        [f"{backend}, {axis.name} {value:,}", *map(number, (1e3 * one.timed.median, one.peak, one.timed.first))]
        for backend, times in axis.found.items()
        for value, one in times.items()
    ]
    fits: list[str] = []
    for backend, times in axis.found.items():
        found = _fitted(axis, times)
        if found is not None:
            since = f" from {_FEW} on" if axis.name == "population" else ""
            fits.append(f"- {backend}: time grows as the power {found:.2f} {axis.fit}{since}")
    return "\n\n".join(
        filter(None, [table(["", "ms a search", "peak, MiB", "first search, s"], rows), "\n".join(fits)])
    )


def _accepted(axis: Axis, many: int) -> list[str]:
    lines: list[str] = []
    for backend, times in axis.found.items():
        found = exponent(times, _FEW)
        away = None if found is None else abs(found - 1)
        lines.append(at_most(f"{backend}: distance of the exponent in the population from 1", 0.05, away))
        # Keys and fitness: a word pair and a float a candidate, in a few copies.
        more = times[many].peak - times[_FEW].peak
        lines.append(at_most(f"{backend}: MiB more at {many:,} candidates than at {_FEW}, one chunk", 16, more))
    return lines


def _panel(axis: Axis) -> Panel:
    lines = {
        backend: {value: 1e3 * one.timed.median for value, one in times.items()}
        for backend, times in axis.found.items()
    }
    return Panel(axis.name, "ms a search", lines, log_x=axis.name != "sparsity")
