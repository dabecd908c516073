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
    for command in ("paper", "plan"):
        helped = run(["-m", "weedout_core", command, "--help"], tmp_path)
        shown = re.findall(rf"weedout {command} (--[^`\n]*)", README)
        assert shown, f"the README shows weedout {command}"
        for option in re.findall(r"--[\w-]+", " ".join(shown)):
            assert option in helped, f"the README mentions {option}"
    assert "numpy" in run(["-m", "weedout_core", "doctor"], tmp_path)


@pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason=f"MNIST is not at {DATA}: set WEEDOUT_DATA_DIR")
def test_mnist_is_read_from_its_folder(tmp_path: Path) -> None:
    small = "--sparsity 0.8 --repeats 1 --population 2 --generations 1 --epochs 1 --hidden 32"
    run(["-m", "weedout_core", "paper", "--dataset", "mnist", "--data-dir", str(DATA), *small.split()], tmp_path)


def wide_resnet_command(command: str) -> list[str]:
    """The arguments of the one command of its kind that trains a Wide ResNet."""
    (found,) = [block for block in blocks("bash") if block.startswith(f"weedout {command} ")]
    return shlex.split(found)[1:]


@pytest.mark.skipif(
    not (DATA / "cifar-10-batches-bin").is_dir(), reason=f"CIFAR-10 is not at {DATA}: set WEEDOUT_DATA_DIR"
)
def test_a_wide_resnet_learns_a_subset_of_cifar(tmp_path: Path) -> None:
    """The command shown, for fewer examples and epochs, which come later and win."""
    less = "--train-examples 512 --test-examples 256 --population 4 --epochs 3"
    run(["-m", "weedout_core", *wide_resnet_command("paper"), "--data-dir", str(DATA), *less.split()], tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    with (folder / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["sparsity"], row["arm"]) for row in rows] == [
        (sparsity, arm) for sparsity in ("0.0", "0.8") for arm in ("weedout", "control")
    ]
    assert all(float(row["train_accuracy"]) > 0.1 for row in rows), "more than chance after 24 steps"


@pytest.mark.skipif(
    not (DATA / "cifar-10-batches-bin").is_dir(), reason=f"CIFAR-10 is not at {DATA}: set WEEDOUT_DATA_DIR"
)
def test_the_papers_own_task_is_planned(tmp_path: Path) -> None:
    """The command shown, for a narrow network of one preset with it."""
    here = ["--data-dir", str(DATA), "--network", "wrn-10-2"]
    printed = run(["-m", "weedout_core", *wide_resnet_command("plan"), *here], tmp_path)
    for said in ("wrn-10-2 on cifar10", "45,000 training, 5,000 validation and 10,000 test", "1,024 examples each"):
        assert said in printed, said


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"the README links to {target}"


def test_the_map_of_the_reference_is_complete() -> None:
    modules = {path.name for path in (ROOT / "reference" / "weedout_numpy").glob("*.py")} - {"__init__.py"}
    assert modules <= set(re.findall(r"`(\w+\.py)`", README)), "the README's table names every file of the reference"
