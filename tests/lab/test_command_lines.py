"""Whatever is typed is done, or refused in a sentence: no traceback, no long wait, and a refusal writes nothing."""

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.lab import command_lines
from weedout_core.lab import cli
from weedout_core.lab.commands import computing, conform, doctor, plan
from weedout_core.lab.engines import owner

PARTS = 4  # side by side where there are several processes
LONGEST = 5.0  # seconds

MINE = """
import numpy as np

def arm(task):
    return {}

def raises(*_):
    raise RuntimeError("first line\\nsecond line")

def exits(*_):
    raise SystemExit(3)

def model(seed):
    return seed

def data():
    x, y = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    return (x, y), (x[:20], y[:20])

def huge():
    wide = np.broadcast_to(np.float32(0), (10**9, 10**4))
    return (wide, np.broadcast_to(np.int64(0), len(wide))), (wide[:2], np.arange(2))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of every kind, in which the command begins no work: where it would, it is interrupted."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(computing, "drive", interrupt)
    monkeypatch.setattr(computing, "OnRay", interrupt)  # it begins processes
    monkeypatch.setattr(owner, "own", interrupt)
    monkeypatch.setattr(conform, "judge", interrupt)
    monkeypatch.setattr(plan, "measure", interrupt)
    monkeypatch.setattr(plan, "_memory", lambda *_: ())  # which compiles
    monkeypatch.setattr(doctor, "examined", lambda name: nullcontext(lambda: doctor.Finding(name, {}, "cpu", "")))
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "place"
    (place / "folder").mkdir(parents=True)
    (place / "full").mkdir()
    (place / "folder" / "file").write_text("text")
    (place / "full" / "config.json").write_text("{")
    (place / "file").write_text("text")
    (place / "mine.py").write_text(MINE)
    (place / "circle").symlink_to("circle")
    os.mkfifo(place / "pipe")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    return place


@pytest.fixture(autouse=True)
def _warm() -> None:
    """Imports and programs of a backend are made once in a process, and take seconds."""
    for words in (["plan", "--backend", "torch"], ["plan", "--backend", "jax"]):
        cli.main([*words, "--epochs", "0", "--device", "none"])


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("part", range(PARTS))
def test_any_command_line_is_done_or_refused_in_a_sentence(
    part: int, place: Path, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    before, found = files(place), list[str]()
    for number in range(part, request.config.option.fuzz or 300, PARTS):
        words = command_lines.line(f"line {number}")
        capfd.readouterr()
        start = time.process_time()
        code = cli.main(words)
        seconds, said = time.process_time() - start, capfd.readouterr().err
        faults = [*faults_of(words, code, said), *(["took long"] * (seconds > LONGEST))]
        cached = any(word.startswith("--cache") for word in words)  # which is no part of a run, and is kept
        if code != 130 and files(place) != before and not cached:
            faults.append(f"wrote {files(place) - before}")
        remove(place, files(place) - before)
        found += [f"{number}: {words!r:.300} {', '.join(faults)}: {said[-500:]}"] * bool(faults)
    assert not found, "\n".join([f"{len(found)} command lines:", *found])


def faults_of(words: list[str], code: int, said: str) -> Iterator[str]:
    """What is wrong with an exit code and what was said on standard error."""
    lines = [line for line in said.splitlines() if not line.startswith("weedout: warning: ")]
    if code not in (0, 1, 2, 130):
        yield f"ended with {code}"
    if "unexpected" in said or "Traceback" in said:
        yield "is a fault"
    if code == 2:
        if len(lines) > 2 or not lines or not lines[-1].startswith("weedout: "):
            yield f"says {len(lines)} lines"
        if len(words) > 1 and not any(name in said for name in command_lines.names_in(words)):
            yield "names nothing"
    if any(not line.isprintable() for line in lines):
        yield "steers the terminal"


def files(place: Path) -> set[Path]:
    return {path for path in place.rglob("*") if "__pycache__" not in path.parts}


def remove(place: Path, paths: set[Path]) -> None:
    for path in sorted(paths, reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
