"""Options from the fields of a configuration: names, defaults and help texts come from the dataclass.

The configurations check the values, so that a mistake gets the same error from the command line as from Python.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, field, fields, make_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tyro

from weedout_core import SearchConfig, TrainConfig
from weedout_core._configs.checks import named_options
from weedout_core._configs.open_points import AS_READ
from weedout_core._configs.search_config import FitnessName, StrategyName
from weedout_core.errors import ConfigError
from weedout_core.lab.commands.sweep_points import Takes
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.recipes import BROUGHT, recipe_text

C = TypeVar("C")

#: Fields that are options of no command, and new names for those options whose names would clash.
_SKIPPED = {ExperimentConfig: {"search", "train"}}
#: What can be typed for an option that takes a name or a function.
_FUNCTION = "MODULE:FUNCTION"
_NAMED = {
    SearchConfig: {
        "strategy": (*get_args(StrategyName), _FUNCTION),
        "fitness": (*get_args(FitnessName), _FUNCTION),
        "allocation": ("uniform", "global", "erk", "smart_ratio", _FUNCTION),
    }
}
#: Other names of options.
_ALIASES = {(ExperimentConfig, "network"): ("--model",)}
_RENAMED = {SearchConfig: {"precision": "search_precision"}, TrainConfig: {"precision": "train_precision"}}


def options_of(config: type[Any], left_out: Collection[str] = ()) -> type[Any]:
    """A dataclass with the options of a configuration, but for some of its fields. It does not check them."""
    texts, hints, left = _texts(config), get_type_hints(config), _left_open(config)
    names = named_options(config) | _NAMED.get(config, {})
    options = [
        (
            _option_name(config, item.name),
            *_option(
                hints[item.name], _default(item), texts.get(item.name, ""), names.get(item.name, ()),
                left.get(item.name), _ALIASES.get((config, item.name), ()),
            ),
        )
        for item in _chosen(config)
        if item.name not in left_out
    ]  # fmt: skip
    summary = (config.__doc__ or "").split("\n")[0]
    return make_dataclass(config.__name__, options, namespace={"__doc__": summary}, frozen=True)


def _chosen(config: type[Any]) -> list[Any]:
    """The fields that are options. Fixed points, which allow one value, are left out."""
    fixed = {name for name, options in named_options(config).items() if len(options) == 1}
    return [item for item in fields(config) if item.name not in _SKIPPED.get(config, set()) | fixed]


def _left_open(config: type[Any]) -> dict[str, str]:
    """The fields whose default depends on another option, with a text on that default."""
    if config is TrainConfig:
        return {name: f"set by --network: {recipe_text(name)}" for name in BROUGHT}
    return {item.name: "set by --reading" for item in fields(config) if item.default == AS_READ}


def _option(
    hint: Any, default: Any, text: str, names: tuple[Any, ...], left: str | None, aliases: tuple[str, ...]
) -> tuple[Any, Any]:
    """The annotation and the default of one option. ``left`` describes a default that depends on another option.

    The parser takes any text for names and numbers: the configuration refuses it with its own error.
    """
    shown: dict[str, Any] = {"help": text, "aliases": aliases}
    if names:
        hint, shown["metavar"] = str, "{" + ",".join(map(str, names)) + "}"
    elif metavar := _metavar(hint):
        shown["metavar"], default = metavar, _as_text(default)
        read = tuple[str, ...] if metavar.endswith("...") else str
        hint = read | None if NoneType in get_args(hint) else read
    if left is not None:
        hint, default, shown["help_behavior_hint"] = hint | None, None, f"(default: {left})"
    return Annotated[hint, tyro.conf.arg(**shown)], field(default=default)


def _as_text(default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(map(str, cast(tuple[Any, ...], default)))
    return default if default is None else str(default)


def _metavar(hint: Any) -> str | None:
    """How numbers are shown in the help: ``INT``, or ``INT INT ...`` for several; None for what is no number."""
    number = _number(hint)
    return number and (f"{number.__name__.upper()} " * 2 + "..." if _takes_several(hint) else number.__name__.upper())


def _number(hint: Any) -> type[Any] | None:
    """The kind of number that an option takes, one or several; None if it takes none."""
    if hint in (int, float):
        return hint
    inside = get_args(hint) if get_origin(hint) in (Union, UnionType, tuple) else ()
    return next(filter(None, map(_number, inside)), None)


def _takes_several(hint: Any) -> bool:
    return any(get_origin(kind) is tuple for kind in (hint, *get_args(hint)))


def _read(hint: Any, given: Any) -> Any:
    """What was typed for an option, as numbers if it takes numbers. What is none stays a text, which is refused."""
    number = _number(hint)
    if number is None or not isinstance(given, str | tuple):
        return given
    if isinstance(given, tuple):
        return tuple(_read(number, one) for one in cast(tuple[Any, ...], given))
    try:
        return number(given)
    except ValueError:
        return given


def several(configs: Collection[type[Any]]) -> set[str]:
    """The options of configurations that take several values."""
    return {option for option, hint in _hints(configs) if _takes_several(hint)}


def flags(configs: Collection[type[Any]]) -> set[str]:
    """The options of configurations that take no value."""
    return {option for option, hint in _hints(configs) if hint is bool}


def takes(configs: Collection[type[Any]]) -> dict[str, Takes]:
    """What each option of configurations takes."""
    return {
        option: "nothing" if hint is bool else "several" if _takes_several(hint) else "one"
        for option, hint in _hints(configs)
    }


def aliases() -> dict[str, str]:
    """The options that have other names, by these; both without "--"."""
    return {alias.lstrip("-"): option for (_, option), others in _ALIASES.items() for alias in others}


def _hints(configs: Collection[type[Any]]) -> Iterator[tuple[str, Any]]:
    """The options of configurations as they are typed, without "--", and what they take."""
    for config in configs:
        hints = get_type_hints(config)
        for item in _chosen(config):
            yield _option_name(config, item.name).replace("_", "-"), hints[item.name]


def values(config: type[Any], options: Any) -> dict[str, Any]:
    """The keyword arguments of a configuration from its options, without those that were not given or are left out."""
    names = {item.name: _option_name(config, item.name) for item in _chosen(config)}
    hints = get_type_hints(config)
    found = {
        name: _read(hints[name], getattr(options, option)) for name, option in names.items() if hasattr(options, option)
    }
    left = _left_open(config)
    return {name: value for name, value in found.items() if not (name in left and value is None)}


def made(config: type[C], given: Mapping[str, Any]) -> C:
    """A configuration. An error that names a field names its option instead."""
    with options_named(config):
        return config(**given)


@contextmanager
def options_named(config: type[Any]) -> Iterator[None]:
    """Inside this context an error that names a field, first or as search.field, names its option instead."""
    try:
        yield
    except ConfigError as error:
        said = re.sub(r"^(\w+)(?=(?:\[\d+\])?( must be )?)", lambda field: _option_first(config, field), str(error))
        raise ConfigError(re.sub(r"\b(search|train)\.(\w+)", _option_within, said)) from error


def _option_first(config: type[Any], field: re.Match[str]) -> str:
    """The option of a field, as it is typed where the error says what it must be."""
    name = _option_name(config, field[1])
    is_field = field[1] in {item.name for item in fields(config)}
    return f"--{name.replace('_', '-')}" if is_field and field[2] else name


def _option_within(field: re.Match[str]) -> str:
    return _option_name({"search": SearchConfig, "train": TrainConfig}[field[1]], field[2])


def _option_name(config: type[Any], name: str) -> str:
    renamed: Mapping[str, str] = _RENAMED.get(config, {})
    return renamed.get(name, name)


def _default(item: Any) -> Any:
    return item.default if item.default is not MISSING else item.default_factory()


def _texts(config: type[Any]) -> dict[str, str]:
    """The text of each field, from the section "Attributes:" of a docstring."""
    section = (config.__doc__ or "").partition("Attributes:\n")[2].partition("    Raises:\n")[0]
    entries = re.findall(r"^ {8}(\w[\w, ]*): ((?:.|\n {9,})*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.replace("``", "").split()) for names, text in entries for name in names.split(", ")}
