"""The progress of a run, drawn from its events: a live bar on a terminal, plain lines anywhere else."""

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
from weedout_core.lab.experiment.events import (
    ChoiceTrained,
    EpochTrained,
    Event,
    GenerationScored,
    GroupFinished,
    ModelStarted,
    PhaseStarted,
)
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.group import OnEvent
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.names import named
from weedout_core.lab.streams import printable

_PLAIN_EPOCHS = 5  # about this many epochs of a group get a line of their own without a terminal


def describe(config: ExperimentConfig, event: Event) -> str:
    """One line that describes an event."""
    prefix, repeats = f"sparsity {named(event.group.sparsity)}", config.repeats
    match event:
        case ModelStarted(_, repeat):
            return f"{prefix} · making the model {repeat + 1}/{repeats}"
        case PhaseStarted(_, phase, repeat):
            return f"{prefix} · {phase}" + ("" if repeat is None else f" {repeat + 1}/{repeats}")
        case GenerationScored(_, repeat, found):
            most = config.search.generations
            number = f"{found.generation + 1}"
            if most is not None:  # else nothing says where the search before training ended
                number += f"/{most}" if found.generation < most else " in training"
            return f"{prefix} · search {repeat + 1}/{repeats} · generation {number} · best fitness {found.best:.4f}"
        case ChoiceTrained(_, arm, repeat, one):
            number, train = f"{one.epoch}/{config.train.epochs}", _mean([one.train_accuracy])
            return f"{prefix} · {arm} {repeat + 1}/{repeats} · epoch {number} · train {train}"
        case EpochTrained(_, epochs, first, cells):
            train, test = (_mean([getattr(one, f"{split}_accuracy") for one in epochs]) for split in ("train", "test"))
            which = _repeats(event.group, repeats) + _networks(first, event.together, cells)
            shown = f"epoch {event.epoch}/{config.train.epochs} · train {train} · test {test}"
            return f"{prefix}{which} · {shown}{_diverged(epochs)}"
        case GroupFinished():
            return f"{prefix}{_repeats(event.group, repeats)} · done"


def _repeats(group: Group, repeats: int) -> str:
    """Which of the repeats a group has, or nothing if it has all."""
    if len(group.repeats) == repeats:
        return ""
    one = len(group.repeats) == 1
    return f" · repeat {group.end}/{repeats}" if one else f" · repeats {group.first + 1}-{group.end}/{repeats}"


def _networks(first: int, together: int, cells: int) -> str:
    """Which networks of the group are trained, or nothing if all are."""
    if together == cells:
        return ""
    which = f"network {first + 1}" if together == 1 else f"networks {first + 1}-{first + together}"
    return f" · {which} of {cells}"


def _mean(accuracies: Sequence[float]) -> str:
    """The mean of the finite accuracies, in %."""
    finite = [accuracy for accuracy in accuracies if math.isfinite(accuracy)]
    return f"{100 * fmean(finite):.2f} %" if finite else "nan"


def _diverged(epochs: Sequence[Epoch]) -> str:
    """How many networks have diverged, or nothing if none have."""
    diverged = sum(math.isnan(epoch.loss) or math.isnan(epoch.test_accuracy) for epoch in epochs)
    return f" · {diverged} of {len(epochs)} diverged" if diverged else ""


@contextmanager
def progress(experiment: Experiment, groups: Sequence[Group], console: Console) -> Iterator[OnEvent]:
    """Draw the events of some groups on a console.

    Args:
        experiment: the experiment.
        groups: the groups that are to be computed, in any order.
        console: where to draw: a bar with an estimate of the time left if it is a terminal, else lines.
    """
    if not console.is_terminal:
        yield _plain(experiment.config, console)
        return
    columns = (
        BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("left"),
        TextColumn("{task.description}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task, done = bar.add_task("", total=sum(steps(experiment, group) for group in groups)), 0.0
        places: dict[Group, float] = {}  # of the groups that are being computed

        def draw(event: Event) -> None:
            nonlocal done
            place, completed = _place(experiment, event), None
            if place is not None:
                places[event.group] = place
                completed = done + sum(places.values())
            bar.update(task, completed=completed, description=describe(experiment.config, event))
            done += places.pop(event.group) if isinstance(event, GroupFinished) else 0

        yield draw


def steps(experiment: Experiment, group: Group) -> float:
    """The length of a group on the bar: 1 for each choice of an arm, 1 for each epoch of all, and 1 for evaluation."""
    return len(experiment.arms) * len(group.repeats) + experiment.config.train.epochs + 1


def _place(experiment: Experiment, event: Event) -> float | None:
    """The position of an event on its group's part of the bar; None if the event does not move the bar."""
    names, repeats = [arm.name for arm in experiment.arms], event.group.repeats
    choices, epochs = len(names) * len(repeats), experiment.config.train.epochs
    match event:
        case PhaseStarted(_, arm, repeat) if repeat is not None:
            return float(names.index(arm) * len(repeats) + repeat - repeats.start)  # counted once it is over
        case EpochTrained(_, _, first, cells):
            return choices + (first * epochs + event.together * event.epoch) / cells
        case GroupFinished():
            return steps(experiment, event.group)
        case _:
            return None


def _plain(config: ExperimentConfig, console: Console) -> Callable[[Event], None]:
    last: dict[Group, GenerationScored] = {}

    def write(event: Event) -> None:
        match event:
            case GenerationScored():
                last[event.group] = event  # only the next phase shows which generation of a search was the last
            case PhaseStarted():
                if event.group in last:
                    write_line(console, describe(config, last.pop(event.group)))
            case ChoiceTrained() if event.epoch.epoch % max(1, config.train.epochs // _PLAIN_EPOCHS):
                return
            case EpochTrained() if event.epoch % _every(config, event) and event.epoch != config.train.epochs:
                return
            case _:
                write_line(console, describe(config, event))

    return write


def _every(config: ExperimentConfig, event: EpochTrained) -> int:
    """One in this many epochs gets a line."""
    lines = max(1, _PLAIN_EPOCHS * event.together // event.cells)
    return max(1, config.train.epochs // lines)


def write_line(console: Console, text: str) -> None:
    """Write lines as they are: no markup, no colours, no wrapping. What cannot be shown is escaped."""
    shown = "\n".join(map(printable, text.split("\n")))
    console.print(shown, markup=False, highlight=False, soft_wrap=True)


def warn(console: Console, sentence: str) -> None:
    """Write a warning as one line."""
    write_line(console, f"weedout: warning: {sentence}")


@contextmanager
def warnings_said(console: Console) -> Iterator[None]:
    """Write each of the library's warnings that arise inside this context as one line, when it first arises."""
    said = set[str]()

    def say(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in said:
            said.add(str(message))
            warn(console, str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", WeedoutWarning)
        warnings.showwarning = say
        yield
