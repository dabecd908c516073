"""A run that several processes compute in lockstep, each with devices of its own, on one host or on several.

Process 0 leads: it alone has the run's folder, writes and prints. It tells the other processes which group comes next,
and the progress from which that goes on; then all of them compute the group with the same calls. They need not see the
folder. One process that computes by itself leads nobody: it is the case without others.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load

from weedout_core import Network
from weedout_core.backend import Backend, Peers
from weedout_core.errors import RunError, WeedoutError, WorkerError
from weedout_core.lab import signals
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.engines.unit import compute_group
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.so_far import Fetch, GroupProgress
from weedout_core.lab.experiment.threads import check_threads
from weedout_core.lab.files import packed
from weedout_core.lab.run.checkpoints import Checkpoints
from weedout_core.lab.run.plain import as_progress, plain
from weedout_core.lab.run.record import Record, differences, other_versions, record_from_json, record_to_json
from weedout_core.lab.streams import StreamError

_FAILED = b"failed"  # in place of a group: process 0 has an error to tell


class Lead:
    """Inside this context the other processes compute along; it begins when all agree on the run.

    Raises:
        RunError: another process would compute something else.
    """

    def __init__(self, peers: Peers, record: Record) -> None:
        self._peers, self._record, self._inside = peers, record, False

    def __enter__(self) -> "Lead":
        self._peers.broadcast(record_to_json(self._record))
        _agree(self._peers, None)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        asked = b"" if kind is None else _FAILED
        if kind is KeyboardInterrupt:
            signals.end_begins()
            asked = str(signals.noted() or "").encode()
        if not self._inside:
            self._peers.broadcast(asked)  # in place of a group
        if not self._inside or kind is KeyboardInterrupt:
            self._peers.leave()

    @contextmanager
    def group(self, group: Group, kept: Checkpoints) -> "Iterator[_Leading]":
        """A context in which all processes compute a group: the group's checkpoints, of which the others are told.

        Raises:
            WorkerError: the processes could not compute it together; the progress is in a checkpoint if possible.
        """
        self._inside = True
        try:
            with _in_step(self._peers):
                yield _Leading(self._peers, group, kept)
        except WorkerError:
            with suppress(Exception):  # of whatever is lost with the other process
                kept.flush()
            raise
        self._inside = False


def follow(
    experiment: Experiment, net: Network, own: Record, dataset: Dataset, backend: Backend, any_version: bool
) -> None:
    """Compute along with process 0 until it ends the run.

    Args:
        experiment, net, dataset, backend: what this process computes with.
        own: the record of the run that this process would begin.
        any_version: whether this process may have other versions of libraries than process 0.
    Raises:
        RunError: this process, or another one, would compute something else than process 0.
        WorkerError: the processes could not compute a group together, or process 0 failed between two.
        KeyboardInterrupt: one of the processes is asked to end.
    """
    peers = backend.peers
    record = record_from_json(peers.broadcast(b""), Path("the record of process 0"))
    _agree(peers, _objection(own, record, backend, any_version))
    try:
        with _in_step(peers):
            while b"\n" in (order := peers.broadcast(b"")):
                group, progress = _read(order, net)
                kept = _Following(peers, progress)
                compute_group(experiment, record.decided(group), group, dataset, backend, kept)
            if order.isdigit():
                signals.end_as(int(order))
    except KeyboardInterrupt:
        peers.leave()
        raise
    peers.leave()
    if order == _FAILED:
        raise WorkerError(f"process 0 failed between two groups, and says why; {signals.KEPT}")


def _objection(own: Record, leader: Record, backend: Backend, any_version: bool) -> str | None:
    """Why a process cannot compute along with process 0, in a sentence; None if it can."""
    what, remedy = differences(leader.identity, own.identity), "Give all of them the same options, data and sources."
    if not what and not any_version:
        what, remedy = other_versions(leader.environment, own.environment), "Install the same versions everywhere."
    if what:
        return f"it must compute what process 0 computes; there and here differ: {'; '.join(what)}. {remedy}"
    try:
        check_threads(leader.threads, backend)
    except RunError as error:
        return str(error)
    return None


def _agree(peers: Peers, objection: str | None) -> None:
    """Raise RunError in all processes if one of them objects."""
    told = peers.gather(b"" if objection is None else f"{platform.node()}: {objection}".encode())
    for number, said in enumerate(told):
        if said:
            peers.leave()
            raise RunError(f"process {number} on {said.decode(errors='ignore')}")


@contextmanager
def _in_step(peers: Peers) -> Iterator[None]:
    """A context in which signals wait for a moment at which all processes can end, and what is lost is a sentence."""
    if peers.size == 1:
        yield
        return
    with signals.deferred():
        try:
            yield
        except (WeedoutError, MemoryError, StreamError):
            raise
        except Exception as error:  # of the backend's library, when it does not reach another process
            why = f"{type(error).__name__}: {error}".split("\n")[0]
            raise WorkerError(
                f"{peers.size} processes computed together, and one of them was lost or failed ({why}); {signals.KEPT}"
            ) from error


def _end_if_asked(peers: Peers) -> None:
    """Raise KeyboardInterrupt in all processes if one of them was asked to end."""
    for asked in filter(None, peers.gather(str(signals.noted() or "").encode())):
        signals.end_as(int(asked))


@dataclass
class _Leading:
    """The checkpoints of a group in process 0."""

    peers: Peers
    group: Group
    kept: Checkpoints

    @property
    def path(self) -> Path:
        return self.kept.path

    def latest(self) -> GroupProgress:
        progress = self.kept.latest()
        self.peers.broadcast(_order(self.group, progress))
        return progress

    def offer(self, fetch: Fetch, epoch: int | None) -> None:
        self.kept.offer(fetch, epoch)
        _end_if_asked(self.peers)

    def flush(self) -> None:
        self.kept.flush()


@dataclass
class _Following:
    """In any other process: the progress that it was told of, and no checkpoints."""

    peers: Peers
    progress: GroupProgress
    path: Path = Path("the checkpoint of process 0")

    def latest(self) -> GroupProgress:
        return self.progress

    def offer(self, fetch: Fetch, epoch: int | None) -> None:
        _end_if_asked(self.peers)

    def flush(self) -> None:
        pass


def _order(group: Group, progress: GroupProgress) -> bytes:
    """A group to compute and its progress: a line of JSON, and arrays in the format of a checkpoint."""
    arrays, facts = plain(progress)
    return json.dumps([group, facts]).encode() + b"\n" + packed(arrays)


def _read(order: bytes, parent: Network) -> tuple[Group, GroupProgress]:
    line, _, content = order.partition(b"\n")
    group, facts = json.loads(line)
    arrays: Mapping[str, np.ndarray[Any, Any]] = load(content)
    return Group(*group), as_progress(arrays, facts, parent)
