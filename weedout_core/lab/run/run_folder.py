"""The folder of a run. Finished groups are written whole into ``groups/``; the run's tables are assembled from them.

A process that is killed loses what came after its last checkpoint, and the same command continues the run. Whatever is
read back has a checksum: ``config.json`` its own, the files of a group in a manifest beside them. ``timings.csv`` is
the only file with clock times. All other files of equal runs are equal, except that ``config.json`` holds the command
line, and that the manifests hold the checksums of ``timings.csv``.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors.numpy import save

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
from weedout_core.lab.files import (
    PARTIAL,
    exists,
    listed,
    make_folder,
    read_file,
    remove_folder,
    write_file,
    write_folder,
)
from weedout_core.lab.run.cells import wrong
from weedout_core.lab.run.manifest import MANIFEST, Verified
from weedout_core.lab.run.record import Record, differences, record_from_json, record_to_json
from weedout_core.lab.run.sealed import DamagedError

_CONFIG, _LOCK, _GROUPS, _MASKS, _CHECKPOINTS = "config.json", ".lock", "groups", "masks", "checkpoints"
_PARAMETERS = "parameters"
_GROUP_MASKS = f"{_MASKS}.safetensors"
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
    """A run folder. :func:`open_run` makes one that is locked for this process, so that it may write.

    Attributes:
        path: the path of the folder.
        record: the content of its ``config.json``.
        check_place: raises RunError unless the path still leads to the folder that was opened.
        committed: the groups that are done, in order: those found when it was opened, and those committed since. One
            that is deleted meanwhile stays among them, so that it is missed.
    """

    path: Path
    record: Record
    check_place: Callable[[], None] = lambda: None
    committed: list[Group] = field(init=False)

    def __post_init__(self) -> None:
        self.committed = [group for group in self.groups if exists(self._folder(group))]

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
        return self.path / _CHECKPOINTS / group.folder

    def commit(self, group: GroupResult, timings: Sequence[TimingRow], save_parameters: bool = False) -> None:
        """Write a finished group, with its trained weights if asked, and update the tables of the run."""
        rows = (
            group.results, group.curves, group.searches, group.ledger, group.left_out, group.thresholds, timings,
        )  # fmt: skip
        files = {name: to_csv(kind, rows[i]).encode() for i, (name, kind) in enumerate(TABLES.items())}
        arrays = {_MASKS: group.masks, **({_PARAMETERS: group.parameters} if save_parameters else {})}
        for name, tree in arrays.items():
            files[f"{name}.safetensors"] = save({path: np.ascontiguousarray(value) for path, value in tree.items()})
        self.check_place()
        make_folder(self.path / _GROUPS)
        manifest = self._verified(group.group).described(files)
        write_folder(self._folder(group.group), {**files, MANIFEST: manifest})
        self.committed = [one for one in self.groups if one in (*self.committed, group.group)]
        remove_folder(self.checkpoints(group.group))
        self.assemble()

    def assemble(self) -> None:
        """Write the record, and the tables and masks of the whole run from the groups that are done.

        Raises:
            RunError: the folder is no longer where it was opened, or a group is not as it was committed.
        """
        self.check_place()
        write_file(self.path / _CONFIG, record_to_json(self.record))
        if len(self.committed) == len(self.groups):
            remove_folder(self.path / _CHECKPOINTS)
        for name, kind in TABLES.items():
            write_file(self.path / name, to_csv(kind, self.rows(name, kind)).encode())
        make_folder(self.path / _MASKS)
        for group in self.committed:
            write_file(self.path / _MASKS / f"{group.folder}.safetensors", self.read(group, _GROUP_MASKS))

    def rows(self, name: str, kind: type[Row], done: Sequence[Group] | None = None) -> list[Row]:
        """The rows of a table for all groups that are done, or for some, by sparsity, and within one by repeat."""
        return [
            row
            for group in sorted(self.committed if done is None else done)
            for row in from_csv(kind, self.read(group, name).decode(), str(self._folder(group) / name))
        ]

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
        remedy = f"Remove the folder {folder}, and the command of the run computes that sparsity again."
        return Verified(folder / MANIFEST, self.record.owner(group), remedy)

    def _folder(self, group: Group) -> Path:
        return self.path / _GROUPS / group.folder


@contextmanager
def open_run(path: Path, record: Record, allow_other_versions: bool = False) -> Iterator[RunFolder]:
    """Begin a run in a new or empty folder, or continue the same run in its folder.

    Args:
        path: the folder.
        record: the run that is wanted. A run that is continued keeps its own record, with its chunk and its groups.
        allow_other_versions: whether to continue under other library versions; they are then recorded.
    Raises:
        RunError: the folder holds another run or other files, its ``config.json`` or a group is damaged, the versions
            differ, or another process uses the folder. Nothing is written then.
    """
    _agreed(path, record, allow_other_versions)  # before locking, which writes a file: the folder may not be a run's
    make_folder(path)
    lock = FileLock(path / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(f"{path} is in use by another process. Wait for it, or choose another with --out.") from error
    except OSError as error:
        raise RunError(f"{path / _LOCK} cannot be written: {error.strerror}. Remove it.") from error
    try:
        found = _agreed(path, record, allow_other_versions)
        kept = record if found is None else _with_environment(found, record.environment)
        folder = RunFolder(path, kept, _place((path / _LOCK).absolute()))
        folder.check()
        _check_links(path)
        if kept != found:
            write_file(path / _CONFIG, record_to_json(kept))
        make_folder(path / _GROUPS)
        yield folder
    finally:
        lock.release()


def _check_links(path: Path) -> None:
    """Raise RunError if a folder that is written into is a link: what it leads to may be another run's."""
    begun = path / _CHECKPOINTS
    for inner in (path / _GROUPS, path / _MASKS, begun, *(begun / name for name in listed(begun))):
        if inner.is_symlink():
            raise RunError(
                f"{inner} must be a folder, and no link. Put the folder in its place, or choose another --out."
            )


def _place(lock: Path) -> Callable[[], None]:
    """What raises RunError unless a file that this process holds open, by which its folder is known, is in its place.

    While it is open, no other file is taken for it.
    """
    held = lock.stat()

    def check() -> None:
        try:
            if os.path.samestat(held, lock.stat()):
                return
        except OSError:
            pass  # the sentence below says it
        raise RunError(
            f"{lock.parent} must stay the folder in which this run began, with its file {lock.name}; it was moved, "
            "deleted or replaced. Move it back, and the same command continues."
        )

    return check


def _agreed(path: Path, wanted: Record, allow_other_versions: bool) -> Record | None:
    """The record in a folder, None if it is new or empty. Raises RunError if it is not that of the wanted run."""
    found = _record_in(path)
    if found is None:
        return None
    if different := differences(found.identity, wanted.identity):
        begun = path / _CHECKPOINTS
        if not listed(path / _GROUPS) and not any(listed(begun / group) for group in listed(begun)):
            return None  # nothing was computed
        raise RunError(
            f"{path} holds a different run: {'; '.join(different)}. Give the same options and sources as its {_CONFIG} "
            "says, or another --out."
        )
    if not allow_other_versions and (different := differences(found.environment, wanted.environment)):
        raise RunError(
            f"{path} was computed with other library versions: {'; '.join(different)}. Install those, "
            "or continue with --allow-other-versions; results may then differ in the last bits."
        )
    return found


def _record_in(path: Path) -> Record | None:
    """The record in a folder, None in a new or empty one."""
    try:
        names = listed(path)
    except RunError as error:
        raise RunError(f"{error} Choose another folder with --out.") from error
    if _CONFIG in names:
        return record_from_json(read_file(path / _CONFIG), path / _CONFIG)
    # A process killed before it wrote config.json leaves these two.
    if strangers := [name for name in names if name not in (_LOCK, _CONFIG + PARTIAL)]:
        raise RunError(
            f"{path} must be empty or hold a run with its {_CONFIG}; it holds {strangers[0]!r}. Choose another with "
            "--out."
        )
    return None


def _with_environment(record: Record, environment: dict[str, str]) -> Record:
    if environment in (record.environment, *record.other_environments):
        return record
    return record._replace(other_environments=[*record.other_environments, environment])
