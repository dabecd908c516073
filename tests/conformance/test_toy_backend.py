"""A third party's backend, found by its entry point as installed ones are, and held to the reference by the command."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from weedout_core.testing import CHECKS

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy_backend"

Conform = Callable[..., subprocess.CompletedProcess[str]]

#: A backend that maximises the cost, and one whose author forgot to return it.
NEGATED = """
from dataclasses import replace

import weedout_toy


def connect(device=None, devices=1):
    def score_population(net, params, population, x, y, fitness, precision, chunk):
        return -toy.score_population(net, params, population, x, y, fitness, precision, chunk)

    toy = weedout_toy.connect(device, devices)
    return replace(toy, name="negated", score_population=score_population)
"""
BROKEN = """
def forgets(device=None, devices=1):
    pass


def fails(device=None, devices=1):
    raise RuntimeError("no abacus here")
"""


@pytest.fixture
def conform(tmp_path: Path) -> Conform:
    """``weedout conform`` as a process that finds the toy backend, installed as its pyproject.toml declares it."""
    site, work = tmp_path / "site", tmp_path / "work"
    info = site / "weedout_toy-0.1.dist-info"
    info.mkdir(parents=True)
    work.mkdir()
    (site / "negated.py").write_text(NEGATED)
    (site / "broken.py").write_text(BROKEN)
    project = tomllib.loads((TOY / "pyproject.toml").read_text())["project"]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["weedout_core.backends"] | {
        "negated": "negated:connect",
        "forgets": "broken:forgets",
        "fails": "broken:fails",
        "absent": "no_such_package:connect",
    }
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[weedout_core.backends]", *lines, ""]))
    path = [site, TOY, ROOT, ROOT / "reference", ROOT / "backends", *filter(None, sys.path)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "weedout_core", "conform", *arguments],
            cwd=work,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "80"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert list(work.iterdir()) == [], "nothing is left where the user stands"
        return done

    return run


def test_the_toy_backend_passes(conform: Conform) -> None:
    done = conform("toy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    table = [line.split("│")[1:3] for line in done.stdout.splitlines() if line.startswith("│")]
    assert [(name.strip(), result.strip()) for name, result in table] == [(name, "passed") for name in CHECKS]
    assert f"{len(CHECKS)} of {len(CHECKS)} checks passed" in done.stdout


def test_a_broken_variant_fails_and_says_where(conform: Conform) -> None:
    done = conform("negated", "--device", "cpu", "--examples", "20")
    assert done.returncode == 1, done.stdout + done.stderr
    table = dict(line.split("│")[1:3] for line in done.stdout.splitlines() if line.startswith("│"))
    results = {name.strip(): result.strip() for name, result in table.items()}
    assert results["score_masks"] == "failed"
    assert results["masks_from_keys"] == results["epoch_agrees"] == "passed"
    _, _, below = done.stdout.partition("└")
    assert "score_masks: AssertionError: score (" in below, "the reason stands below the table"
    assert "problem=Problem(net=" in below, "and the example that failed"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["abacus"], "unknown backend 'abacus'; known are "),
        (["absent"], "backend 'absent' cannot be imported"),
        (["fails"], "backend 'fails' cannot connect: RuntimeError: no abacus here"),
        (["forgets"], "the entry point of backend 'forgets' must return a Backend; it returned None."),
        (["toy", "--device", "gpu"], "the toy backend runs on one CPU"),
        (["toy", "--examples", "0"], "examples must be an integer of at least 1; got 0."),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(conform: Conform, arguments: list[str], said: str) -> None:
    done = conform(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"weedout: {said}"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
