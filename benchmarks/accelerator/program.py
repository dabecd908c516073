"""The program: step after step in processes with a bound, all that was found on the disk at every moment."""

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import results
from benchmarks.accelerator import processes, records
from benchmarks.accelerator.records import Record
from benchmarks.accelerator.report import report
from benchmarks.accelerator.steps import STEPS

_ROOT = Path(__file__).parents[2]
_SECONDS, _QUICK_SECONDS = 340.0, 230.0
_PLACE_SECONDS = 60.0
_INTERRUPTED = 130
_UNKNOWN = {"card": "unknown", "description": "The device could not be described."}


class Part(NamedTuple):
    """One process of a step, and its bound in seconds."""

    step: str
    part: str
    seconds: float


class Book:
    """What was found on one device: a JSON in the folder, and a section of its RESULTS.md.

    What an earlier run found there stays, but for the steps that are run again.
    """

    def __init__(self, folder: Path, machine: Mapping[str, str]) -> None:
        slug = re.sub(r"[^a-z0-9]+", "-", machine["card"].lower()).strip("-")
        self.path = folder / f"accelerator-{slug}.json"
        self._machine = machine
        self._kept = records.load(self.path)[1] if self.path.exists() else []
        self._found: dict[tuple[str, str], list[Record]] = {}

    def replace(self, step: str, part: str, found: Sequence[Record]) -> None:
        """Take what a process has found so far, and write all of it."""
        if self._found.get((step, part)) == found:
            return
        self._found[step, part] = list(found)
        kept = [record for record in self._kept if (record.step, record.part) not in self._found]
        everything = [*kept, *(record for some in self._found.values() for record in some)]
        records.save(self.path, self._machine, everything)
        results.write(self.path.parent, report(self._machine, everything), ())


def main(arguments: Sequence[str]) -> int:
    """Run the steps that were asked for, and say where everything is: 0, or 130 if the user interrupted."""
    asked = _asked(arguments)
    folder: Path = asked.out or (Path(tempfile.mkdtemp()) if asked.quick else _ROOT / "benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + (asked.seconds or (_QUICK_SECONDS if asked.quick else _SECONDS))
    if asked.only == []:
        for path in sorted(folder.glob("accelerator-*.json")):
            _say(f"written again from {path.name}: {results.write(folder, report(*records.load(path)), ())}")
        return 0
    steps = asked.only or [name for name, step in STEPS.items() if step.always]
    environment = _environment(asked.data_dir)
    with tempfile.TemporaryDirectory() as notes:
        book = Book(folder, _machine(Path(notes, "place"), asked.quick, environment))
        _say(f"{', '.join(steps)}: {until - time.monotonic():.0f} s; all that is found goes to {book.path}")
        try:
            for part in parts(steps, until):
                _run(part, Path(notes, f"{part.step}-{part.part}"), asked.quick, environment, book)
        except KeyboardInterrupt:
            _say(f"interrupted; what was found until now is in {book.path}")
            return _INTERRUPTED
    _say(f"everything is in {book.path} and RESULTS.md beside it")
    return 0


def parts(steps: Sequence[str], until: float) -> Iterator[Part]:
    """The processes, one after the other; each may take its share of the time that is left when it begins."""
    waiting = [Part(name, part, share) for name in STEPS if name in steps for part, share in STEPS[name].parts.items()]
    for index, one in enumerate(waiting):
        left = max(until - time.monotonic(), 0.0)
        yield one._replace(seconds=left * one.seconds / sum(other.seconds for other in waiting[index:]))


def _run(part: Part, path: Path, quick: bool, environment: Mapping[str, str], book: Book) -> None:
    """One process: what it finds is written as it finds it, and why it ended early, if it did."""
    _say(f"{part.step}, {part.part}, at most {part.seconds:.0f} s")
    stopped = processes.run(
        child(part, path, quick), part.seconds, environment,
        lambda: book.replace(part.step, part.part, records.read(path)),
    )  # fmt: skip
    if stopped is not None:
        _say(f"{part.step}, {part.part}: {stopped}")
        wrong = not stopped.startswith(processes.LATE)  # what took too long is no wrong answer
        said = Record(part.step, part.part, "", f"{part.part}: {stopped}", {}, wrong)
        book.replace(part.step, part.part, [*records.read(path), said])


def child(part: Part, path: Path, quick: bool) -> list[str]:
    """The command of a part's process."""
    told = ["--notes", str(path), "--seconds", str(part.seconds), *(["--quick"] if quick else [])]
    return [sys.executable, "-m", "benchmarks.accelerator.child", part.step, part.part, *told]


def _machine(path: Path, quick: bool, environment: Mapping[str, str]) -> dict[str, str]:
    processes.run(child(Part("place", "all", _PLACE_SECONDS), path, quick), _PLACE_SECONDS, environment, lambda: None)
    return _UNKNOWN | {record.row: record.values["is"] for record in records.read(path) if record.table}


def _environment(data_dir: Path | None) -> dict[str, str]:
    """A checkout need not be installed; a process holds no more of the device's memory than it uses."""
    paths = [str(_ROOT / part) for part in (".", "reference", "backends")]
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    added = {"PYTHONPATH": os.pathsep.join(paths), "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONUNBUFFERED": "1"}
    return {**os.environ, **added, **({} if data_dir is None else {"WEEDOUT_DATA_DIR": str(data_dir.resolve())})}


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    names = ", ".join(STEPS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks accelerator", description="What the accelerator of this machine does, in minutes."
    )
    parser.add_argument("--out", type=Path, help="folder (default: benchmarks/, with --quick a temporary one)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--seconds", type=float, help=f"for all steps together (default: {_SECONDS:.0f})")
    parser.add_argument(
        "--only", nargs="*", choices=list(STEPS), metavar="STEP",
        help=f"of {names} (default: all but kit); without a name the sections are written again from the folder's JSON",
    )  # fmt: skip
    parser.add_argument("--data-dir", type=Path, help="the folder with CIFAR-10's binary files, or a part of them")
    asked = parser.parse_args(arguments)
    if asked.seconds is not None and not asked.seconds > 0:
        parser.error(f"--seconds must be above 0; got {asked.seconds:g}.")
    if asked.data_dir is not None and not asked.data_dir.is_dir():
        parser.error(f"--data-dir must be a folder; there is none at {asked.data_dir}.")
    return asked


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
