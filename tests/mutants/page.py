"""The page: which mutants the kit catches, and by which checks."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.mutants.body import Mutant

_NAMED = 3  # checks that are named for a mutant; more are counted

_HEAD = """# What the conformance kit catches

Each mutant is a backend that is wrong in one way, in `tests/mutants`. It was run against the checks of the kit, as
`weedout conform` runs them, with `--first` until one caught it; the mutants of devices have eight. Those of the group
"written afterwards" were written without regard to the checks. Made by `python -m tests.mutants`; do not edit.
"""


def page(mutants: Sequence[Mutant], done: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as Markdown, from the lines of the results by name."""
    run = [mutant for mutant in mutants if mutant.name in done]
    missed = [f"`{mutant.name}`" for mutant in run if not done[mutant.name]["failed"]]
    parts = [_HEAD, f"{_caught(run, done)} are caught. Missed: {', '.join(missed) or 'none'}.\n"]
    if later := len(mutants) - len(run):
        parts.append(f"{later} more were not run.\n")
    groups, functions = _by(run, "group"), _by(run, "function")
    for what, members in {"what a kit may miss": groups, "function": functions}.items():
        rows = (f"| {name} | {_caught(each, done)} |" for name, each in members.items())
        parts.append("\n".join([f"| {what} | caught |", "|---|---|", *rows]) + "\n")
    for name, members in groups.items():
        parts += [f"## {name}\n", "\n".join(_table(members, done)) + "\n"]
    return "\n".join(parts)


def _by(mutants: Sequence[Mutant], field: str) -> dict[str, list[Mutant]]:
    """The mutants by one of their fields, in the order in which its values come."""
    found: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        found.setdefault(getattr(mutant, field), []).append(mutant)
    return found


def _caught(mutants: Sequence[Mutant], done: Mapping[str, Mapping[str, Any]]) -> str:
    return f"{sum(bool(done[mutant.name]['failed']) for mutant in mutants)} of {len(mutants)}"


def _table(mutants: Sequence[Mutant], done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["| mutant | of | function | what is wrong | caught by |", "|---|---|---|---|---|"]
    for mutant in mutants:
        checks = list(done[mutant.name]["failed"])
        more = f" and {len(checks) - _NAMED} more" if len(checks) > _NAMED else ""
        caught = ", ".join(checks[:_NAMED]) + more if checks else "**nothing**"
        what = (mutant.reason[:1].upper() + mutant.reason[1:]).rstrip(".").replace("|", "\\|")
        lines.append(f"| {mutant.name} | {mutant.backend} | {mutant.function} | {what} | {caught} |")
    return lines
