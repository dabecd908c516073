"""One group, computed whole: from its last checkpoint, with the seconds that its phases took."""

import time
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from weedout_core.backend import Backend
from weedout_core.errors import ConfigError, RunError
from weedout_core.lab import signals
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.decided import Decided
from weedout_core.lab.experiment.events import Event
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.group import GroupResult, OnEvent, run_group
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.rows import TimingRow
from weedout_core.lab.experiment.so_far import NOTHING, Fetch, GroupProgress
from weedout_core.lab.experiment.threads import with_threads
from weedout_core.lab.experiment.timings import Stopwatch
from weedout_core.lab.streams import StreamError


class UnfinishedError(RunError):
    """A group stopped in the middle, as where an arm failed; what was done is in a checkpoint."""


@runtime_checkable
class Kept(Protocol):
    """The checkpoints of a group, as :class:`weedout_core.lab.run.checkpoints.Checkpoints` has them."""

    @property
    def path(self) -> Path: ...
    def latest(self) -> GroupProgress: ...
    def offer(self, fetch: Fetch, epoch: int | None) -> None: ...
    def flush(self) -> None: ...


class Computed(NamedTuple):
    """A group that is computed and not yet committed."""

    result: GroupResult
    timings: tuple[TimingRow, ...]


def compute_group(
    experiment: Experiment,
    decided: Decided,
    group: Group,
    dataset: Dataset,
    backend: Backend,
    kept: Kept,
    on_event: OnEvent = lambda event: None,
) -> Computed:
    """Compute a group: a pure function but for its checkpoints and its seconds.

    Args:
        experiment, decided, group, dataset, backend: as for ``run_group``.
        kept: the group's checkpoints, from which it goes on.
        on_event: called with each event as it happens.
    Raises:
        UnfinishedError: an arm failed, or a checkpoint cannot be written; what was done is in one if that is possible.
        RunError: a checkpoint cannot be read, or is another training's.
        KeyboardInterrupt: the process is asked to end; what was done is in a checkpoint.
    """
    stopwatch = Stopwatch(time.perf_counter, backend.compile_seconds)

    def timed(event: Event) -> None:
        stopwatch(event)
        on_event(event)

    resume = kept.latest()
    try:
        with with_threads(decided.threads):
            result = run_group(experiment, decided, group, dataset, backend, timed, resume, kept.offer)
    except (KeyboardInterrupt, StreamError):
        signals.end_begins()
        kept.flush()
        raise
    except RunError as error:
        kept.flush()
        raise UnfinishedError(str(error)) from error
    except ConfigError as error:
        if resume is NOTHING:
            raise
        # Other versions of a library may draw initial weights that differ in the last bits.
        raise RunError(
            f"{kept.path} holds another training: {error} Delete that folder, and the same command computes this "
            "group again."
        ) from error
    return Computed(result, tuple(stopwatch.rows))
