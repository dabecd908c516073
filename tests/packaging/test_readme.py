"""What the README shows works: its snippets, its commands, its links."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = Path(os.environ.get("WEEDOUT_DATA_DIR", ROOT.parent / "shared" / "data"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def run(arguments: list[str], folder: Path) -> str:
    path = os.pathsep.join(str(ROOT / part) for part in (".", "reference", "backends"))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_snippets_run(number: int, tmp_path: Path) -> None:
    assert run(["-c", blocks("python")[number]], tmp_path), "a snippet should show something"


def test_the_first_command_writes_the_papers_experiment(tmp_path: Path) -> None:
    command = shlex.split(blocks("bash")[0].strip())
    assert command[-2:] == [".venv/bin/weedout", "paper"], f"the first command ends in {command[-2:]}"
    printed = run(["-m", "weedout_core", "paper"], tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = {(row["sparsity"], row["arm"], row["repeat"]) for row in rows}
    assert len(rows) == len(cells) == 5 * 2 * 5, f"{len(rows)} rows, {len(cells)} cells"
    chance = 0.1
    assert all(float(row["test_accuracy"]) > 8 * chance for row in rows), "every arm learns digits at every sparsity"
    assert (folder / "figure2.png").read_bytes().startswith(b"\x89PNG")
    assert "identical by" in printed, "at sparsity 0 both arms are one network, and the table says so"


def test_every_option_it_mentions_exists(tmp_path: Path) -> None:
    helped = run(["-m", "weedout_core", "paper", "--help"], tmp_path)
    for command in re.findall(r"`weedout paper (--[^`]*)`", README):
        for option in re.findall(r"--[\w-]+", command):
            assert option in helped, f"the README mentions {option}"
    assert "numpy" in run(["-m", "weedout_core", "doctor"], tmp_path)


@pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason=f"MNIST is not at {DATA}: set WEEDOUT_DATA_DIR")
def test_mnist_is_read_from_its_folder(tmp_path: Path) -> None:
    small = "--sparsity 0.8 --repeats 1 --population 2 --generations 1 --epochs 1 --hidden 32"
    run(["-m", "weedout_core", "paper", "--dataset", "mnist", "--data-dir", str(DATA), *small.split()], tmp_path)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"the README links to {target}"


def test_the_map_of_the_reference_is_complete() -> None:
    modules = {path.name for path in (ROOT / "reference" / "weedout_numpy").glob("*.py")} - {"__init__.py"}
    assert modules <= set(re.findall(r"`(\w+\.py)`", README)), "the README's table names every file of the reference"
