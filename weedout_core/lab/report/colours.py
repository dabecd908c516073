"""The colours, lines and markers of figures. In a page its style sheet decides them, so that light and dark both work.

Figures are drawn in stand-in colours, each of which is then replaced by a variable of the page or by a colour on white.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

#: By role, for light and for dark. The series are made after Okabe and Ito's colours, which stay apart for colour-blind
#: readers; each has a contrast of at least 3 on its background, and text has more than 4.5.
LIGHT: Mapping[str, str] = {
    "page": "#ffffff", "panel": "#f5f6f8", "ink": "#1b1f24", "muted": "#50585f", "grid": "#d5d9dd", "link": "#0b57a4",
    "series-0": "#0072b2", "series-1": "#b85000", "series-2": "#007a5a", "series-3": "#a8458a", "series-4": "#1b1f24",
    "series-5": "#7a6a00", "series-6": "#5a5fd0",
}  # fmt: skip
DARK: Mapping[str, str] = {
    "page": "#14171a", "panel": "#1e2226", "ink": "#e8eaed", "muted": "#aab2b9", "grid": "#3a4147", "link": "#8ab8f0",
    "series-0": "#56b4e9", "series-1": "#ff9a5c", "series-2": "#33c9a0", "series-3": "#e79ac7", "series-4": "#e8eaed",
    "series-5": "#e2cf4a", "series-6": "#a9adff",
}  # fmt: skip

SERIES = sum(role.startswith("series-") for role in LIGHT)
DASHES = ("", "6 3", "1.5 2.5", "7 2.5 1.5 2.5", "11 3")
MARKERS = ("o", "s", "D", "^", "v", "X", "P")

_STAND_INS = {f"#a0b1{number:02x}": role for number, role in enumerate(LIGHT)}
_OF_ROLE = {role: stand_in for stand_in, role in _STAND_INS.items()}


def stand_in(role: str) -> str:
    """The colour in which a role is drawn until it is replaced."""
    return _OF_ROLE[role]


def series(place: int) -> str:
    """The stand-in of the series at a place; after the last colour they begin again, in other lines."""
    return stand_in(f"series-{place % SERIES}")


def marker(place: int) -> str:
    """The marker of the series at a place: with a colour that comes again, another one."""
    return MARKERS[(place + place // SERIES) % len(MARKERS)]


def line(place: int) -> Any:
    """The line of the series at a place, as matplotlib has it, in multiples of the line's width."""
    dash = DASHES[place % len(DASHES)]
    return (0, tuple(float(part) / 2 for part in dash.split())) if dash else "-"


def as_variables(svg: str) -> str:
    """A drawing with each stand-in replaced by the variable of its role."""
    return _replaced(svg, lambda role: f"var(--{role})")


def on_white(svg: str) -> str:
    """A drawing with each stand-in replaced by a colour for a light background."""
    return _replaced(svg, LIGHT.__getitem__)


def variables(colours: Mapping[str, str]) -> str:
    """The declarations of the variables in a style sheet."""
    return " ".join(f"--{role}: {colour};" for role, colour in colours.items())


def _replaced(svg: str, colour: Callable[[str], str]) -> str:
    return re.sub("|".join(_STAND_INS), lambda found: colour(_STAND_INS[found[0]]), svg)
