"""The folder of a run. Groups are committed whole into ``groups/``; the tables above are assembled from them.

A process that is killed loses what came after its last checkpoint, and the same command continues. A group has a
manifest of its files, which is checked whenever it is read. ``timings.csv`` is the only file with clock times: every
other file is equal for equal runs, but for its checksum in the manifests and the command line in ``config.json``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors.numpy import save

from weedout_core.errors import RunError
from weedout_core.lab.experiment.group import GroupResult
from weedout_core.lab.experiment.rows import AnyRow, CurveRow, ResultRow, Row, SearchRow, TimingRow, from_csv, to_csv
from weedout_core.lab.files import PARTIAL, make_folder, read_file, remove_folder, write_file, write_folder
from weedout_core.lab.run.manifest import check_group, read_committed, with_manifest
from weedout_core.lab.run.record import Record, differences, record_from_json, record_to_json

_CONFIG, _LOCK, _GROUPS, _MASKS, _CHECKPOINTS = "config.json", ".lock", "groups", "masks", "checkpoints"
_PARAMETERS = "parameters"
_GROUP_MASKS = f"{_MASKS}.safetensors"
_TABLES: dict[str, type[AnyRow]] = {
    "results.csv": ResultRow,
    "curves.csv": CurveRow,
    "search.csv": SearchRow,
    "timings.csv": TimingRow,
}


@dataclass(frozen=True)
class RunFolder:
    """A run folder that this process alone works in. From :func:`open_run`.

    Attributes:
        path: where it is.
        record: its ``config.json``, as it stands there.
    """

    path: Path
    record: Record

    @property
    def sparsities(self) -> list[float]:
        """The run's groups, in order."""
        return [group["sparsity"] for group in self.record.groups]

    @property
    def committed(self) -> list[float]:
        """The groups that are done."""
        return [sparsity for sparsity in self.sparsities if self._group(sparsity).is_dir()]

    @property
    def without_parameters(self) -> list[float]:
        """The groups that are done and left no trained weights."""
        return [one for one in self.committed if not (self._group(one) / f"{_PARAMETERS}.safetensors").exists()]

    def checkpoints(self, sparsity: float) -> Path:
        """Where the progress of a group is kept while it is computed."""
        return self.path / _CHECKPOINTS / self._group(sparsity).name

    def commit(self, group: GroupResult, timings: Sequence[TimingRow], save_parameters: bool = False) -> None:
        """Keep a group, with its trained weights where asked, and bring the tables up to date."""
        rows = (group.results, group.curves, group.searches, timings)
        files = {name: to_csv(kind, rows[i]).encode() for i, (name, kind) in enumerate(_TABLES.items())}
        arrays = {_MASKS: group.masks, **({_PARAMETERS: group.parameters} if save_parameters else {})}
        for name, tree in arrays.items():
            files[f"{name}.safetensors"] = save({path: np.ascontiguousarray(value) for path, value in tree.items()})
        path = self._group(group.sparsity)
        write_folder(path, with_manifest(files, path.name, self.record.digest))
        remove_folder(self.checkpoints(group.sparsity))
        self.assemble()

    def assemble(self) -> None:
        """Write the tables and masks of the whole run from the groups that are done."""
        if len(self.committed) == len(self.sparsities):
            remove_folder(self.path / _CHECKPOINTS)
        for name, kind in _TABLES.items():
            write_file(self.path / name, to_csv(kind, self.rows(name, kind)).encode())
        make_folder(self.path / _MASKS)
        for sparsity in self.committed:
            name = f"{self._group(sparsity).name}.safetensors"
            write_file(self.path / _MASKS / name, self._read(sparsity, _GROUP_MASKS))

    def rows(self, name: str, kind: type[Row]) -> list[Row]:
        """The rows of a table over all groups that are done, by sparsity."""
        return [
            row
            for sparsity in self.committed
            for row in from_csv(kind, self._read(sparsity, name).decode(), str(self._group(sparsity) / name))
        ]

    def check(self) -> None:
        """Raise RunError unless all groups that are done are as they were committed."""
        for sparsity in self.committed:
            check_group(self._group(sparsity), self.record.digest, [*_TABLES, _GROUP_MASKS])

    def _read(self, sparsity: float, name: str) -> bytes:
        return read_committed(self._group(sparsity), self.record.digest, name)

    def _group(self, sparsity: float) -> Path:
        return self.path / _GROUPS / f"sparsity-{sparsity!r}"


@contextmanager
def open_run(path: Path, record: Record, allow_other_versions: bool = False) -> Iterator[RunFolder]:
    """Begin a run in a new or empty folder, or continue the same run in its own.

    Args:
        path: the folder.
        record: the run that is wanted. A run that is continued keeps its own: chunk and groups are not re-derived.
        allow_other_versions: continue under other library versions, which is then recorded.
    Raises:
        RunError: the folder holds another run or something else, its ``config.json`` or a group is damaged, the
            versions differ, or another process works in it. Nothing is written then.
    """
    _agreed(path, record, allow_other_versions)  # before the lock, so that nothing is written into a stranger's folder
    make_folder(path)
    lock = FileLock(path / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(f"{path} is in use by another process. Wait for it, or take another folder.") from error
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        found = _agreed(path, record, allow_other_versions)
        kept = record if found is None else _with_environment(found, record.environment)
        folder = RunFolder(path, kept)
        folder.check()
        if kept != found:
            write_file(path / _CONFIG, record_to_json(kept))
        make_folder(path / _GROUPS)
        yield folder
    finally:
        lock.release()


def _agreed(path: Path, wanted: Record, allow_other_versions: bool) -> Record | None:
    """The record in a folder if it is of the run that is wanted, None in a new or empty folder."""
    try:
        found = _record_in(path)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}. Take another folder.") from error
    if found is None:
        return None
    if different := differences(found.identity, wanted.identity):
        raise RunError(
            f"{path} holds a different run: {'; '.join(different)}. Take another folder, or give the same options."
        )
    if not allow_other_versions and (different := differences(found.environment, wanted.environment)):
        raise RunError(
            f"{path} was computed with other library versions: {'; '.join(different)}. Install those, "
            "or continue with --allow-other-versions; results may then differ in the last bits."
        )
    return found


def _record_in(path: Path) -> Record | None:
    """The record in a folder, None in a new or empty one."""
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} must be a folder; it is a file. Take another folder.")
    if (path / _CONFIG).exists():
        return record_from_json(read_file(path / _CONFIG).decode(errors="replace"), path / _CONFIG)
    # A process killed before it wrote config.json leaves these two.
    own = {_LOCK, _CONFIG + PARTIAL}
    strangers = sorted(item.name for item in path.iterdir() if item.name not in own) if path.is_dir() else []
    if strangers:
        raise RunError(f"{path} must be empty or hold a run; it holds {strangers[0]!r}. Take another folder.")
    return None


def _with_environment(record: Record, environment: dict[str, str]) -> Record:
    if environment in (record.environment, *record.other_environments):
        return record
    return record._replace(other_environments=[*record.other_environments, environment])
