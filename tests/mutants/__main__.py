"""``python -m tests.mutants``: run the conformance kit on each mutant as ``weedout conform`` does, and write a page.

A line of JSON is added to a file for each mutant that is done; what stands there is not run again.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path

from tests.mutants.everyone import MUTANTS
from tests.mutants.page import page
from tests.mutants.tried import processes, tried

HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> None:
    """Run what is not done yet, and write the page."""
    asked = _parser().parse_args(arguments)
    done = {line["name"]: line for line in map(json.loads, _lines(asked.results))}
    wanted = [
        mutant.name
        for mutant in MUTANTS.values()
        if re.search(asked.pattern, f"{mutant.name} {mutant.group} {mutant.function} {mutant.backend}")
    ]
    with processes(asked.processes) as pool:
        running = [pool.submit(tried, name, asked.examples, asked.first) for name in wanted if name not in done]
        for number, future in enumerate(as_completed(running), 1):
            line = future.result()
            done[line["name"]] = line
            with asked.results.open("a", encoding="utf-8") as results:
                results.write(json.dumps(line) + "\n")
            caught = ", ".join(line["failed"]) or "NOT CAUGHT"
            sys.stdout.write(f"{number}/{len(running)} {line['name']}: {caught} ({line['seconds']:.0f} s)\n")
            sys.stdout.flush()
    asked.page.write_text(page(list(MUTANTS.values()), done), encoding="utf-8")


def _lines(results: Path) -> list[str]:
    return results.read_text(encoding="utf-8").splitlines() if results.exists() else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "pattern", nargs="?", default="", help="run those that have this in name, group, function or backend"
    )
    parser.add_argument("--examples", type=int, default=50, help="examples for each check, as in weedout conform")
    parser.add_argument("--first", action="store_true", help="stop at the first check that catches a mutant")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("mutants.jsonl"), help="the file of what is done")
    parser.add_argument("--page", type=Path, default=HERE / "RESULTS.md")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
