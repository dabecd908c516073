"""The process of one part of a step: ``python -m benchmarks.accelerator.child STEP PART --notes FILE --seconds N``."""

import argparse
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

# Before JAX is imported: else it takes most of the device's memory, and the next framework in the process finds none.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import weedout_core as wc
from benchmarks.accelerator.records import Notebook


class Asked(NamedTuple):
    """What a part is asked to do.

    Attributes:
        part: which one.
        quick: whether sizes are tiny, to see that everything runs.
        until: when it is going to be ended, as ``time.monotonic`` has it.
        notes: where it writes what it finds.
    """

    part: str
    quick: bool
    until: float
    notes: Notebook

    def say(self, sentence: str) -> None:
        """Show progress."""
        print(f"    {self.part}: {sentence}", file=sys.stderr, flush=True)

    def attempt(self, table: str, row: str, find: Callable[[], Mapping[str, Any]]) -> None:
        """Write down a row, or why there is none: what one of them cannot do keeps nobody else from trying."""
        try:
            values = find()
        except Exception as error:  # whatever a framework raises; an AssertionError is an answer that is wrong
            self.say(f"{table}: {row}: {error}")
            note = {"note": f"{type(error).__name__}: {_first_line(error)}"}
            self.notes.row(table, row, note, wrong=isinstance(error, AssertionError))
            return
        self.say(f"{table}: {row}: " + ", ".join(f"{name} {_shown(value)}" for name, value in values.items()))
        self.notes.row(table, row, values)

    @property
    def left(self) -> float:
        """Seconds until it is ended."""
        return self.until - time.monotonic()


def main() -> None:
    """Run the part. What goes wrong is written down in a line; the process itself fails only where it is killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accelerator.child")
    parser.add_argument("step")
    parser.add_argument("part")
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--quick", action="store_true")
    told = parser.parse_args()
    notes = Notebook(told.notes, told.step, told.part)
    asked = Asked(told.part, told.quick, time.monotonic() + told.seconds, notes)
    warnings.simplefilter("ignore", wc.WeedoutWarning)  # small sites keep their last node
    try:
        import_module(f"benchmarks.accelerator.{told.step}").run(asked)
    except Exception as error:  # whatever a framework raises ends this part alone
        traceback.print_exc()
        notes.line(f"{told.part} stopped: {type(error).__name__}: {_first_line(error)}", wrong=True)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:160]


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
