"""Checkpoints of a group: its progress so far, so that a process that is killed loses little.

A checkpoint is a safetensors file of arrays, with a manifest beside it that holds its SHA-256 and everything else. The
manifest is written last, and without it the checkpoint does not count. The last two checkpoints are kept. If one is
damaged, a warning names it, it is deleted, and the one before it is used. What cannot be read, or is of another group
or version, is no damage: it is refused, and stays.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load

from weedout_core import Network
from weedout_core.errors import RunError
from weedout_core.lab.experiment.so_far import NOTHING, Fetch, GroupProgress
from weedout_core.lab.files import listed, make_folder, packed, remove_folder, write_file
from weedout_core.lab.run.manifest import Verified
from weedout_core.lab.run.plain import as_progress, plain
from weedout_core.lab.run.sealed import DamagedError

_KEPT = 2


class Pace(NamedTuple):
    """How often a checkpoint is written.

    Attributes:
        minutes: write one when this many minutes have passed since the last, ≥ 0; 0 means after every generation and
            every epoch.
        epochs: also write one after every this many epochs, ≥ 1; None goes by the minutes alone.
    """

    minutes: float
    epochs: int | None


@dataclass
class Checkpoints:
    """The checkpoints of one group.

    Attributes:
        path: the folder of the checkpoints.
        owner: the run and the group that they belong to.
        parent: the parent of the run.
        pace: how often a checkpoint is written.
        warn: called with a sentence about a checkpoint that is damaged or cannot be written.
        check_place: raises RunError unless the run's folder is still where the run began.
        clock: gives seconds from any origin.
    """

    path: Path
    owner: Mapping[str, Any]
    parent: Network
    pace: Pace
    warn: Callable[[str], None]
    check_place: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    _written: float = field(init=False)
    _offered: Fetch | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._written = self.clock()

    def latest(self) -> GroupProgress:
        """The progress in the newest checkpoint that is not damaged; ``NOTHING`` if there is none.

        A damaged checkpoint is deleted: it would count as one of the two that are kept.

        Raises:
            RunError: a checkpoint cannot be read, or is of another run, group or version; a damaged one cannot be
                deleted.
        """
        for number in reversed(self._numbers()):
            try:
                return as_progress(*self._read(number), self.parent)
            except DamagedError as error:
                self.warn(f"{error.what} This checkpoint is deleted, and the one before it is used, if there is one.")
                self._delete(number)
        return NOTHING

    def offer(self, fetch: Fetch, epoch: int | None) -> None:
        """Remember the progress, and write a checkpoint if the pace asks for one; warn if it cannot be written.

        Args:
            fetch: fetches the progress, from the device if necessary.
            epoch: the number of epochs done; None while searching.
        """
        self._offered = fetch
        by_epoch = epoch is not None and self.pace.epochs is not None and epoch % self.pace.epochs == 0
        if by_epoch or self.clock() - self._written >= 60 * self.pace.minutes:
            try:
                self.flush()
            except RunError as error:
                self._written = self.clock()  # the next attempt is after ``pace.minutes``, not at the next offer
                self.warn(f"{error} The run goes on without this checkpoint.")

    def flush(self) -> None:
        """Write the progress that was offered last, unless it is written. Raises RunError if it cannot be written."""
        if self._offered is None:
            return
        self.check_place()
        arrays, facts = plain(self._offered())
        numbers = self._numbers()
        self._write(numbers[-1] + 1 if numbers else 1, arrays, facts)
        for old in self._numbers()[:-_KEPT]:
            self._delete(old)
        self._offered, self._written = None, self.clock()

    def remove(self) -> None:
        """Delete all checkpoints, because the group is committed."""
        remove_folder(self.path)

    def _numbers(self) -> list[int]:
        names = map(Path, listed(self.path))
        return sorted(int(name.stem) for name in names if name.suffix == ".json" and name.stem.isdecimal())

    def _delete(self, number: int) -> None:
        for path in (self._verified(number).manifest, self.path / _arrays(number)):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise RunError(f"{path} cannot be deleted: {error.strerror}. Delete it.") from error

    def _verified(self, number: int) -> Verified:
        remedy = f"Delete the folder {self.path}, and the same command computes this group again."
        return Verified(self.path / f"{number:06d}.json", self.owner, remedy)

    def _write(self, number: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        make_folder(self.path)
        content = packed(arrays)
        write_file(self.path / _arrays(number), content)
        verified = self._verified(number)
        write_file(verified.manifest, verified.described({_arrays(number): content}, progress=facts))

    def _read(self, number: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        verified = self._verified(number)
        return load(verified.read(_arrays(number))), verified.description()["progress"]


def _arrays(number: int) -> str:
    return f"{number:06d}.safetensors"
