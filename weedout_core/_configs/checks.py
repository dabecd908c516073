"""Checks of configurations: the fields that take one of a few names, and values that would be without effect."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from weedout_core._guard.kinds import option
from weedout_core.errors import ConfigError


def check_options(config: Any) -> None:
    """Raise ConfigError if a field with named options has another value."""
    for name, options in named_options(cast(type[Any], type(config))).items():
        option(*options)(name, getattr(config, name))


def check_effects(config: Any, needs: Mapping[str, tuple[bool, str]], within: str = "") -> None:
    """Raise ConfigError if a field is set but has no effect: results would record it all the same.

    Args:
        config: the configuration; a field counts as set if its value differs from its default.
        needs: {field: (whether it has an effect, what it needs to have one)}.
        within: what stands before a field's name, such as "search." for a configuration that is a field of another.
    """
    for item in fields(config):
        has_effect, needed = needs.get(item.name, (True, ""))
        value = getattr(config, item.name)
        if not has_effect and value != item.default:
            name = f"{within}{item.name}"
            raise ConfigError(f"{name}={value!r} has no effect without {needed}. Leave {name} out.")


def named_options(kind: type[Any]) -> dict[str, tuple[Any, ...]]:
    """The fields of a configuration that take one of a few names: {field: options}."""
    hints = get_type_hints(kind)
    literal = {
        item.name: get_args(hints[item.name]) for item in fields(kind) if get_origin(hints[item.name]) is Literal
    }
    return literal | {item.name: item.metadata["options"] for item in fields(kind) if item.metadata.get("options")}
