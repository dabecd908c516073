"""How time and memory of a search grow: with the population, sparsity, depth and devices."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import machine
from benchmarks.figures import Panel, draw
from benchmarks.growth_worker import CHUNK, CLASSES, INPUTS
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say

_BACKENDS = ("jax", "torch")


class Grown(NamedTuple):
    """One search in a process of its own: seconds of the first and of later ones, the most memory in MiB."""

    first: float
    median: float
    peak: float


class Axis(NamedTuple):
    """What is varied, and what it is called.

    Attributes:
        name: of the quantity.
        found: {backend: {value: what was found}}.
        fit: how time is fitted, in words.
    """

    name: str
    found: dict[str, dict[float, Grown]]
    fit: str


def run(quick: bool, say: Say) -> Section:
    """Searches of one generation, each in a fresh process."""
    width, batch = (32, 64) if quick else (1024, 1024)
    backends = list(machine.load_backends(_BACKENDS[:1] if quick else _BACKENDS, say))
    common = {"hidden": [width, width], "batch": batch, "sparsity": 0.8, "population": 100, "devices": 1, "rounds": 5}
    populations = (10, 100) if quick else (10, 100, 1_000, 10_000)
    sparsities = () if quick else (0.2, 0.4, 0.6, 0.8, 0.9)
    depths = () if quick else (1, 2, 4, 8)
    devices = (2,) if quick else (1, 2, 4, 8)

    def vary(name: str, values: Mapping[float, Mapping[str, Any]], who: Sequence[str], fit: str) -> Axis:
        found: dict[str, dict[float, Grown]] = {}
        for backend in who:
            for value, change in values.items():
                grown = measure({**common, "backend": backend, **change})
                say(f"{backend}, {name} {value}: {grown.median:.3g} s, {grown.peak:.0f} MiB")
                found.setdefault(backend, {})[value] = grown
        return Axis(name, found, fit)

    rounds = {10: 99, 100: 99, 1_000: 11, 10_000: 3}  # each about as long, so that a slow moment weighs the same
    half = [width // 2]
    axes = [
        vary("population", {m: {"population": m, "rounds": rounds[m]} for m in populations}, backends, "of m"),
        vary("sparsity", {eta: {"sparsity": eta} for eta in sparsities}, backends, "of 1 − η"),
        vary("depth", {depth: {"hidden": half * depth} for depth in depths}, backends, "of the hidden layers"),
        vary("devices", {n: {"devices": n} for n in devices}, [b for b in backends if b == "jax"], "of the devices"),
    ]
    axes = [axis for axis in axes if axis.found and any(axis.found.values())]
    text = [
        f"`wc.search` of one generation on {INPUTS}-{width}-{width}-{CLASSES}, batch {batch:,}, η = 0.8, 100 "
        f"candidates, chunks of {CHUNK}, where nothing else is said; depth with hidden layers of {half[0]}. Each in a "
        "process of its own; the median of several searches after a first one; the most memory the process ever held, "
        "libraries included. Devices are virtual ones, all on this machine's cores.",
        machine.description(),
        *(_part(axis) for axis in axes),
        "\n".join(_accepted(axes[0], populations)),
    ]
    return Section("Growth", "\n\n".join(text), {"growth.png": draw("Growth of a search", [_panel(a) for a in axes])})


def measure(asked: Mapping[str, Any]) -> Grown:
    """One search in a fresh process, with as many virtual devices as asked for."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={asked['devices']}"
    root = Path(__file__).parents[1]
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth_worker", json.dumps(asked)],
        env=os.environ | {"XLA_FLAGS": flags.strip(), "PYTHONPATH": os.pathsep.join(paths)},
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the search {asked} failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    return Grown(said["first"], statistics.median(said["rounds"]), said["peak"] / 2**20)


def exponent(times: Mapping[float, Grown], least: float = 0.0) -> float | None:
    """The p of the power law value^p that fits the times best, from two values on."""
    points = [(value, grown.median) for value, grown in times.items() if value >= least]
    if len(points) < 2:
        return None
    values, seconds = np.log(points).T
    return float(np.polyfit(values, seconds, 1)[0])


def _fitted(axis: Axis, times: Mapping[float, Grown]) -> float | None:
    if axis.name == "sparsity":
        return exponent({1 - eta: grown for eta, grown in times.items()})
    return exponent(times, 100 if axis.name == "population" else 0)


def _part(axis: Axis) -> str:
    rows = [
        [f"{backend}, {axis.name} {value:,}", number(1e3 * grown.median), number(grown.peak), number(grown.first)]
        for backend, times in axis.found.items()
        for value, grown in times.items()
    ]
    fits: list[str] = []
    for backend, times in axis.found.items():
        found = _fitted(axis, times)
        if found is not None:
            since = " from 100 on" if axis.name == "population" else ""
            fits.append(f"- {backend}: time grows as the power {found:.2f} {axis.fit}{since}")
    return "\n\n".join(
        filter(None, [table(["", "ms a search", "peak, MiB", "first search, s"], rows), "\n".join(fits)])
    )


def _accepted(axis: Axis, populations: Sequence[int]) -> list[str]:
    lines: list[str] = []
    few, many = populations[1], populations[-1]
    for backend, times in axis.found.items():
        found = exponent(times, 100)
        away = None if found is None else abs(found - 1)
        lines.append(at_most(f"{backend}: distance of the exponent in the population from 1", 0.05, away))
        if many > few:
            # Keys and fitness: a word pair and a float a candidate, in a few copies.
            more = times[many].peak - times[few].peak
            lines.append(at_most(f"{backend}: MiB more at {many:,} candidates than at {few}, one chunk", 16, more))
    return lines


def _panel(axis: Axis) -> Panel:
    lines = {
        backend: {value: 1e3 * grown.median for value, grown in times.items()} for backend, times in axis.found.items()
    }
    return Panel(axis.name, "ms a search", lines, log_x=axis.name != "sparsity")
