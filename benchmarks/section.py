"""One section of the results: its text, its figures, and whether what was to be reached was reached."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


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


def at_least(what: str, least: float, found: float | None) -> str:
    """A line that says whether a ratio was reached."""
    return _reached(what, f"at least {least:g}", found, found is not None and found >= least)


def at_most(what: str, most: float, found: float | None) -> str:
    """A line that says whether a ratio was kept."""
    return _reached(what, f"at most {most:g}", found, found is not None and found <= most)


def _reached(what: str, wanted: str, found: float | None, reached: bool) -> str:
    if found is None:
        return f"- {what}, {wanted}: not measured"
    return f"- {what}, {wanted}: {number(found)}, **{'yes' if reached else 'no'}**"
