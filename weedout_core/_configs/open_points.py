"""The points that the paper leaves open, and the fields of configurations that settle them.

Each field carries its row of docs/choices.md. Fields with one allowed value are points on which this library takes one
side: they are here so that every result says so.
"""

from dataclasses import field, fields, is_dataclass
from typing import Any, Literal, NamedTuple

from weedout_core._guard.showing import shown
from weedout_core.errors import ConfigError

#: The precision of matrix products: "highest" is float32, "default" lets the device round their factors for speed.
Precision = Literal["highest", "default"]


#: The value of a field that is left to ``SearchConfig.reading``.
AS_READ = ""


def choice(row: int, point: str, default: Any, options: tuple[str, ...] = ()) -> Any:
    """A field of a configuration that settles a point the paper leaves open.

    Args:
        row, point: the row of docs/choices.md, and the name of the point there.
        default: the field's default; ``AS_READ`` if the reading decides.
        options: the names allowed, if the annotation does not say so.
    """
    return field(default=default, metadata={"row": row, "point": point, "options": options})


class Choice(NamedTuple):
    """One point that the paper leaves open, and what a configuration chooses.

    Attributes:
        row: the row of docs/choices.md.
        point: the name of the point there.
        field: the field that settles the point, such as "SearchConfig.elite".
        value: the value of the field.
    """

    row: int
    point: str
    field: str
    value: Any


def choices(*configs: Any) -> list[Choice]:
    """List what configurations choose on the points that the paper leaves open, sorted by row of docs/choices.md.

    Raises ConfigError if an argument is not a configuration, such as a SearchConfig or a TrainConfig.
    """
    if wrong := [config for config in configs if not is_dataclass(config) or isinstance(config, type)]:
        raise ConfigError(f"choices needs configurations, such as wc.SearchConfig(); got {shown(wrong[0])}.")
    found: list[Choice] = []
    for config in configs:
        for item in fields(config):
            if "row" in item.metadata:
                row, point = item.metadata["row"], item.metadata["point"]
                found.append(Choice(row, point, f"{type(config).__name__}.{item.name}", getattr(config, item.name)))
    return sorted(found, key=lambda choice: (choice.row, choice.field))
