"""Functions of the user's in the configuration of a search: found by their places, and known again by their files."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from weedout_core import SearchConfig
from weedout_core._configs.planning import recorded
from weedout_core._guard.own_functions import place_of_own
from weedout_core.errors import ConfigError, RunError
from weedout_core.lab.code.functions import Function, check_call, imported, placed
from weedout_core.lab.code.sources import source
from weedout_core.lab.experiment.configuration import ExperimentConfig


class _Form(NamedTuple):
    """What a function is handed, and must return."""

    arguments: tuple[str, ...]
    returns: str


#: By the field that takes the function.
_FORMS = {
    "strategy": _Form(
        ("the key", "the plan", "the masks", "the fitness", "the number of children", "the mutation"),
        "the masks of the children",
    ),
    "fitness": _Form(("the logits", "the labels"), "a float for each candidate"),
    "allocation": _Form(("the mask space", "the sparsity"), "the nodes kept at each site"),
}


def with_own(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with the functions themselves, where it names some.

    Raises:
        ConfigError: there is no such function, or it takes other arguments.
    """
    found: dict[str, Any] = {}
    for field, form in _FORMS.items():
        value = getattr(config.search, field)
        if isinstance(value, str):
            if ":" not in value:
                continue
            value = imported(value, field)
        check_call(value, f"the {field} {placed(value, field)}", form.arguments, form.returns)
        _check_known_again(value, field)
        found[field] = value
    return replace(config, search=replace(config.search, **found)) if found else config


def _check_known_again(function: Function, field: str) -> None:
    """Raise ConfigError for a function that another one made: all that it made have one name, and one file."""
    if "<locals>" in function.__qualname__:
        raise ConfigError(
            f"the {field} {placed(function, field)} must be defined at the top of its module, by which a run knows it "
            f"again; it is {function.__qualname__}. Write it by def there, or give the decorator functools.wraps."
        )


def recorded_config(config: ExperimentConfig) -> ExperimentConfig:
    """A configuration as a record has it: functions of the user's are named, "package.module:function"."""
    return replace(config, search=recorded(config.search))


def own_sources(search: SearchConfig) -> dict[str, str]:
    """{field_files: the SHA-256 of a function's files} for each field with a function: how a run knows it."""
    return {f"{field}_files": source(function) for field, function in _own(search)}


def same_own(search: SearchConfig, identity: dict[str, Any]) -> None:
    """Raise RunError unless the files of the user's functions are those of the run."""
    found = own_sources(search)
    for field, function in _own(search):
        if found[f"{field}_files"] != identity[f"{field}_files"]:
            raise RunError(
                f"the {field} {place_of_own(function)} must be that of the run; here its files are others. Copy them."
            )


def _own(search: SearchConfig) -> Iterator[tuple[str, Function]]:
    for field in _FORMS:
        if not isinstance(value := getattr(search, field), str):
            yield field, value
