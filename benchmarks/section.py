"""One section of the results: its text, its figures, and whether what was to be reached was reached."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.timing import Ratio


class Section(NamedTuple):
    """What a group found.

    Attributes:
        title: the heading; a later run of the group replaces what stands under it.
        text: Markdown.
        figures: {file name: content}.
    """

    title: str
    text: str
    figures: Mapping[str, bytes]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2
    while abs(value) * 10**digits < 99.95 and digits < 7:
        digits += 1
    return f"{value:.{digits if abs(value) < 1 else min(digits, 2 if abs(value) < 10 else 1)}f}"


Found = Ratio | float


def at_least(what: str, least: float, found: Found | None) -> str:
    """A line that says whether a ratio was reached: its median decides."""
    return _reached(what, f"at least {least:.4g}", found, found is not None and _middle(found) >= least)


def at_most(what: str, most: float, found: Found | None) -> str:
    """A line that says whether a ratio was kept: its median decides."""
    return _reached(what, f"at most {most:.4g}", found, found is not None and _middle(found) <= most)


def plainly(what: str, found: Found | None) -> str:
    """A line that says what was found, of which nothing was asked."""
    return f"- {what}: {_spread(found)}"


def _reached(what: str, wanted: str, found: Found | None, reached: bool) -> str:
    answer = "" if found is None else f", **{'yes' if reached else 'no'}**"
    return f"- {what}, {wanted}: {_spread(found)}{answer}"


def _middle(found: Found) -> float:
    return found.median if isinstance(found, Ratio) else found


def _spread(found: Found | None) -> str:
    if found is None:
        return "not measured"
    if not isinstance(found, Ratio):
        return number(found)
    return f"{number(found.median)} ({number(found.least)} to {number(found.most)})"
