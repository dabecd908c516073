"""Runs to report on: computed once by the reference, in a few seconds, and copied for each test."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from weedout_core.lab.cli import main
from weedout_core.lab.report.compared import Run
from weedout_core.lab.report.compared_sections import comparison
from weedout_core.lab.report.page import Report
from weedout_core.lab.report.run_page import report
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.reading import read_run


class Made(NamedTuple):
    """A run's folder, what its report is made from, and the report."""

    folder: Path
    source: Source
    report: Report


class Compared(NamedTuple):
    """Runs that are compared, and the page."""

    runs: list[Run]
    report: Report


_TINY = ["--population", "4", "--generations", "2", "--epochs", "3", "--batch-size", "256"]
_PAPER = ["--hidden", "8", "6", "--sparsity", "0", "0.5", "--repeats", "3"]


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's experiment with two small hidden layers, at sparsity 0 and 0.5, three repeats."""
    return _run(tmp_path_factory, "paper", *_PAPER)


@pytest.fixture(scope="session")
def jax_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on JAX."""
    pytest.importorskip("jax")
    return _run(tmp_path_factory, "paper", *_PAPER, backend="jax")


@pytest.fixture(scope="session")
def compared(paper_run: Path, jax_run: Path) -> Compared:
    """The paper's experiment on two backends, compared."""
    runs = [Run(name, Source(*read_run(path))) for name, path in (("numpy-run", paper_run), ("jax-run", jax_run))]
    return Compared(runs, comparison(runs)[0])


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods and their sanity checks against Random Search, looked at after two and three repeats."""
    return _run(
        tmp_path_factory,
        "judge",
        "magnitude",
        "snip",
        "--hidden",
        "20",
        "--sparsity",
        "0.5",
        "0.8",
        "--repeats",
        "2",
        "3",
    )


def _run(factory: pytest.TempPathFactory, command: str, *options: str, backend: str = "numpy") -> Path:
    folder = factory.mktemp(command) / "run"
    assert main([command, *options, *_TINY, "--backend", backend, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(params=["paper", "judged"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Each of the runs, in a folder that a test may change."""
    found: Path = request.getfixturevalue(f"{request.param}_run")
    return shutil.copytree(found, tmp_path / "run")


@pytest.fixture(scope="session", params=["paper", "judged"])
def made(request: pytest.FixtureRequest) -> Made:
    """Each of the runs with its report, to be read alone."""
    folder: Path = request.getfixturevalue(f"{request.param}_run")
    found = Source(*read_run(folder))
    return Made(folder, found, report(found, ""))


@pytest.fixture
def source() -> Callable[[Path], Source]:
    """What a report is made from, from a run's folder."""
    return lambda folder: Source(*read_run(folder))
