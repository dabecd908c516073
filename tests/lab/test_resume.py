"""Runs that are killed, interrupted and continued end as runs that are not."""

import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from weedout_core.lab.signals import KEPT

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
    done = re.search(r": (\d) of 6 groups done", err)
    assert done is not None
    assert 1 <= int(done[1]) < 6
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


@pytest.mark.parametrize(("number", "said"), [("SIGINT", "interrupted"), ("SIGTERM", "ended by SIGTERM")])
def test_a_request_to_end_keeps_the_epochs_that_are_done(start: Start, tmp_path: Path, number: str, said: str) -> None:
    """No checkpoint is due: the request alone writes one, which holds the epochs until then."""
    run = start(
        *("paper", "--backend", "numpy", "--hidden", "8", "--sparsity", "0.5", "--repeats", "1", "--population", "2"),
        *("--generations", "1", "--epochs", "2000", "--batch-size", "256", "--out", "run"),
    )
    assert run.stderr is not None
    shown = next(line for line in run.stderr if " · epoch 400/2000 " in line)
    run.send_signal(getattr(signal, number))
    code, err = finished(run)
    assert code == 128 + getattr(signal, number), shown
    last = err.strip().splitlines()[-1]
    assert (
        last == f"weedout: {said}; 0 of 1 groups are done; all progress is kept in run, and the same command continues."
    )
    (facts,) = (tmp_path / "run" / "checkpoints").rglob("*.json")
    assert min(json.loads(facts.read_text())["progress"]["epochs"]) >= 399, "all that were done when it was shown"


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupt_in_the_first_moments_is_quiet(start: Start, twice: bool) -> None:
    run = start("paper")
    wait_until_it_hears(run)
    run.send_signal(signal.SIGINT)
    if twice:
        run.send_signal(signal.SIGINT)
    assert finished(run) == (130, f"weedout: interrupted; {KEPT}\n")


def wait_until_it_hears(process: subprocess.Popen[str]) -> None:
    """Wait until a process has handlers of its own: Linux tells of that for SIGHUP, the last, which Python leaves."""

    def hears() -> bool:
        status = Path(f"/proc/{process.pid}/status").read_text()
        (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
        return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)

    wait_until(hears, process)


#: The command in a terminal of its own. No ``preexec_fn``: JAX, where a test before has imported it, bears no fork.
_OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'weedout_core', *sys.argv[1:]])"
)


def test_a_terminal_that_closes_ends_the_run_in_order(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its progress is kept, though the bar can no longer be drawn."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    run = [
        *("paper", "--backend", "numpy", "--hidden", "8", "--sparsity", "0.5", "--repeats", "1", "--population", "2"),
        *("--generations", "1", "--epochs", "2000", "--batch-size", "256", "--out", "run"),
    ]
    ours, theirs = pty.openpty()
    process = start(
        *run, by=("-c", _OWN_TERMINAL), **dict.fromkeys(("stdin", "stdout", "stderr"), theirs), start_new_session=True
    )
    os.close(theirs)
    drawn = b""
    while not re.search(rb"epoch [2-9]\d\d/2000", drawn):
        drawn = drawn[-80:] + os.read(ours, 4096)
    os.close(ours)
    assert process.wait(timeout=_PATIENCE) == 129
    (facts,) = (tmp_path / "run" / "checkpoints").rglob("*.json")
    assert min(json.loads(facts.read_text())["progress"]["epochs"]) >= 199


KILLS = int(os.environ.get("WEEDOUT_KILLS", "6"))
#: What a process is sent, one signal after another, and the exit code.
SENT = {
    (signal.SIGKILL,): -signal.SIGKILL,
    (signal.SIGHUP,): 129,
    (signal.SIGTERM,): 143,
    (signal.SIGINT,): 130,
    (signal.SIGINT, signal.SIGINT): 130,
    (signal.SIGSTOP, signal.SIGCONT): 0,
}


@pytest.mark.parametrize(("backend", "first"), [("jax", 0), ("torch", 1)])
def test_a_run_that_signals_hit_at_random_moments_ends_as_one_that_none_hit(
    start: Start, backend: str, first: int, tmp_path: Path
) -> None:
    """In a search, in an epoch, while a checkpoint or a program is written: ``WEEDOUT_KILLS`` in all, to the byte."""
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
    whole, hit, moments = tmp_path / "whole", tmp_path / "hit", random.Random(backend)
    # Each kind of signal comes to each backend, or in a short test to one of them.
    kinds = [[*SENT][(2 * number + first + number // 3) % len(SENT)] for number in range(KILLS // 2)]
    for sent in kinds:
        code, err = 0, ""
        for _ in range(10):
            process = start(*run, "--out", hit)
            wait_until_it_hears(process)
            # A run that continues, or has its programs, works for less long than the first one.
            time.sleep(0.7 * imported + moments.uniform(0, worked / 3))
            for number in sent:
                process.send_signal(number)
                time.sleep(moments.uniform(0, 0.1))
            code, err = finished(process)
            if code == SENT[sent]:
                break
            # A signal after a run's last stop finds it at its end: it is whole, and the next moment is tried.
            assert code == 0, (sent, err)
            check_as(whole, hit)
            shutil.rmtree(hit)
        assert code == SENT[sent], (sent, err)
        own = [line for line in err.splitlines() if not (" groups done" in line or line.startswith("sparsity "))]
        quiet = sent[0] == signal.SIGKILL or code == 0
        assert len(own) == (0 if quiet else 1), err
        assert quiet or own[0].startswith(("weedout: interrupted; ", "weedout: ended by SIG")), err
    assert finished(start(*run, "--out", hit))[0] == 0
    check_as(whole, hit)


def check_as(whole: Path, hit: Path) -> None:
    """A run that was hit holds what the one that was not holds."""
    for path in sorted(whole.rglob("*.safetensors")):
        assert (hit / path.relative_to(whole)).read_bytes() == path.read_bytes(), path
    for name in TABLES:
        assert (hit / name).read_bytes() == (whole / name).read_bytes(), name
    assert len(list(hit.rglob("parameters.safetensors"))) == 4
    assert not (hit / "checkpoints").exists(), "what is done needs no checkpoint"
