"""The page: which mutants the kit catches, and by which checks."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from tests.mutants.body import Mutant

_NAMED = 3  # checks that are named for a mutant; more are counted

_HEAD = """# What the conformance kit catches

Each mutant is a backend that is wrong in one way, in `tests/mutants`. It was run against all checks of the kit, as
`weedout conform` runs them. Made by `python -m tests.mutants`; do not edit.
"""


def page(mutants: Sequence[Mutant], done: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as Markdown, from the lines of the results by name."""
    run = [mutant for mutant in mutants if mutant.name in done]
    missed = [f"`{mutant.name}`" for mutant in run if not done[mutant.name]["failed"]]
    parts = [_HEAD, f"{_caught(run, done)} are caught. Missed: {', '.join(missed) or 'none'}.\n"]
    if later := len(mutants) - len(run):
        parts.append(f"{later} more were not run.\n")
    for group, members in groupby(run, key=lambda mutant: mutant.group):
        rows = list(members)
        parts += [f"## {group}\n", f"{_caught(rows, done)} are caught.\n", "\n".join(_table(rows, done)) + "\n"]
    return "\n".join(parts)


def _caught(mutants: Sequence[Mutant], done: Mapping[str, Mapping[str, Any]]) -> str:
    return f"{sum(bool(done[mutant.name]['failed']) for mutant in mutants)} of {len(mutants)}"


def _table(mutants: Sequence[Mutant], done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["| mutant | of | function | what is wrong | caught by |", "|---|---|---|---|---|"]
    for mutant in mutants:
        checks = list(done[mutant.name]["failed"])
        more = f" and {len(checks) - _NAMED} more" if len(checks) > _NAMED else ""
        caught = ", ".join(checks[:_NAMED]) + more if checks else "**nothing**"
        what = mutant.reason.replace("|", "\\|")
        lines.append(f"| {mutant.name} | {mutant.backend} | {mutant.function} | {what} | {caught} |")
    return lines
