"""The options of the command, and how a command line is read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro

from weedout_core import SearchConfig, TrainConfig
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Name, Positive
from weedout_core.lab.arms.judged import JudgeConfig, Method
from weedout_core.lab.arms.named import METHODS, REFERENCES
from weedout_core.lab.code.functions import checked_place
from weedout_core.lab.commands.fields import flags, made, options_of, several, values
from weedout_core.lab.commands.one_sentence import check_command, one_sentence
from weedout_core.lab.commands.run_options import ProbeOptions, RunOptions
from weedout_core.lab.commands.several import check_several
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.recipes import recipe


class PaperOptions(NamedTuple):
    """What ``weedout paper`` was asked for: where the run lives, and the experiment."""

    run: RunOptions
    config: ExperimentConfig


class PlanOptions(NamedTuple):
    """What ``weedout plan`` was asked for: what to measure, and the experiment."""

    probe: ProbeOptions
    config: ExperimentConfig


@dataclass(frozen=True)
class MethodOptions:
    """What is judged. Methods of this library: magnitude, magnitude_after_training, snip, synflow, small_dense, dense.

    Attributes:
        methods: methods of this library, by name.
        arm: functions of your own, each as package.module:function, looked for in the present folder too.
        masks: folders of masks of your own, with a file sparsity-0.8-repeat-0.safetensors for each sparsity and repeat.
    """

    methods: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="METHOD ...")] = ()
    arm: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MODULE:FUNCTION ...")] = ()
    masks: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FOLDER ...")] = ()

    def __post_init__(self) -> None:
        convert_fields(self)


class JudgeOptions(NamedTuple):
    """What ``weedout judge`` was asked for: the methods, how they are judged, where the run lives, the experiment."""

    methods: tuple[Method, ...]
    judging: JudgeConfig
    run: RunOptions
    config: ExperimentConfig


@dataclass(frozen=True)
class ConformOptions:
    """Compare a backend, your own included, with the reference: run every check of the conformance kit.

    Attributes:
        name: the backend's registered name.
        device: the kind of device, "cpu", "gpu" or "tpu"; None takes the backend's default.
        devices: the number of devices that share each population and each training batch, ≥ 1.
        examples: the number of examples that each check tries, ≥ 1; costly checks try fewer.
    """

    name: Annotated[tyro.conf.Positional[Name], tyro.conf.arg(metavar="NAME")]
    device: Name | None = None
    devices: Positive = 1
    examples: Positive = 50


@dataclass(frozen=True)
class ReportOptions:
    """Make one page of a run, finished or not: what it says, with all figures, and the numbers behind them as CSV.

    Attributes:
        run: the run's folder; its own files are only read.
        out: the folder for report.html and the folder report beside it; None means the run's.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    out: Path | None = None

    def __post_init__(self) -> None:
        convert_fields(self)


@dataclass(frozen=True)
class CompareOptions:
    """Make one page of two or more runs, finished or not: do they agree, and what differs in what was run?

    Attributes:
        runs: the folders of the runs, which are only read; each other run is compared with the first.
        out: the folder for comparison.html, its figures and its numbers; it may be in none of the runs.
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN ...")]
    out: Path = Path("comparison")

    def __post_init__(self) -> None:
        convert_fields(self)


#: What ``weedout`` was asked for; None is ``weedout doctor``.
Asked = PaperOptions | JudgeOptions | PlanOptions | ConformOptions | ReportOptions | CompareOptions | None


def parse(arguments: list[str]) -> Asked:
    """Read a command line.

    Raises:
        ConfigError: the command line cannot be read; a value is out of its range; or an option of several values is
            given twice, with commas, or before a method.
        SystemExit: the command line asks for help, which has been written.
    """
    configs = (ExperimentConfig, SearchConfig, TrainConfig, JudgeConfig, RunOptions)
    check_several(arguments, several(configs), ("arm", "masks"), flags(configs), (*METHODS, *REFERENCES))
    paper, plan = _command("Paper", _PAPER, {"run": RunOptions}), _command("Plan", _PLAN, {"probe": ProbeOptions})
    judge = _command("Judge", _JUDGE, {"judging": JudgeConfig, "run": RunOptions}, ("sparsity", "repeats"))
    judge = make_dataclass("Judge", [("methods", MethodOptions, field(default_factory=MethodOptions))], bases=(judge,))
    judge.__doc__ = _JUDGE
    commands = {
        "paper": paper, "judge": judge, "report": ReportOptions, "compare": CompareOptions, "plan": plan,
        "doctor": _DOCTOR, "conform": ConformOptions,
    }  # fmt: skip
    check_command(arguments, commands)
    with one_sentence(" ".join(["weedout", *(word for word in arguments[:1] if word in commands)]), commands):
        parsed = tyro.extras.subcommand_cli_from_dict(
            commands, args=arguments, prog="weedout", description=_DESCRIPTION, config=(tyro.conf.OmitArgPrefixes,)
        )
    if isinstance(parsed, _DOCTOR):
        return None
    if isinstance(parsed, ConformOptions | ReportOptions | CompareOptions):
        return parsed
    config = _experiment(parsed)
    if isinstance(parsed, plan):
        return PlanOptions(made(ProbeOptions, values(ProbeOptions, parsed.probe)), config)
    run = made(RunOptions, values(RunOptions, parsed.run))
    if isinstance(parsed, paper):
        return PaperOptions(run, config)
    named, judging = parsed.methods, made(JudgeConfig, values(JudgeConfig, parsed.judging))
    for place in named.arm:
        checked_place(place, "arm")  # a name alone would be a method of this library
    return JudgeOptions((*named.methods, *named.arm, *named.masks), judging, run, config)


def _experiment(parsed: Any) -> ExperimentConfig:
    search = made(SearchConfig, values(SearchConfig, parsed.search))
    given = values(TrainConfig, parsed.train)
    train = made(TrainConfig, recipe(parsed.experiment.network, parsed.experiment.dataset, given))
    return made(ExperimentConfig, {"search": search, "train": train, **values(ExperimentConfig, parsed.experiment)})


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
_PLAN = "Say what the paper's experiment with these options would take: size, memory, steps, and hours on this machine."


def _command(name: str, text: str, more: Mapping[str, type[Any]], left_out: Collection[str] = ()) -> type[Any]:
    """The command line of a command about the experiment, as a dataclass: each field is a group of options.

    The fields of the experiment that are left out are options of another group.
    """
    parts = {"experiment": ExperimentConfig, "search": SearchConfig, "train": TrainConfig, **more}
    kinds = {part: options_of(kind, left_out if kind is ExperimentConfig else ()) for part, kind in parts.items()}
    return make_dataclass(
        name, [(part, kind, field(default_factory=kind)) for part, kind in kinds.items()], namespace={"__doc__": text}
    )
