"""Standard output and standard error: what they cannot show, and what becomes of a run where they take nothing."""

import ast
import io
import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

import weedout_core
from weedout_core.lab.cli import main
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.streams import PLAIN, StreamError, standard_streams

FULL = Path("/dev/full")
UNWRITTEN = "weedout: standard output cannot be written: "


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "−1 ± 2 · 3 … – ≥ η 字"),
        ("ascii", r"-1 +/- 2 - 3 ... - >= eta \u5b57"),
        ("latin-1", r"-1 ± 2 · 3 ... - >= eta \u5b57"),
        ("cp1252", r"-1 ± 2 · 3 … – >= eta \u5b57"),
    ],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_an_encoding_lacks_is_written_in_plain_characters(
    monkeypatch: pytest.MonkeyPatch, name: str, encoding: str, shown: str
) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, name, file)
    with standard_streams():
        getattr(sys, name).write("−1 ± 2 · 3 … – ≥ η 字")
        getattr(sys, name).flush()
        assert getattr(sys, name).encoding == encoding
    assert file.buffer.getvalue() == shown.encode(encoding)  # pyright: ignore[reportAttributeAccessIssue]
    assert getattr(sys, name) is file, "it is the caller's again"


def test_a_path_of_bytes_that_are_no_text_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", file)
    with standard_streams():
        sys.stdout.write("run\udcff")
        sys.stdout.flush()
    assert file.buffer.getvalue() == rb"run\udcff"  # pyright: ignore[reportAttributeAccessIssue]


def test_every_character_of_the_package_has_a_plain_one() -> None:
    assert "".join(PLAIN.values()).isascii()
    (folder,) = weedout_core.__path__
    used = {
        character
        for path in Path(folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for character in node.value
        if not character.isascii()
    }
    assert used <= PLAIN.keys()


def test_what_would_steer_a_terminal_is_escaped() -> None:
    shown = io.StringIO()
    write_line(Console(file=shown), "run\x1b[2J\r\u202e\udcff ü\nrest")
    assert shown.getvalue() == "run\\x1b[2J\\r\\u202e\\udcff ü\nrest\n"


def test_a_process_without_standard_streams_writes_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["paper", "--population", "1"]) == 2


def test_a_stream_that_fails_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    with standard_streams(), pytest.raises(StreamError, match="standard output cannot be written: No space left"):
        sys.stdout.flush()


def replace(name: str, with_detached: bool = False) -> None:
    new = io.TextIOWrapper(getattr(sys, name).detach()) if with_detached else None
    setattr(sys, name, new)


@pytest.mark.parametrize(
    "act",
    [
        lambda name: getattr(sys, name).close(),
        lambda name: getattr(sys, name).detach(),
        lambda name: getattr(sys, name).detach().close(),
        replace,
        lambda name: replace(name, with_detached=True),
    ],
    ids=["closed", "detached", "detached and closed", "none", "wrapped anew"],
)
@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_stream_that_a_function_closes_or_replaces_is_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[str], None]
) -> None:
    with (tmp_path / name).open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, name, file)
        with standard_streams() as both:
            ours = both[name == "stderr"]
            ours.write("before, ")
            act(name)
            ours.write("after")
            ours.flush()
        assert getattr(sys, name) is file, "it is the caller's again"
        assert (tmp_path / name).read_text(encoding="utf-8") == "before, after"


@pytest.mark.parametrize(
    "act", [io.TextIOWrapper.close, io.TextIOWrapper.detach, lambda file: file.buffer.close()],
    ids=["closed", "detached", "its buffer closed"],
)  # fmt: skip
def test_a_stream_that_was_closed_by_another_name_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[io.TextIOWrapper], None]
) -> None:
    file = (tmp_path / "stdout").open("w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", file)
    said = r"^standard output cannot be written: it was closed\. Written files are kept\.$"
    with standard_streams() as (out, _):
        kept = act(file)
        with pytest.raises(StreamError, match=said):
            out.write("text")
        with pytest.raises(StreamError, match=said):
            out.flush()
    if isinstance(kept, io.BufferedWriter):
        kept.close()


def test_a_logger_that_outlives_the_command_ends_without_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = (tmp_path / "stderr").open("w", encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", file)
    with standard_streams():
        handler = logging.StreamHandler(sys.stderr)
    file.close()
    logging.shutdown([weakref.ref(handler)])


def test_where_progress_cannot_be_shown_it_is_kept(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str, /) -> int:
            if "epoch 1/2" in text:
                raise BrokenPipeError(32, "Broken pipe")
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Gone())
    assert main([*small, "--out", str(tmp_path / "run")]) == 1
    assert list((tmp_path / "run" / "checkpoints" / "sparsity-0.0").glob("*.json")), "the search need not be repeated"


Command = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command as a process of its own, run in an empty folder."""

    def run(
        *arguments: str, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        path = os.pathsep.join(filter(None, sys.path))
        return subprocess.run(
            [sys.executable, "-m", "weedout_core", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "80", "PYTHONIOENCODING": "ascii"},
            stdout=stdout,
            stderr=stderr,
            check=False,
        )

    return run


@pytest.fixture(params=["a full disk", "a closed pipe"])
def broken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A descriptor that can be opened and not be written."""
    if request.param == "a closed pipe":
        read, write = os.pipe()
        os.close(read)
    elif FULL.exists():
        write = os.open(FULL, os.O_WRONLY)
    else:
        pytest.skip("this system has no /dev/full")
    yield write
    os.close(write)


@pytest.mark.slow
def test_a_run_is_shown_where_there_is_ascii_alone(command: Command, small: list[str], tmp_path: Path) -> None:
    ran = command(*small, "--out", "run")
    assert ran.returncode == 0, ran.stderr
    assert b"mean of 2 runs +/- 95 % interval" in ran.stdout
    assert b"Difference: weedout - control" in ran.stdout
    assert b"sparsity 0.5 - search 2/2 - generation 2/2" in ran.stderr
    assert (tmp_path / "run" / "figure2.png").exists()


@pytest.mark.slow
def test_where_nothing_can_be_printed_everything_is_written(
    command: Command, small: list[str], tmp_path: Path, broken: int
) -> None:
    assert command(*small, "--out", "whole").returncode == 0
    ran = command(*small, "--out", "run", stdout=broken)
    assert ran.returncode == 1
    *progress, last = ran.stderr.decode().splitlines()
    assert last.startswith(UNWRITTEN)
    assert last.endswith(". Written files are kept.")
    assert all(line.startswith(("run: 0 of 4 groups", "sparsity ")) for line in progress), "no traceback"
    names = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*")}
    assert {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*")} == names
    for name in ("results.csv", "curves.csv", "search.csv", "figure2.png", "masks/sparsity-0.5.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize("arguments", [["--help"], ["paper", "--help"], ["conform", "numpy", "--examples", "1"]])
@pytest.mark.slow
def test_every_command_says_that_it_cannot_print(command: Command, arguments: list[str], broken: int) -> None:
    ran = command(*arguments, stdout=broken)
    assert ran.returncode == 1
    assert ran.stderr.decode().startswith(UNWRITTEN)
    assert ran.stderr.count(b"\n") == 1


CLOSING = """import sys

def first(task):
    if task.repeat == 1:  # it chooses twice in the first one
        {stream}.{act}()
    return {{site.site: -__import__("numpy").arange(float(site.nodes)).reshape(site.shape) for site in task.plan.sites}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("act", ["close", "detach"])
@pytest.mark.parametrize("stream", ["sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"])
def test_an_arm_that_closes_a_stream_costs_nothing_of_what_was_computed(
    command: Command, tmp_path: Path, stream: str, act: str
) -> None:
    """What it finds in ``sys`` stays open; where it closed the process's own stream, the other stream says so."""
    (tmp_path / "closing.py").write_text(CLOSING.format(stream=stream, act=act))
    options = (
        "--backend numpy --hidden 8 --sparsity 0.5 --repeats 2 --epochs 1 --population 2 --generations 1 --out run"
    )
    ran = command("judge", "--arm", "closing:first", "--no-sanity", *options.split())
    assert b"Traceback" not in ran.stderr + ran.stdout
    if "__" not in stream:
        assert ran.returncode == 0, ran.stderr
        assert b"1 comparison with weedout after 2 of at most 2 repeats" in ran.stdout
        assert b"sparsity 0.5 - repeat 2/2 - done" in ran.stderr
        return
    assert ran.returncode == 1
    out = "output" if "stdout" in stream else "error"
    said = (ran.stderr if out == "output" else ran.stdout).decode().splitlines()[-1]
    assert said == f"weedout: standard {out} cannot be written: it was closed. Written files are kept."
    assert list((tmp_path / "run").glob("groups/*" if out == "output" else "checkpoints/*/*.json")), "it is kept"


@pytest.mark.slow
def test_where_nothing_can_be_said_the_exit_code_says_it(command: Command, broken: int) -> None:
    assert command("paper", "--help", stdout=broken, stderr=broken).returncode == 1
    assert command("paper", "--population", "1", stderr=broken).returncode == 1
