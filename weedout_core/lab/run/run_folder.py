"""The folder of a run. Finished groups are written whole into ``groups/``; the run's tables are assembled from them.

A process that is killed loses what came after its last checkpoint, and the same command continues the run. Whatever is
read back has a checksum: ``config.json`` its own, the files of a group in a manifest beside them. ``timings.csv`` is
the only file with clock times. All other files of equal runs are equal, except that ``config.json`` holds the command
line, and that the manifests hold the checksums of ``timings.csv``.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import load

from weedout_core.errors import RunError
from weedout_core.lab.experiment.group import GroupResult
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import (
    AnyRow,
    CurveRow,
    LeftOutRow,
    ResultRow,
    Row,
    SearchRow,
    TimingRow,
    from_csv,
    to_csv,
)
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.files import check_folder, exists, make_folder, packed, remove_folder, write_file, write_folder
from weedout_core.lab.run.cells import wrong
from weedout_core.lab.run.manifest import MANIFEST, Verified
from weedout_core.lab.run.record import Record, record_to_json
from weedout_core.lab.run.sealed import DamagedError

CONFIG, LOCK, GROUPS, MASKS, CHECKPOINTS = "config.json", ".lock", "groups", "masks", "checkpoints"
_PARAMETERS = "parameters"
_GROUP_MASKS = f"{MASKS}.safetensors"
_RARELY = 20  # what takes a second is done again after this many seconds: it grows with the groups that are done
#: The tables of a group, which are assembled to those of the run, with the kind of their rows.
TABLES: dict[str, type[AnyRow]] = {
    "results.csv": ResultRow,
    "curves.csv": CurveRow,
    "search.csv": SearchRow,
    "ledger.csv": LedgerRow,
    "left_out.csv": LeftOutRow,
    "thresholds.csv": ThresholdRow,
    "timings.csv": TimingRow,
}


@dataclass
class RunFolder:
    """A run folder. ``open_run`` makes one that is locked for this process, so that it may write.

    Attributes:
        path: the path of the folder.
        record: the content of its ``config.json``.
        check_place: raises RunError unless the path still leads to the folder that was opened, and no link elsewhere.
        clock: gives seconds from any origin.
        committed: the groups that are done, in order: those found when it was opened, and those committed since. One
            that is deleted meanwhile stays among them, so that it is missed.
    """

    path: Path
    record: Record
    check_place: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    committed: list[Group] = field(init=False)
    _owners: dict[Group, dict[str, Any]] = field(init=False)
    _places: dict[Group, int] = field(init=False)
    _due: float = field(default=-math.inf, init=False)

    def __post_init__(self) -> None:
        check_folder(self.path / GROUPS, "Remove it, and the command of the run computes what it lacks.", link=True)
        self._owners = self.record.owners
        self._places = {group: number for number, group in enumerate(self.groups)}
        try:
            self.committed = [group for group in self.groups if exists(self._folder(group))]
        except RunError as error:
            raise RunError(f"{error} Make it readable.") from error

    @property
    def groups(self) -> list[Group]:
        """All groups of the run, in the order in which they are computed."""
        return self.record.planned

    @property
    def without_parameters(self) -> list[Group]:
        """The groups that are done and whose trained weights were not kept."""
        wanted = f"{_PARAMETERS}.safetensors"
        return [one for one in self.committed if wanted not in self._verified(one).description()["sha256"]]

    def checkpoints(self, group: Group) -> Path:
        """The folder of a group's checkpoints while it is computed."""
        return self.path / CHECKPOINTS / group.folder

    def commit(self, group: GroupResult, timings: Sequence[TimingRow], save_parameters: bool = False) -> None:
        """Write a finished group, with its trained weights if asked, and now and then the tables of the run."""
        rows = (
            group.results, group.curves, group.searches, group.ledger, group.left_out, group.thresholds, timings,
        )  # fmt: skip
        files = {name: to_csv(kind, rows[i]).encode() for i, (name, kind) in enumerate(TABLES.items())}
        arrays = {MASKS: group.masks, **({_PARAMETERS: group.parameters} if save_parameters else {})}
        for name, tree in arrays.items():
            files[f"{name}.safetensors"] = packed(tree)
        self.check_place()
        make_folder(self.path / GROUPS)
        manifest = self._verified(group.group).described(files)
        write_folder(self._folder(group.group), {**files, MANIFEST: manifest})
        place = bisect_left(self.committed, self._places[group.group], key=self._places.__getitem__)
        if self.committed[place : place + 1] != [group.group]:
            self.committed.insert(place, group.group)
        remove_folder(self.checkpoints(group.group))
        if self.clock() >= self._due:
            self.assemble()

    def assemble(self) -> None:
        """Write the record, and the tables and masks of the whole run from the groups that are done.

        Raises:
            RunError: the folder is no longer where it was opened, or a group is not as it was committed.
        """
        begun = self.clock()
        self.check_place()
        write_file(self.path / CONFIG, record_to_json(self.record))
        if len(self.committed) == len(self.groups):
            remove_folder(self.path / CHECKPOINTS)
        for name, kind in TABLES.items():
            write_file(self.path / name, to_csv(kind, self.rows(name, kind)).encode())
        make_folder(self.path / MASKS)
        for sparsity in dict.fromkeys(group.sparsity for group in self.committed):
            self._assemble_masks(sparsity, [group for group in sorted(self.committed) if group.sparsity == sparsity])
        self._due = self.clock() + _RARELY * (self.clock() - begun)

    def _assemble_masks(self, sparsity: float, done: list[Group]) -> None:
        """Write the masks of a sparsity in the groups that are done."""
        masks = [load(self.read(group, _GROUP_MASKS)) for group in done]
        path = self.path / MASKS / f"{Group(sparsity, 0, 0).folder}.safetensors"
        write_file(path, packed({name: mask for some in masks for name, mask in some.items()}))

    def rows(self, name: str, kind: type[Row], done: Sequence[Group] | None = None) -> list[Row]:
        """The rows of a table for all groups that are done, or for some: by sparsity, by arm, and then by repeat."""
        rows = [
            row
            for group in sorted(self.committed if done is None else done)
            for row in from_csv(kind, self.read(group, name).decode(), str(self._folder(group) / name))
        ]
        order = {arm["name"]: number for number, arm in enumerate(self.record.identity["arms"])}
        return sorted(rows, key=lambda row: (row.sparsity, order.get(getattr(row, "arm", ""), 0)))

    def check(self) -> None:
        """Raise RunError unless all groups that are done are as they were committed, with the rows of the record."""
        for group in self.committed:
            verified = self._verified(group)
            verified.check([*TABLES, _GROUP_MASKS])
            tables = {name: self.rows(name, kind, [group]) for name, kind in TABLES.items()}
            for name, must in wrong(tables, self.record, group):
                raise DamagedError(f"{self._folder(group) / name} must have {must}.", verified.remedy)

    def read(self, group: Group, name: str) -> bytes:
        """The content of a file of a group that is done. Raises RunError if it is not as it was committed."""
        return self._verified(group).read(name)

    def _verified(self, group: Group) -> Verified:
        folder = self._folder(group)
        remedy = f"Remove the folder {folder}, and the command of the run computes that group again."
        return Verified(folder / MANIFEST, self._owners[group], remedy)

    def _folder(self, group: Group) -> Path:
        return self.path / GROUPS / group.folder
