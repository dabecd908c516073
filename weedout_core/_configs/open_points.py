"""The points that the paper leaves open: the fields of configurations that settle them, and what they settle.

Each field carries its row of docs/choices.md. Fields with one allowed value are points on which this library takes one
side: they are here so that every result says so.
"""

from dataclasses import field, fields, is_dataclass
from typing import Any, Literal, NamedTuple

from weedout_core._guard.shown import shown
from weedout_core.errors import ConfigError

Precision = Literal["highest", "default"]


#: The value of a field that the reading decides.
AS_READ = ""


def choice(row: int, point: str, default: Any, options: tuple[str, ...] = ()) -> Any:
    """A field of a configuration that settles a point the paper leaves open.

    Args:
        row, point: of docs/choices.md.
        default: the field's default; ``AS_READ`` where the reading decides.
        options: the names allowed, where the annotation does not say so.
    """
    return field(default=default, metadata={"row": row, "point": point, "options": options})


class Choice(NamedTuple):
    """One point the paper leaves open, and the side a configuration takes."""

    row: int
    point: str
    field: str
    value: Any


def choices(*configs: Any) -> list[Choice]:
    """The choices that configurations make where the paper leaves one, by row.

    Raises ConfigError for what is no configuration.
    """
    if wrong := [config for config in configs if not is_dataclass(config) or isinstance(config, type)]:
        raise ConfigError(f"choices are those of configurations, such as wc.SearchConfig(); got {shown(wrong[0])}.")
    found: list[Choice] = []
    for config in configs:
        for item in fields(config):
            if "row" in item.metadata:
                row, point = item.metadata["row"], item.metadata["point"]
                found.append(Choice(row, point, f"{type(config).__name__}.{item.name}", getattr(config, item.name)))
    return sorted(found, key=lambda choice: (choice.row, choice.field))
