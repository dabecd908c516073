"""How two beginnings differ, by name: a run can go on only from results of its own."""

from dataclasses import asdict
from typing import Any


def differences(was: Any, now: Any) -> list[str]:
    """The names of the facts that differ, in order: a beginning's fields, and those of its configuration."""
    before, given = _facts(was), _facts(now)
    return [name for name in before if before[name] != given[name]]


def another(argument: str, work: str, name: str, was: Any, now: Any) -> str:
    """The text of an error about a fact that differs, without its end.

    Args:
        argument: the name of the argument that was handed in.
        work: "search" or "training".
        name: the name of the fact.
        was, now: what the argument began with, and what the present search or training begins with.
    """
    before, given = _facts(was)[name], _facts(now)[name]
    return (
        f"{argument} must be of this very {work}, but it began with {name} {_shown(before)}, and the {work} has "
        f"{_shown(given)}"
    )


def _facts(began: Any) -> dict[str, Any]:
    """All that something began with, by its name."""
    facts = {**began._asdict(), **asdict(began.config)}
    return {name: value for name, value in facts.items() if name != "config"}


def _shown(value: Any) -> str:
    """A value for a message; a SHA-256 is cut to its first digits."""
    return f"SHA-256 {value[:12]}…" if isinstance(value, str) and len(value) == 64 else repr(value)
