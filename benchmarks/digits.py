"""End to end: ``weedout paper`` on digits, 50 cells, in a fresh run folder."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say, timed_call
from weedout_core.lab.experiment.rows import TimingRow, from_csv

_BACKENDS = ("jax", "torch", "torch_xla")
_SMALL = "--sparsity 0.8 --repeats 1 --population 4 --generations 1 --epochs 1 --hidden 32"


class Experiment(NamedTuple):
    """Where the command's seconds went.

    Attributes:
        total: wall time.
        compiling: of these, compilation during the phases.
        running: of these, the phases without it: search, training, evaluation.
    """

    total: float
    compiling: float
    running: float


def run(quick: bool, say: Say) -> Section:
    """Wall time of the command, imports and compilation included, one backend after the other."""
    taken: dict[str, Experiment] = {}
    for name in machine.load_backends(_BACKENDS[:1] if quick else _BACKENDS, say):
        taken[name] = experiment(name, quick)
        say(f"weedout paper --backend {name}: {taken[name].total:.1f} s")
    command = " ".join(["weedout", "paper", *_small(quick)])
    text = [
        f"`{command}`; one backend after the other. Compiling and running are the sums over the phases of the run's "
        "`timings.csv`. The rest is imports, connecting (torch compiles the loops of the "
        "random stream in it), data, files and figure.",
        machine.description(),
        table(
            ["", "seconds", "compiling", "running", "the rest"],
            [[name, *map(number, (*one, one.total - one.compiling - one.running))] for name, one in taken.items()],
        ),
        at_most(
            "weedout paper on digits, 50 cells, on jax, seconds", 45, taken["jax"].total if "jax" in taken else None
        ),
    ]
    return Section("End to end: digits", "\n\n".join(text), {})


def _small(quick: bool) -> list[str]:
    return [*_SMALL.split()] if quick else []


def experiment(backend: str, quick: bool, more: Sequence[str] = ()) -> Experiment:
    """Run the command, with more options if there are some."""
    with tempfile.TemporaryDirectory() as folder:
        total, _ = timed_call(lambda: _paper(backend, folder, [*_small(quick), *more]))
        timings = Path(folder, "run", "timings.csv")
        rows = from_csv(TimingRow, timings.read_text(encoding="utf-8"), timings.name)
    compiling = sum(row.compile_seconds or 0.0 for row in rows)
    return Experiment(total, compiling, sum(row.seconds for row in rows) - compiling)


def _paper(backend: str, folder: str, more: list[str]) -> None:
    command = [sys.executable, "-m", "weedout_core", "paper", "--backend", backend, "--out", f"{folder}/run", *more]
    root = Path(__file__).parents[1]
    paths = [str(root / part) for part in (".", "reference", "backends")]
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"weedout paper --backend {backend} failed:\n{done.stderr[-2000:]}")
