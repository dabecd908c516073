"""The options of the command. Those of ``weedout paper`` and ``plan`` are the fields of the configurations.

Nothing is listed twice: fields, defaults and help texts come from the dataclasses. The configurations check the values,
so that a mistake gets the same error from the command line as from Python.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import tyro

from weedout_core import SearchConfig, TrainConfig
from weedout_core._configs.checks import named_options
from weedout_core._configs.open_points import AS_READ
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import AtLeastZero, Name, Positive
from weedout_core.errors import ConfigError
from weedout_core.lab.commands.several import check_several
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.recipes import BROUGHT, recipe, recipe_text

C = TypeVar("C")

#: Fields that are not options, and new names for those options whose names would clash.
_SKIPPED = {ExperimentConfig: {"search", "train"}}
_RENAMED = {SearchConfig: {"precision": "search_precision"}, TrainConfig: {"precision": "train_precision"}}


@dataclass(frozen=True)
class RunOptions:
    """Where the run is stored, and what is stored.

    Attributes:
        out: the run's folder; None means runs/<dataset>-<digest of the configuration>.
        data_dir: the folder of the dataset's files; None downloads them once (the bundled digits need none).
        allow_other_versions: continue a run under other library versions than those it began with.
        checkpoint_minutes: write a checkpoint whenever this many minutes have passed since the last one, ≥ 0.
        checkpoint_epochs: also write a checkpoint after every this many epochs, ≥ 1; None goes by the minutes alone.
        save_parameters: keep the trained weights of every network, in groups/*/parameters.safetensors.
        cache: a folder that keeps compiled programs, so that a later run need not compile them; only for the backend
            jax. None leaves JAX's own setting.
    Raises:
        ConfigError: a field is out of its range.
    """

    out: Path | None = None
    data_dir: Path | None = None
    allow_other_versions: bool = False
    checkpoint_minutes: AtLeastZero = 5.0
    checkpoint_epochs: Positive | None = None
    save_parameters: bool = False
    cache: Path | None = None

    def __post_init__(self) -> None:
        convert_fields(self)


@dataclass(frozen=True)
class ProbeOptions:
    """Which data a plan reads, and which devices it computes the memory for.

    Attributes:
        data_dir: the folder of the dataset's files; None downloads them once (the bundled digits need none).
        topology: a slice of TPUs, such as "v5e:2x4": the programs are compiled for it, and the plan shows the memory
            that they need on each of its devices. None shows the memory on this machine's device.
    """

    data_dir: Path | None = None
    topology: Name | None = None

    def __post_init__(self) -> None:
        convert_fields(self)


class PaperOptions(NamedTuple):
    """What ``weedout paper`` was asked for: where the run lives, and the experiment."""

    run: RunOptions
    config: ExperimentConfig


class PlanOptions(NamedTuple):
    """What ``weedout plan`` was asked for: what to measure, and the experiment."""

    probe: ProbeOptions
    config: ExperimentConfig


@dataclass(frozen=True)
class ConformOptions:
    """Compare a backend, your own included, with the reference: run every check of the conformance kit.

    Attributes:
        name: the backend's registered name.
        device: the kind of device, "cpu", "gpu" or "tpu"; None takes the backend's default.
        examples: the number of examples that each check tries, ≥ 1; costly checks try fewer.
    """

    name: Annotated[tyro.conf.Positional[Name], tyro.conf.arg(metavar="NAME")]
    device: Name | None = None
    examples: Positive = 50


def parse(arguments: list[str]) -> PaperOptions | PlanOptions | ConformOptions | None:
    """Read a command line.

    Returns:
        the options of ``weedout paper``, ``weedout plan`` or ``weedout conform``, or None for ``weedout doctor``.
    Raises:
        ConfigError: a value is out of its range, or an option of several values is given twice or with commas.
        SystemExit: the command line cannot be read, or asks for help; the message has been written.
    """
    check_several(arguments, _several())
    paper, plan = _command("Paper", _PAPER, {"run": RunOptions}), _command("Plan", _PLAN, {"probe": ProbeOptions})
    commands = {"paper": paper, "plan": plan, "doctor": _DOCTOR, "conform": ConformOptions}
    parsed = tyro.extras.subcommand_cli_from_dict(
        commands, args=arguments, prog="weedout", description=_DESCRIPTION, config=(tyro.conf.OmitArgPrefixes,)
    )
    if isinstance(parsed, _DOCTOR):
        return None
    if isinstance(parsed, ConformOptions):
        return parsed
    search = _made(SearchConfig, _values(SearchConfig, parsed.search))
    given = _values(TrainConfig, parsed.train)
    train = _made(TrainConfig, recipe(parsed.experiment.network, parsed.experiment.dataset, given))
    config = ExperimentConfig(search=search, train=train, **_values(ExperimentConfig, parsed.experiment))
    if isinstance(parsed, plan):
        return PlanOptions(ProbeOptions(**_values(ProbeOptions, parsed.probe)), config)
    return PaperOptions(RunOptions(**_values(RunOptions, parsed.run)), config)


_DESCRIPTION = "Weedout: Random Search over sparse sub-networks, the neutral baseline for sparsity searches."
_DOCTOR = make_dataclass("Doctor", [], namespace={"__doc__": "Show versions, backends, devices, and what is missing."})


_PAPER = (
    "Run the paper's experiment: Weedout's winners against random controls, at several sparsities. "
    "The same command continues a run that was interrupted."
)
_PLAN = "Say what the paper's experiment with these options would take: size, memory, steps, and hours on this machine."


def _command(name: str, text: str, more: Mapping[str, type[Any]]) -> type[Any]:
    """The command line of a command about the experiment, as a dataclass: each field is a group of options."""
    parts = {"experiment": ExperimentConfig, "search": SearchConfig, "train": TrainConfig, **more}
    kinds = {part: _options(kind) for part, kind in parts.items()}
    return make_dataclass(
        name, [(part, kind, field(default_factory=kind)) for part, kind in kinds.items()], namespace={"__doc__": text}
    )


def _options(config: type[Any]) -> type[Any]:
    """A dataclass with the options of a configuration. It does not check them."""
    texts, hints, names, left = _texts(config), get_type_hints(config), named_options(config), _left_open(config)
    options = [
        (
            _option_name(config, item.name),
            *_option(
                hints[item.name], _default(item), texts.get(item.name, ""), names.get(item.name, ()),
                left.get(item.name),
            ),
        )
        for item in _chosen(config)
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


def _option(hint: Any, default: Any, text: str, names: tuple[Any, ...], left: str | None) -> tuple[Any, Any]:
    """The annotation and the default of one option. ``left`` describes a default that depends on another option."""
    shown: dict[str, Any] = {"help": text}
    if names:
        # The parser accepts any text: the configuration refuses unknown names with its own error.
        hint, shown["metavar"] = str, "{" + ",".join(map(str, names)) + "}"
    elif metavar := _metavar(hint):
        shown["metavar"] = metavar
    if left is not None:
        hint, default, shown["help_behavior_hint"] = hint | None, None, f"(default: {left})"
    return Annotated[hint, tyro.conf.arg(**shown)], field(default=default)


def _metavar(hint: Any) -> str | None:
    """How numbers are shown in the help: ``INT``, or ``INT INT ...`` for several; None leaves it to the parser."""
    if hint in (int, float):
        return hint.__name__.upper()
    for kind in get_args(hint) if get_origin(hint) is UnionType else (hint,):
        if get_origin(kind) is tuple:
            return "{0} {0} ...".format(get_args(kind)[0].__name__.upper())
    return None


def _several() -> set[str]:
    """The options that take several values."""
    return {
        _option_name(config, item.name).replace("_", "-")
        for config in (ExperimentConfig, SearchConfig, TrainConfig)
        for item in _chosen(config)
        if (_metavar(get_type_hints(config)[item.name]) or "").endswith("...")
    }


def _values(config: type[Any], options: Any) -> dict[str, Any]:
    """The keyword arguments of a configuration from its options, without those that were not given."""
    found = {item.name: getattr(options, _option_name(config, item.name)) for item in _chosen(config)}
    left = _left_open(config)
    return {name: value for name, value in found.items() if not (name in left and value is None)}


def _made(config: type[C], given: Mapping[str, Any]) -> C:
    """A configuration. An error that begins with the name of a field begins with that of its option instead."""
    try:
        return config(**given)
    except ConfigError as error:
        raise ConfigError(re.sub(r"^\w+", lambda field: _option_name(config, field[0]), str(error))) from error


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
