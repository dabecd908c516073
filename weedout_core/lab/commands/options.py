"""What ``weedout`` may be asked for: the options of its commands, as they are read from a command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import tyro

from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Name, Positive
from weedout_core.lab.arms.judged import JudgeConfig, Method
from weedout_core.lab.commands.run_options import ProbeOptions, RunOptions
from weedout_core.lab.commands.sweep_points import Cell, Varied
from weedout_core.lab.experiment.configuration import ExperimentConfig


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
class VaryOptions:
    """What is varied. Without a method, Random Search is judged against random masks.

    Attributes:
        vary: an option that decides what is searched or trained, without "--", and two values of it or more. Several
            numbers in one value are quoted, as in hidden 64 "64 32"; an option without values has yes and no. Given
            several times, all combinations are points.
    """

    vary: Annotated[tuple[str, ...], tyro.conf.arg(metavar="OPTION VALUE VALUE ...")] = ()


class Point(NamedTuple):
    """A point of a sweep: what is varied there, the judgement, and the command line that carries it out alone.

    Of neither is the folder known yet.
    """

    cell: Cell
    options: JudgeOptions
    arguments: tuple[str, ...]


class SweepOptions(NamedTuple):
    """What ``weedout sweep`` was asked for: what is varied, the points, and the folder, if it was given."""

    varied: tuple[Varied, ...]
    points: tuple[Point, ...]
    out: Path | None


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
Asked = (
    PaperOptions | JudgeOptions | SweepOptions | PlanOptions | ConformOptions | ReportOptions | CompareOptions | None
)
