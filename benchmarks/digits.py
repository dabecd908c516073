"""End to end: ``weedout paper`` on digits, 50 cells, in a fresh run folder."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import machine
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say, timed_call

_BACKENDS = ("jax", "torch", "torch_xla")
_SMALL = "--sparsity 0.8 --repeats 1 --population 4 --generations 1 --epochs 1 --hidden 32"


def run(quick: bool, say: Say) -> Section:
    """Wall time of the command, imports and compilation included, one backend after the other."""
    more: list[str] = [*_SMALL.split()] if quick else []
    taken: dict[str, float] = {}
    for name in machine.load_backends(_BACKENDS[:1] if quick else _BACKENDS, say):
        taken[name] = timed_call(lambda name=name: _paper(name, more))[0]
        say(f"weedout paper --backend {name}: {taken[name]:.1f} s")
    text = [
        f"`{' '.join(['weedout', 'paper', *more])}`: imports, compilation, search, training, figure; one backend after "
        "the other.",
        machine.description(),
        table(["", "seconds"], [[name, number(value)] for name, value in taken.items()]),
        at_most("weedout paper on digits, 50 cells, on jax, seconds", 45, taken.get("jax")),
    ]
    return Section("End to end: digits", "\n\n".join(text), {})


def _paper(backend: str, more: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
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
