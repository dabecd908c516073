"""Groups of benchmarks on this machine, each a section of RESULTS.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import (
    adopted_mlp,
    adopted_resnet,
    connections,
    counts,
    digits,
    engines,
    growth,
    machine,
    memory,
    results,
    sampling,
    search,
    training,
    words,
)
from benchmarks.section import Section
from benchmarks.timing import Say


class Group(NamedTuple):
    """Benchmarks that make one section."""

    title: str
    run: Callable[[bool, Say], Section]


GROUPS = {
    "search-mlp": Group("Search, MLP", search.run_mlp),
    "search-wrn": Group("Search, WRN", search.run_wide_resnet),
    "counts": Group("Search, other counts", counts.run),
    "connections": Group("Search, connections", connections.run),
    "sampling": Group("Sampling", sampling.run),
    "training": Group("Training step", training.run),
    "adopted-mlp": Group("Adopted, MLP", adopted_mlp.run),
    "growth": Group("Growth", growth.run),
    "adopted-resnet": Group("Adopted, ResNet", adopted_resnet.run),
    "digits": Group("End to end: digits", digits.run),
    "engines": Group("Engines", engines.run),
    "words": Group("Random words", words.run),
    "memory": Group("Memory", memory.run),
}


_DESCRIPTION = (
    "Run groups of benchmarks, and write what they found. `accelerator` is a program of its own: see its --help."
)


def main(arguments: Sequence[str]) -> None:
    """Run the groups that were asked for, all of them if none was."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=_DESCRIPTION)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs")
    parser.add_argument("--out", type=Path, help="folder (default: benchmarks/, with --quick a temporary one)")
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.groups if name not in GROUPS]:
        parser.error(f"the groups are {', '.join(GROUPS)}; got {', '.join(unknown)}.")
    folder = asked.out or (Path(tempfile.mkdtemp()) if asked.quick else Path(__file__).parent)
    began = time.perf_counter()

    def say(sentence: str) -> None:
        print(f"{time.perf_counter() - began:7.1f} s  {sentence}", file=sys.stderr, flush=True)

    _run(asked.groups or list(GROUPS), folder, asked.quick, say)


def _run(groups: Sequence[str], folder: Path, quick: bool, say: Say) -> None:
    machine.load_backends(machine.BACKENDS, say)  # before any peer has started a device or made a backward pass
    titles = [group.title for group in GROUPS.values()]
    for name in groups:
        say(f"== {name}")
        path = results.write(folder, GROUPS[name].run(quick, say), titles)
        say(f"== {name} is in {path}")
