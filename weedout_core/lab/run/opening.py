"""Opening the folder of a run: it must hold that run or nothing, is locked, and must stay where it is meanwhile."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from weedout_core.errors import RunError
from weedout_core.lab.files import PARTIAL, check_folder, listed, make_folder, real, why, write_file
from weedout_core.lab.run.record import (
    Record,
    differences,
    other_versions,
    read_record,
    record_to_json,
    with_environment,
)
from weedout_core.lab.run.run_folder import CHECKPOINTS, CONFIG, GROUPS, LOCK, MASKS, RunFolder


@contextmanager
def open_run(path: Path, record: Record, allow_other_versions: bool = False) -> Iterator[RunFolder]:
    """Begin a run in a new or empty folder, or continue the same run in its folder.

    Args:
        path: the folder.
        record: the run that is wanted. A run that is continued keeps its own record, with its chunk and its groups.
        allow_other_versions: whether to continue under other library versions; they are then recorded.
    Raises:
        RunError: the folder holds another run or other files, or lies in the folder of another run; its ``config.json``
            or a group is damaged; the versions differ; or another process uses it. Nothing is written then.
    """
    check_outside(path)
    agreed(path, record, allow_other_versions)  # before locking, which writes a file: the folder may not be a run's
    with locked(path):
        found = agreed(path, record, allow_other_versions)
        kept = record if found is None else with_environment(found, record.environment)
        folder = RunFolder(path, kept, _place(path))
        folder.check_place()
        folder.check()
        if kept != found:
            write_file(path / CONFIG, record_to_json(kept))
        make_folder(path / GROUPS)
        yield folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Make a folder, and keep other processes from writing there. Raises RunError if one does, or it cannot be made."""
    make_folder(path)
    lock = FileLock(path / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(f"{path} is in use by another process. Wait for it, or choose another with --out.") from error
    except OSError as error:
        raise RunError(f"{path / LOCK} cannot be written: {why(error)}") from error
    try:
        yield
    finally:
        lock.release()


def _place(path: Path) -> Callable[[], None]:
    """What raises RunError unless a locked folder is where it is now, and nothing is written elsewhere by a link.

    It is known by its lock, which this process holds open, so that no other file is taken for it meanwhile.
    """
    folder = path.absolute()  # an arm may leave the folder
    held = (folder / LOCK).stat()

    def check() -> None:
        try:
            same = os.path.samestat(held, (folder / LOCK).stat())
        except OSError:
            same = False
        if not same:
            raise RunError(
                f"{folder} must stay the folder in which this run began, with its file {LOCK}; it was moved, deleted "
                "or replaced. Move it back, and the same command continues."
            )
        begun = folder / CHECKPOINTS
        for inner in (folder / GROUPS, folder / MASKS, begun, *(begun / name for name in listed(begun))):
            check_folder(inner, "Put a folder in its place.")

    return check


def check_outside(path: Path) -> None:
    """Raise RunError if a folder lies in the folder of a run, which deletes and replaces what is in its own."""
    for above in real(path).parents:
        if os.path.isfile(above / CONFIG) and os.path.isdir(above / GROUPS):
            raise RunError(f"{path} lies in the folder of the run {above}. Choose another with --out.")


def agreed(path: Path, wanted: Record, allow_other_versions: bool) -> Record | None:
    """The record in a folder, None if it is new or empty. Raises RunError if it is not that of the wanted run."""
    found = _record_in(path)
    if found is None:
        return None
    if different := differences(found.identity, wanted.identity):
        begun = path / CHECKPOINTS
        if not listed(path / GROUPS) and not any(listed(begun / group) for group in listed(begun)):
            return None  # nothing was computed
        raise RunError(
            f"{path} holds a different run: {'; '.join(different)}. Give the same options and sources as its {CONFIG} "
            "says, or another --out."
        )
    if not allow_other_versions and (different := other_versions(found.environment, wanted.environment)):
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
    if CONFIG in names:
        return read_record(path / CONFIG)
    # A process killed before it wrote config.json leaves these two.
    if strangers := [name for name in names if name not in (LOCK, CONFIG + PARTIAL)]:
        raise RunError(
            f"{path} must be empty or hold a run with its {CONFIG}; it holds {strangers[0]!r}. Choose another with "
            "--out."
        )
    return None
