"""How a command line is read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, make_dataclass, replace
from functools import cache
from typing import Any

import tyro

from weedout_core import SearchConfig, TrainConfig
from weedout_core.errors import ConfigError
from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.arms.named import METHODS, REFERENCES
from weedout_core.lab.code.functions import checked_place
from weedout_core.lab.commands.fields import aliases, flags, made, options_named, options_of, several, takes, values
from weedout_core.lab.commands.one_sentence import check_command, one_sentence
from weedout_core.lab.commands.options import (
    Asked,
    CompareOptions,
    ConformOptions,
    JudgeOptions,
    MethodOptions,
    PaperOptions,
    PlanOptions,
    Point,
    ReportOptions,
    SweepOptions,
    VaryOptions,
)
from weedout_core.lab.commands.run_options import ProbeOptions, RunOptions
from weedout_core.lab.commands.several import check_several
from weedout_core.lab.commands.sweep_points import Cell, cells, divided
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.recipes import recipe
from weedout_core.lab.verdict.looks import check_family

_EXPERIMENT = (ExperimentConfig, SearchConfig, TrainConfig)
#: The options of an experiment that no sweep varies: how it is computed, and after how many repeats it is looked at.
_NEVER_VARIED = {"backend", "device", "devices", "together", "threads", "chunk", "repeats"}
#: What a sweep judges where no method is named: the paper's pair.
_UNNAMED = ("weedout", "--baseline", "random")


def parse(arguments: list[str]) -> Asked:
    """Read a command line.

    Raises:
        ConfigError: the command line cannot be read; a value is out of its range; an option of several values is
            given twice, with commas, or before a method; or a sweep has no points, too many, or two that are the same.
        SystemExit: the command line asks for help, which has been written.
    """
    return _sweep(arguments[1:]) if arguments[:1] == ["sweep"] else _parsed(arguments)


def _parsed(arguments: Sequence[str]) -> Asked:
    """What is asked for; of a sweep the judgement at one of its points."""
    configs = (*_EXPERIMENT, JudgeConfig, RunOptions)
    check_several(arguments, several(configs), ("arm", "masks"), flags(configs), (*METHODS, *REFERENCES))
    commands = _commands()
    check_command(arguments, commands)
    with one_sentence(" ".join(["weedout", *(word for word in arguments[:1] if word in commands)]), commands):
        parsed = tyro.extras.subcommand_cli_from_dict(
            commands, args=arguments, prog="weedout", description=_DESCRIPTION, config=(tyro.conf.OmitArgPrefixes,)
        )
    if isinstance(parsed, _DOCTOR):
        return None
    if isinstance(parsed, ConformOptions | ReportOptions | CompareOptions):
        return parsed
    if isinstance(parsed, commands["plan"]):
        config = _experiment(parsed)
        return PlanOptions(made(ProbeOptions, values(ProbeOptions, parsed.probe)), config)
    if isinstance(parsed, commands["paper"]):
        config = _experiment(parsed)
        return PaperOptions(made(RunOptions, values(RunOptions, parsed.run)), config)
    named, judging = parsed.methods, made(JudgeConfig, values(JudgeConfig, parsed.judging))
    config = _experiment(parsed, sparsity=judging.sparsity, repeats=judging.repeats[-1])
    run = made(RunOptions, values(RunOptions, parsed.run))
    for place in named.arm:
        checked_place(place, "arm")  # a name alone would be a method of this library
    return JudgeOptions((*named.methods, *named.arm, *named.masks), judging, run, config)


def _sweep(arguments: list[str]) -> SweepOptions:
    words, options = divided(arguments, aliases()), takes(_EXPERIMENT)
    for name in _NEVER_VARIED:
        del options[name]
    if not words.varied:
        _parsed(["sweep", *arguments])  # which shows the help, or says what else is wrong
    grid = cells(words, options, aliases())

    def judgement(cell: Cell, *more: str) -> JudgeOptions:
        found = _parsed(["sweep", *more, *words.kept, *words.out, *cell.words(options)])
        assert isinstance(found, JudgeOptions)
        return found

    unnamed = () if judgement(grid[0]).methods else _UNNAMED
    found = [judgement(cell, *unnamed) for cell in grid]
    seen: dict[Any, Cell] = {}
    for cell, one in zip(grid, found, strict=True):
        if (other := seen.setdefault((one.methods, one.judging, one.config), cell)) is not cell:
            raise ConfigError(f"the points of a sweep must differ; {other} and {cell} are the same. Give one of them.")
    comparisons = sum(len(one.methods) * len(one.judging.sparsity) for one in found)
    given = found[0].judging.family
    family = given or comparisons
    with options_named(JudgeConfig):
        check_family(family, comparisons)
    points = [
        Point(
            cell,
            one._replace(judging=replace(one.judging, family=family)),
            ("judge", *unnamed, *words.kept, *cell.words(options), *(() if given else ("--family", str(family)))),
        )
        for cell, one in zip(grid, found, strict=True)
    ]
    if found[0].run.coordinator is not None:
        raise ConfigError("--coordinator is for one run, and a sweep has several. Leave it out, or judge each point.")
    return SweepOptions(words.varied, tuple(points), found[0].run.out)


def _experiment(parsed: Any, **judged: Any) -> ExperimentConfig:
    """The experiment; what is judged in it is an option of another group."""
    search = made(SearchConfig, values(SearchConfig, parsed.search))
    given = values(TrainConfig, parsed.train)
    train = made(TrainConfig, recipe(parsed.experiment.network, parsed.experiment.dataset, given))
    given = values(ExperimentConfig, parsed.experiment)
    return made(ExperimentConfig, {"search": search, "train": train, **given, **judged})


_DESCRIPTION = (
    "Weedout: Random Search over sparse sub-networks, the neutral baseline for sparsity searches. "
    "weedout --version says which version it is."
)
_DOCTOR = make_dataclass("Doctor", [], namespace={"__doc__": "Show versions, backends, devices, and what is missing."})


_PAPER = (
    "Run the paper's experiment: Weedout's winners against random controls, at several sparsities. "
    "The same command continues a run that was interrupted."
)
_JUDGE = (
    "Judge methods against the baseline: is the network that a method chooses better, worse or equivalent when it is "
    "trained? The same command continues a run that was interrupted."
)
_SWEEP = (
    "Judge methods at each value of some options, such as the width or the population: one run for each point, and one "
    "page of all. The same command continues a sweep that was interrupted."
)
_PLAN = "Say what the paper's experiment with these options would take: size, memory, steps, and hours on this machine."


@cache  # it takes longer than to read a command line
def _commands() -> dict[str, type[Any]]:
    """The command lines of all commands, as dataclasses."""
    judged, left_out, methods = {"judging": JudgeConfig, "run": RunOptions}, ("sparsity", "repeats"), MethodOptions
    return {
        "paper": _command("Paper", _PAPER, {"run": RunOptions}),
        "judge": _command("Judge", _JUDGE, judged, left_out, {"methods": methods}),
        "sweep": _command("Sweep", _SWEEP, judged, left_out, {"varied": VaryOptions, "methods": methods}),
        "report": ReportOptions,
        "compare": CompareOptions,
        "plan": _command("Plan", _PLAN, {"probe": ProbeOptions}),
        "doctor": _DOCTOR,
        "conform": ConformOptions,
    }


def _command(
    name: str,
    text: str,
    more: Mapping[str, type[Any]],
    left_out: Collection[str] = (),
    first: Mapping[str, type[Any]] = {},
) -> type[Any]:
    """The command line of a command about the experiment, as a dataclass: each field is a group of options.

    The fields of the experiment that are left out are options of another group. The first groups are taken as they are.
    """
    parts = {"experiment": ExperimentConfig, "search": SearchConfig, "train": TrainConfig, **more}
    kinds = {part: options_of(kind, left_out if kind is ExperimentConfig else ()) for part, kind in parts.items()}
    groups = [(part, kind, field(default_factory=kind)) for part, kind in {**first, **kinds}.items()]
    return make_dataclass(name, groups, namespace={"__doc__": text})
