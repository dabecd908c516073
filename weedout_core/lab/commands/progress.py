"""Progress while a run computes, drawn from its events: live on a terminal, plain lines anywhere else."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from weedout_core import Epoch
from weedout_core.errors import WeedoutWarning
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.events import EpochTrained, Event, GenerationScored, GroupFinished, PhaseStarted
from weedout_core.lab.experiment.group import OnEvent
from weedout_core.lab.experiment.names import named

_PLAIN_EPOCHS = 5  # about so many of a group's epochs get a line of their own where lines stay


def describe(config: ExperimentConfig, event: Event) -> str:
    """One line that says what is going on."""
    prefix = f"sparsity {named(event.sparsity)}"
    match event:
        case PhaseStarted(_, phase, repeat):
            return f"{prefix} · {phase}" + ("" if repeat is None else f" {repeat + 1}/{config.repeats}")
        case GenerationScored(_, repeat, found):
            most = config.search.generations
            number = f"{found.generation + 1}" + ("" if most is None else f"/{most}")
            return (
                f"{prefix} · search {repeat + 1}/{config.repeats} · generation {number} · best fitness {found.best:.4f}"
            )
        case EpochTrained(_, epochs, first, cells):
            train, test = ([getattr(epoch, f"{split}_accuracy") for epoch in epochs] for split in ("train", "test"))
            number = f"{event.epoch}/{config.train.epochs}"
            which, diverged = _networks(first, event.together, cells), _diverged(epochs)
            return f"{prefix}{which} · epoch {number} · train {_mean(train)} · test {_mean(test)}{diverged}"
        case GroupFinished():
            return f"{prefix} · done"


def _networks(first: int, together: int, cells: int) -> str:
    """Which networks are trained, where they are not all."""
    if together == cells:
        return ""
    which = f"network {first + 1}" if together == 1 else f"networks {first + 1}-{first + together}"
    return f" · {which} of {cells}"


def _mean(accuracies: Sequence[float]) -> str:
    """The mean of those that are finite, in %."""
    finite = [accuracy for accuracy in accuracies if math.isfinite(accuracy)]
    return f"{100 * fmean(finite):.2f} %" if finite else "nan"


def _diverged(epochs: Sequence[Epoch]) -> str:
    """How many networks have diverged, where some have."""
    diverged = sum(math.isnan(epoch.loss) or math.isnan(epoch.test_accuracy) for epoch in epochs)
    return f" · {diverged} of {len(epochs)} diverged" if diverged else ""


@contextmanager
def progress(config: ExperimentConfig, groups: int, console: Console) -> Iterator[OnEvent]:
    """Draw the events of some groups on a console.

    Args:
        config: the experiment.
        groups: how many are to be computed.
        console: a bar with an estimate of the time left if it is a terminal, else lines.
    """
    if not console.is_terminal:
        yield _plain(config, console)
        return
    columns = (
        BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("left"),
        TextColumn("{task.description}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task, done = bar.add_task("", total=groups * steps(config)), 0

        def draw(event: Event) -> None:
            nonlocal done
            place = _place(config, event)
            completed = None if place is None else done * steps(config) + place
            bar.update(task, completed=completed, description=describe(config, event))
            done += isinstance(event, GroupFinished)

        yield draw


def steps(config: ExperimentConfig) -> float:
    """The length of a group on the bar: one a search, one an epoch of all networks, one for measuring."""
    return config.repeats + config.train.epochs + 1


def _place(config: ExperimentConfig, event: Event) -> float | None:
    """How far along its group an event is, None where that is where it was."""
    match event:
        case PhaseStarted(_, "search", repeat):
            return float(repeat or 0)  # searches may stop early, so a step is counted when it is over
        case PhaseStarted(_, "control", _):
            return float(config.repeats)
        case EpochTrained(_, _, first, cells):
            return config.repeats + (first * config.train.epochs + event.together * event.epoch) / cells
        case GroupFinished():
            return steps(config)
        case _:
            return None


def _plain(config: ExperimentConfig, console: Console) -> Callable[[Event], None]:
    last: list[GenerationScored] = []

    def write(event: Event) -> None:
        match event:
            case GenerationScored():
                last[:] = [event]  # which is a search's last shows when the next phase begins
            case PhaseStarted():
                while last:
                    write_line(console, describe(config, last.pop()))
            case EpochTrained() if event.epoch % _every(config, event) and event.epoch != config.train.epochs:
                return
            case _:
                write_line(console, describe(config, event))

    return write


def _every(config: ExperimentConfig, event: EpochTrained) -> int:
    """Of how many epochs one gets a line."""
    lines = max(1, _PLAIN_EPOCHS * event.together // event.cells)
    return max(1, config.train.epochs // lines)


def write_line(console: Console, text: str) -> None:
    """One line as it is: no markup, no colours, no wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def warn(console: Console, sentence: str) -> None:
    """Say what the user should know, in a line."""
    write_line(console, f"weedout: warning: {sentence}")


@contextmanager
def warnings_said(console: Console) -> Iterator[None]:
    """Say each of the library's warnings, in a line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeedoutWarning)
        yield
    for warning in caught:
        warn(console, str(warning.message))
