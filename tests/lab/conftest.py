"""What the lab's tests share: a run that the reference computes in a moment, and real data where there is some."""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weedout_core.lab.cli import main
from weedout_core.lab.data import datasets, download

ROOT = Path(__file__).parents[2]

_SEARCH = ["--sparsity", "0", "0.5", "--population", "4", "--generations", "2", "--repeats", "2"]
SMALL = ["paper", "--hidden", "8", "6", *_SEARCH, "--epochs", "2", "--batch-size", "256"]


@pytest.fixture(autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the network or the user's own cache: every mirror is a port of this machine that refuses.

    The data of tests is made up, and compared with none that is published.
    """
    alone = {"mirrors": ("http://127.0.0.1:9/",), "contents": {}}
    published = {name: item._replace(**alone) for name, item in download.PUBLISHED.items()}
    for module in (download, datasets):
        monkeypatch.setattr(module, "PUBLISHED", published)
    monkeypatch.setenv("WEEDOUT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def small() -> list[str]:
    """The command line of a small run on the reference."""
    return [*SMALL, "--backend", "numpy"]


@pytest.fixture
def small_jax() -> list[str]:
    """The command line of the same run on JAX."""
    pytest.importorskip("jax")
    return [*SMALL, "--backend", "jax"]


@pytest.fixture
def weedout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """The command as a process of its own, run in an empty folder. It ends with its test, however that ends."""
    # Tests begun in the background ignore interrupts, those begun with nohup SIGHUP, and so would what they start.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)}
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, by: Sequence[str] = ("-m", "weedout_core"), **options: Any) -> subprocess.Popen[str]:
        path = [str(ROOT), str(ROOT / "reference"), str(ROOT / "backends"), *sys.path]
        process = subprocess.Popen(
            [sys.executable, *by, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        started.append(process)
        return process

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def real_data() -> Path:
    """The folder of the real data sets."""
    named = os.environ.get("WEEDOUT_DATA_DIR")
    folder = Path(named or ROOT.parent / "shared" / "data")
    if named and not folder.is_dir():
        pytest.fail(f"WEEDOUT_DATA_DIR names {named}, and there is no such folder")
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no folder mnist in {folder}: set WEEDOUT_DATA_DIR to a folder that has it")
    return folder


def forbid(monkeypatch: pytest.MonkeyPatch, forbidden: Path) -> None:
    """Let nobody read a file, or a folder and what lies in it: an administrator, who may read everything, neither."""

    def closed(asked: Callable[..., Any], itself: bool) -> Callable[..., Any]:
        def refuse(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            absolute = Path(os.path.abspath(path))
            if forbidden in absolute.parents or (itself and forbidden == absolute):
                raise PermissionError(13, "Permission denied", str(path))
            return asked(path, *arguments, **options)

        return refuse

    monkeypatch.setattr(os, "listdir", closed(os.listdir, itself=True))
    for name in ("read_bytes", "stat", "lstat"):
        monkeypatch.setattr(Path, name, closed(getattr(Path, name), itself=name == "read_bytes"))


def idx(array: np.ndarray, magic: int | None = None) -> bytes:
    """An array of bytes as an IDX file."""
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture(name="idx")
def _idx() -> Callable[[np.ndarray], bytes]:
    """The writer of IDX files."""
    return idx


@pytest.fixture
def tiny_mnist(tmp_path: Path) -> Path:
    """A folder with the four IDX files of a tiny data set: 60 training and 12 test images of 3 × 4 pixels."""
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 12)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(generator.integers(0, 256, (count, 3, 4))))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    return folder
