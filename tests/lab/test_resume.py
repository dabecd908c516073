"""Runs that are killed, interrupted and continued end as runs that are not."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[str]]

_PATIENCE = 600  # seconds until a run that shows nothing counts as stuck, on a machine that does much else


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a path appears, while the process lives."""
    wait_until(path.exists, process)


def wait_until(shown: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until a process shows something, while it lives."""
    end = time.monotonic() + _PATIENCE
    while not shown():
        assert process.poll() is None, f"the run ended before it was seen: {process.communicate()[1]}"
        assert time.monotonic() < end, "the run shows nothing"
        time.sleep(0.002)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a process, and what it wrote to stderr."""
    _, err = process.communicate(timeout=_PATIENCE)
    return process.returncode, err


def of_backend(name: str, folder: Path) -> list[str]:
    """A backend's options. One that keeps its programs does: a run that continues has begun in seconds."""
    return ["--backend", name, *(["--cache", str(folder / "cache")] if name == "jax" else [])]


@pytest.fixture(params=["numpy", "jax"])
def slow(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A run whose groups take long enough to be hit in the second."""
    pytest.importorskip(f"weedout_{request.param}")
    return [
        *("paper", *of_backend(request.param, tmp_path), "--hidden", "16", "--sparsity", "0", "0.3", "0.6"),
        *("--population", "10", "--generations", "2", "--repeats", "2", "--epochs", "40", "--batch-size", "64"),
    ]


TABLES = ("results.csv", "curves.csv", "search.csv")


def test_a_killed_run_ends_as_an_unkilled_one(start: Start, slow: list[str], tmp_path: Path) -> None:
    assert finished(start(*slow, "--out", "whole"))[0] == 0
    killed = start(*slow, "--out", "killed")
    wait_for(tmp_path / "killed" / "groups" / "sparsity-0.0", killed)
    killed.send_signal(signal.SIGKILL)
    assert finished(killed)[0] == -signal.SIGKILL
    assert not (tmp_path / "killed" / "groups" / "sparsity-0.6").exists(), "the run was hit before its end"
    code, err = finished(start(*slow, "--out", "killed"))
    assert code == 0
    assert ": 1 of 3 groups done" in err or ": 2 of 3 groups done" in err
    for name in TABLES:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    for path in (tmp_path / "whole" / "masks").iterdir():
        assert (tmp_path / "killed" / "masks" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_run_killed_within_a_slice_ends_as_an_unkilled_one(start: Start, tmp_path: Path) -> None:
    """One network is trained and the second is in work: both go on from the checkpoint, to the byte."""
    epochs = 40
    run = [
        *("paper", "--backend", "numpy", "--hidden", "16", "--sparsity", "0.5", "--repeats", "1", "--together", "1"),
        *("--population", "2", "--generations", "1", "--epochs", epochs, "--batch-size", "16", "--save-parameters"),
    ]
    assert finished(start(*run, "--out", "whole"))[0] == 0
    killed = start(*run, "--out", "killed", "--checkpoint-minutes", "0")
    # One checkpoint after the generation, one after each arm's choice, one after each epoch.
    in_the_second = 1 + 2 + epochs + 5
    folder = tmp_path / "killed" / "checkpoints" / "sparsity-0.5"
    wait_until(lambda: newest(folder) >= in_the_second, killed)
    killed.send_signal(signal.SIGKILL)
    assert finished(killed)[0] == -signal.SIGKILL
    before = json.loads((folder / f"{newest(folder):06d}.json").read_text())["progress"]["epochs"]
    assert before[0] == epochs, "the first is trained"
    assert 5 <= before[1] < epochs, "the second is in work"
    code, err = finished(start(*run, "--out", "killed"))
    assert code == 0, err
    shown = [line for line in err.splitlines() if " · epoch " in line]
    assert shown, "it went on"
    assert all(" · network 2 of 2 · " in line for line in shown), "what is trained is not trained again"
    for name in (*TABLES, "groups/sparsity-0.5/parameters.safetensors", "groups/sparsity-0.5/masks.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def newest(folder: Path) -> int:
    """The number of the newest checkpoint in a folder; 0 without one."""
    return max((int(path.stem) for path in folder.glob("*.json")), default=0)


def test_an_interrupt_says_what_is_kept(start: Start, slow: list[str], tmp_path: Path) -> None:
    run = start(*slow, "--out", "run")
    wait_for(tmp_path / "run" / "groups" / "sparsity-0.0", run)
    run.send_signal(signal.SIGINT)
    code, err = finished(run)
    assert code == 130
    last = err.strip().splitlines()[-1]
    assert last.startswith("weedout: interrupted; ")
    assert "of 3 groups are kept in run, and the same command continues." in last
    assert "Traceback" not in err


KILLS = int(os.environ.get("WEEDOUT_KILLS", "3"))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_run_killed_at_random_moments_ends_as_an_unkilled_one(start: Start, backend: str, tmp_path: Path) -> None:
    """In a search, in an epoch, while a checkpoint or a program is written: ``WEEDOUT_KILLS`` times, to the byte."""
    pytest.importorskip(backend)
    run = [
        *("paper", *of_backend(backend, tmp_path)),
        *("--network", "vgg-2", "--sparsity", "0.5", "0.8", "--repeats", "2"),
        *("--train-examples", "256", "--test-examples", "64", "--validation-batch", "64", "--batch-size", "64"),
        *("--population", "6", "--generations", "3", "--epochs", "3", "--augmentation", "crop_flip"),
        *("--checkpoint-minutes", "0", "--save-parameters"),
    ]
    begun = time.monotonic()
    process = start(*run, "--out", "whole")
    wait_for(tmp_path / "whole" / "config.json", process)
    imported = time.monotonic() - begun
    assert finished(process)[0] == 0
    worked = time.monotonic() - begun - imported
    moments, hits = random.Random(backend), 0
    killed = tmp_path / "killed"
    for _ in range(10 * KILLS):
        process = start(*run, "--out", killed)
        # A run that continues, or has its programs, works for less long than the first one.
        time.sleep(imported + moments.uniform(0, worked / 3))
        process.kill()
        code, err = finished(process)
        if code == 0:  # nothing is left to be hit: from the beginning
            shutil.rmtree(killed)
            continue
        assert code == -signal.SIGKILL, err
        hits += 1
        if hits == KILLS:
            break
    assert hits == KILLS, f"{hits} of {10 * KILLS} runs were alive when they were killed"
    code, err = finished(start(*run, "--out", killed))
    assert code == 0, err
    for path in sorted((tmp_path / "whole").rglob("*.safetensors")):
        twin = killed / path.relative_to(tmp_path / "whole")
        assert twin.read_bytes() == path.read_bytes(), path
    for name in TABLES:
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert len(list(killed.rglob("parameters.safetensors"))) == 2
    assert not (killed / "checkpoints").exists(), "what is done needs no checkpoint"
