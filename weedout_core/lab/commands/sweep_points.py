"""What a sweep varies: options with their values as they are typed, and the command line of each point of the grid."""

import math
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import product
from typing import Literal, NamedTuple

from weedout_core.errors import ConfigError

#: The most points of a sweep: all of them are checked before any is begun, which takes a tenth of a second each.
MOST = 30
#: What an option takes.
Takes = Literal["one", "several", "nothing"]

VARY, OUT = "--vary", "--out"
_AS = f"Write {VARY} OPTION VALUE VALUE, as in {VARY} hidden 32 64."


class Varied(NamedTuple):
    """An option that is varied, without "--", and its values as they are typed.

    Each value is one word; several numbers in one, such as "64 32", are quoted. Those of a flag are yes and no.
    """

    option: str
    values: tuple[str, ...]


class Cell(NamedTuple):
    """A point of the grid: the value of each option that is varied, in order."""

    values: Mapping[str, str]

    def __str__(self) -> str:
        return ", ".join(f"{option} {value}" for option, value in self.values.items())

    def words(self, options: Mapping[str, Takes]) -> list[str]:
        """What is typed for it."""
        found: list[str] = []
        for option, value in self.values.items():
            match options[option]:
                case "nothing":
                    found.append(f"--{option}" if value == "yes" else f"--no-{option}")
                case "several":
                    found += [f"--{option}", *value.split()]
                case "one":
                    found += [f"--{option}", value]
        return found

    def folder(self, number: int) -> str:
        """The name of its folder, by its number among the points, from 1."""
        name = re.sub(r"[^A-Za-z0-9.]+", "-", str(self))
        return f"{number:02d}-{name[:60].strip('-.')}"


class Words(NamedTuple):
    """A command line after the command: what is varied, what says where the sweep is stored, and all other words."""

    varied: tuple[Varied, ...]
    out: tuple[str, ...]
    kept: tuple[str, ...]


def divided(words: Sequence[str], aliases: Mapping[str, str]) -> Words:
    """Divide a command line. What is varied ends at the next word that begins with "--".

    Args:
        words: after the command.
        aliases: other names of options, {alias: option}.
    """
    kept, varied, out, taken = list[str](), list[list[str]](), list[str](), ""
    for word in words:
        name, equals, first = word.partition("=")
        if word[:2] == "--":
            taken = name if name in (VARY, OUT) else ""
            if taken == VARY:
                varied.append([first] if equals else [])
            else:
                (out if taken else kept).append(word)
                taken = "" if equals else taken
        elif taken == VARY:
            varied[-1].append(word)
        else:
            (out if taken else kept).append(word)
            taken = ""  # --out has one value
    found = (Varied(_option(one[0], aliases) if one else "", tuple(one[1:])) for one in varied)
    return Words(tuple(found), tuple(out), tuple(kept))


def _option(typed: str, aliases: Mapping[str, str]) -> str:
    """An option as it is named here."""
    name = typed.replace("_", "-")
    return aliases.get(name, name)


def cells(words: Words, options: Mapping[str, Takes], aliases: Mapping[str, str]) -> list[Cell]:
    """The points of the grid; the option that is varied last varies fastest.

    Args:
        words: the command line.
        options: those that can be varied.
        aliases: other names of options, {alias: option}.
    Raises:
        ConfigError: an option cannot be varied, is varied twice or given besides, has fewer than two values or one
            twice, or there are too many points.
    """
    varied = words.varied
    if not varied:
        raise ConfigError(f"weedout sweep needs {VARY}, an option and its values. {_AS}")
    given = {_option(word.partition("=")[0].lstrip("-"), aliases) for word in words.kept if word[:2] == "--"}
    names = [one.option for one in varied]
    for one in varied:
        _check_option(one.option, names, given, options)
        _check_values(one, options[one.option])
    points, sizes = math.prod(len(one.values) for one in varied), " × ".join(str(len(one.values)) for one in varied)
    if points > MOST:
        got = f"{sizes} = {points}" if len(varied) > 1 else sizes
        raise ConfigError(
            f"{VARY} {' '.join(names)} must make at most {MOST} points; got {got}. Vary fewer values in one sweep."
        )
    return [Cell(dict(zip(names, values, strict=True))) for values in product(*(one.values for one in varied))]


def _check_option(option: str, names: Sequence[str], given: set[str], options: Mapping[str, Takes]) -> None:
    if option not in options:
        like = "".join(f" Did you mean {one}?" for one in get_close_matches(option, sorted(options), 1, 0.7))
        raise ConfigError(
            f"{VARY} takes an option that decides what is searched or trained; got {option!r}.{like} {_AS}"
        )
    if names.count(option) > 1:
        raise ConfigError(f"{VARY} {option} must be given once; got it twice. Give it once, with all of its values.")
    if given & {option, f"no-{option}"}:
        raise ConfigError(f"--{option} must not be given beside {VARY} {option}; got both. Leave it out.")


def _check_values(one: Varied, takes: Takes) -> None:
    said = f"{VARY} {one.option}"
    if len(one.values) < 2:
        got = repr(one.values[0]) if one.values else "none"
        raise ConfigError(f"{said} needs two values or more, separated by spaces; got {got}. {_AS}")
    if twice := [value for value in one.values if one.values.count(value) > 1]:
        raise ConfigError(f"{said} must have each value once; got {twice[0]!r} twice. Give it once.")
    if takes == "nothing" and {*one.values} != {"yes", "no"}:
        raise ConfigError(f"{said} must have the values yes and no; got {' '.join(one.values)!r}.")
    if mixed := [value for value in one.values if any(word[:2] == "--" for word in value.split())]:
        raise ConfigError(f"{said} must have values alone; got {mixed[0]!r}. Give other options outside of it.")
