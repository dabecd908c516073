"""Checks of single fields, each with a sentence that says what is required."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from weedout_core.errors import ConfigError


def check_option(name: str, value: Any, options: Any) -> None:
    """Raise ConfigError if a value is not one of the named options."""
    if value not in tuple(options):
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, options))}; got {value!r}.")


def check_options(config: Any) -> None:
    """Raise ConfigError if a field with named options has another value."""
    for name, options in named_options(cast(type[Any], type(config))).items():
        check_option(name, getattr(config, name), options)


def named_options(kind: type[Any]) -> dict[str, tuple[Any, ...]]:
    """The fields of a configuration that take one of a few names: {field: options}."""
    hints = get_type_hints(kind)
    literal = {
        item.name: get_args(hints[item.name]) for item in fields(kind) if get_origin(hints[item.name]) is Literal
    }
    return literal | {item.name: item.metadata["options"] for item in fields(kind) if item.metadata.get("options")}


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_at_least(name: str, value: Any, least: int, optional: bool = False) -> None:
    """Raise ConfigError if a value is not an integer ≥ least (or None, where optional)."""
    if optional and value is None:
        return
    if not is_integer(value) or value < least:
        raise ConfigError(f"{name} must be an integer of at least {least}; got {value!r}.")


def check_real(name: str, value: Any, holds: Callable[[float], bool], wanted: str) -> None:
    """Raise ConfigError if a value is not a finite number for which the condition holds."""
    if not isinstance(value, int | float) or not math.isfinite(value) or not holds(value):
        raise ConfigError(f"{name} must be a finite number {wanted}; got {value!r}.")
