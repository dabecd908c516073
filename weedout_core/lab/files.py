"""Atomic writing: a file is complete or absent, whenever the process or the machine stops."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from weedout_core.errors import RunError

PARTIAL = ".partial"  # the suffix of a file or folder while it is written; never read, deleted if writing fails


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically: it holds its old content or all of the new. Raises RunError if it cannot be written."""
    with _explained(path) as partial:
        _write_through(partial, content)
        os.replace(partial, path)
        _sync_folder(path.parent)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder of files {name: content} whole or not at all. Raises RunError if it cannot be written."""
    with _explained(path) as partial:
        _discard(partial)
        partial.mkdir(parents=True)
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
        if path.exists():
            shutil.rmtree(path)


def read_file(path: Path) -> bytes:
    """The content of a file. Raises RunError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from error


def sha256(*parts: bytes) -> str:
    """The SHA-256 of bytes, one part after another, in hexadecimal."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()


@contextmanager
def _explained(path: Path) -> Iterator[Path]:
    """The path to which new content is written first. It is deleted if writing fails, so that it fills no disk."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        yield partial
    except OSError as error:
        with suppress(OSError):
            _discard(partial)
        raise RunError(f"{path} cannot be written: {error.strerror}. Its earlier content is kept.") from error


def _discard(partial: Path) -> None:
    if partial.is_dir():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
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
