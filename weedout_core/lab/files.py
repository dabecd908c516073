"""Files: written whole or not at all, whenever the process or the machine stops, and read without waiting for any."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from weedout_core.errors import RunError

#: What desktops, editors of disks and network drives leave in folders by themselves; a name that begins so is theirs.
_LEFT_BY_SYSTEMS = (
    *(".DS_Store", "._", ".localized", ".fseventsd", ".Spotlight-V100", ".Trash", ".TemporaryItems", ".directory"),
    *("Thumbs.db", "ehthumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
    *(".nfs", ".fuse_hidden", ".snapshot", ".zfs", "@eaDir", ".stfolder", ".dropbox", ".ipynb_checkpoints"),
)

PARTIAL = ".partial"  # the suffix of a file or folder while it is written; never read, deleted if writing fails


def real(path: Path) -> Path:
    """A path without links. Links that lead in a circle stay: whatever is done with it says that it cannot be read."""
    return Path(os.path.realpath(path))


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically: it holds its old content or all of the new. Raises RunError if it cannot be written."""
    with _explained(path) as partial:
        _discard(partial)
        _write_through(partial, content)
        os.replace(partial, path)
        _sync_folder(path.parent)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder of files {name: content} whole or not at all, in a folder that exists.

    Raises:
        RunError: it cannot be written.
    """
    with _explained(path) as partial:
        _discard(partial)
        partial.mkdir()
        for name, content in files.items():
            _write_through(partial / name, content)
        _sync_folder(partial)
        os.rename(partial, path)
        _sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents if they do not exist. Raises RunError if they cannot be made."""
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_folder(path: Path) -> None:
    """Delete a folder with its content if it exists. Raises RunError if it cannot be deleted."""
    with _explained(path):
        if exists(path):
            shutil.rmtree(path)


def check_folder(path: Path, remedy: str, link: bool = False) -> None:
    """Raise RunError, with what to do, if something else than a folder is at a path; a link to one if links may not."""
    if exists(path) and (not os.path.isdir(path) or (path.is_symlink() and not link)):
        raise RunError(f"{path} must be a folder{'' if link else ', and no link'}. {remedy}")


def read_file(path: Path) -> bytes:
    """The content of a file. Raises RunError if it cannot be read, or is a folder, a pipe or a device."""
    with _read(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise RunError(f"{path} cannot be read: it is no regular file.")
        return path.read_bytes()


def exists(path: Path) -> bool:
    """Whether anything is at a path, if only a link that leads nowhere. Raises RunError if that cannot be seen."""
    with _read(path), suppress(FileNotFoundError):
        path.lstat()
        return True
    return False


def listed(path: Path) -> list[str]:
    """The names of what is in a folder, in order, but for what systems leave there; none if there is no such folder.

    Raises:
        RunError: the folder cannot be read, or is none.
    """
    if not exists(path):
        return []
    with _read(path):
        return sorted(name for name in os.listdir(path) if not name.startswith(_LEFT_BY_SYSTEMS))


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a safetensors file of arrays by name, of any shape and order."""
    # The format needs arrays row by row. ascontiguousarray would give an array without axes one.
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def sha256(*parts: bytes) -> str:
    """The SHA-256 of bytes, one part after another, in hexadecimal."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()


@contextmanager
def _read(path: Path) -> Iterator[None]:
    """Say in one sentence why a path cannot be read."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise RunError(f"{path} cannot be read: it is larger than the memory.") from error


@contextmanager
def _explained(path: Path) -> Iterator[Path]:
    """The path to which new content is written first. It is deleted if writing fails, so that it fills no disk."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
    except OSError as error:
        with suppress(OSError):
            _discard(partial)
        raise RunError(f"{path} cannot be written: {why(error)}") from error


#: What to do where something cannot be written, by the error of the system.
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room there."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Allow it, or choose a folder that you may write to."),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP), "Remove what is there."),
}


def why(error: OSError) -> str:
    """Why something cannot be written, and what to do, as the end of a sentence and a further one."""
    remedy = _REMEDIES.get(error.errno or 0, "See to that, or choose another folder.")
    return f"{error.strerror or error}. What was there is kept. {remedy}"


def _discard(partial: Path) -> None:
    """Delete what an earlier process left, or anybody put there; of a link the link alone."""
    if partial.is_dir() and not partial.is_symlink():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Make renames in a folder durable. Windows has no such call, and keeps their order itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
