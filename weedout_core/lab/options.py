"""The options of the command: those of ``weedout paper`` are the fields of the configurations, with their own texts.

Nothing is listed twice: fields, defaults and help come from the dataclasses. Values are checked by the
configurations, so that a mistake gets the same sentence from the command line as from Python.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import tyro

from weedout_core._config import AS_READ, SearchConfig, TrainConfig, named_options
from weedout_core.lab.experiment import ExperimentConfig

#: Fields that are no options of their part of the command line, and other names for options that would clash.
_SKIPPED = {ExperimentConfig: {"search", "train"}, SearchConfig: {"sparsity"}, TrainConfig: set[str]()}
_RENAMED = {SearchConfig: {"precision": "search_precision"}, TrainConfig: {"precision": "train_precision"}}


@dataclass(frozen=True)
class RunOptions:
    """Where the run lives.

    Attributes:
        out: the run's folder; None is runs/<dataset>-<digest of the configuration>.
        data_dir: the folder of the IDX files; the bundled digits need none.
        allow_other_versions: continue a run under other library versions than it began with.
    """

    out: Path | None = None
    data_dir: Path | None = None
    allow_other_versions: bool = False


class PaperOptions(NamedTuple):
    """What ``weedout paper`` was asked for: where the run lives, and the experiment."""

    run: RunOptions
    config: ExperimentConfig


@dataclass(frozen=True)
class ConformOptions:
    """Hold a backend, yours included, to the reference: every check of the conformance kit.

    Attributes:
        name: the backend's registered name.
        device: the kind of device, "cpu", "gpu" or "tpu"; None takes the backend's default.
        examples: tried by each check, at least 1; costly checks try a fifth.
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    device: str | None = None
    examples: int = 50


def parse(arguments: list[str]) -> PaperOptions | ConformOptions | None:
    """Read a command line.

    Returns:
        the options of ``weedout paper`` or ``weedout conform``, or None for ``weedout doctor``.
    Raises:
        ConfigError: a value is out of its range.
        SystemExit: the command line cannot be read, or asks for help; the message is written.
    """
    commands = {"paper": _paper_type(), "doctor": _DOCTOR, "conform": ConformOptions}
    parsed = tyro.extras.subcommand_cli_from_dict(
        commands, args=arguments, prog="weedout", description=_DESCRIPTION, config=(tyro.conf.OmitArgPrefixes,)
    )
    if isinstance(parsed, _DOCTOR):
        return None
    if isinstance(parsed, ConformOptions):
        return parsed
    search = SearchConfig(sparsity=0.0, **_values(SearchConfig, parsed.search))
    train = TrainConfig(**_values(TrainConfig, parsed.train))
    config = ExperimentConfig(search=search, train=train, **_values(ExperimentConfig, parsed.experiment))
    return PaperOptions(RunOptions(**_values(RunOptions, parsed.run)), config)


_DESCRIPTION = "Weedout: Random Search over sparse sub-networks, the neutral baseline for sparsity searches."
_DOCTOR = make_dataclass("Doctor", [], namespace={"__doc__": "Show versions, backends, devices, and what is missing."})


def _paper_type() -> type[Any]:
    """The command line of ``weedout paper`` as a dataclass, a group of options in each field."""
    parts = {"experiment": ExperimentConfig, "search": SearchConfig, "train": TrainConfig, "run": RunOptions}
    kinds = {name: _options(kind) for name, kind in parts.items()}
    text = (
        "Run the paper's experiment: Weedout's winners against random controls, at several sparsities. "
        "The same command continues a run that was interrupted."
    )
    return make_dataclass(
        "Paper",
        [(name, kind, field(default_factory=kind)) for name, kind in kinds.items()],
        namespace={"__doc__": text},
    )


def _options(config: type[Any]) -> type[Any]:
    """A dataclass with the options of a configuration, which checks nothing."""
    texts, hints, names = _texts(config), get_type_hints(config), named_options(config)
    options = [
        (
            _option_name(config, item.name),
            *_option(hints[item.name], _default(item), texts.get(item.name, ""), names.get(item.name, ())),
        )
        for item in _chosen(config)
    ]
    summary = (config.__doc__ or "").split("\n")[0]
    return make_dataclass(config.__name__, options, namespace={"__doc__": summary}, frozen=True)


def _chosen(config: type[Any]) -> list[Any]:
    """The fields that are options: fixed points, which allow one value, are none."""
    fixed = {name for name, options in named_options(config).items() if len(options) == 1}
    return [item for item in fields(config) if item.name not in _SKIPPED.get(config, set()) | fixed]


def _option(hint: Any, default: Any, text: str, names: tuple[Any, ...]) -> tuple[Any, Any]:
    """The annotation and the default of one option."""
    shown: dict[str, Any] = {"help": text}
    if names:
        # Any text is taken here: the configuration refuses other names with its own sentence.
        hint, shown["metavar"] = str, "{" + ",".join(map(str, names)) + "}"
    if default == AS_READ:
        hint, default, shown["help_behavior_hint"] = str | None, None, "(default: as the reading has it)"
    return Annotated[hint, tyro.conf.arg(**shown)], field(default=default)


def _values(config: type[Any], options: Any) -> dict[str, Any]:
    """The keyword arguments of a configuration from its options. What was not given is as the reading has it."""
    found = {item.name: getattr(options, _option_name(config, item.name)) for item in _chosen(config)}
    as_read = {item.name for item in _chosen(config) if _default(item) == AS_READ}
    return {name: value for name, value in found.items() if not (name in as_read and value is None)}


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
