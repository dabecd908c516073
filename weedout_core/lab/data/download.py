"""Datasets from the network: downloaded once, checked against their checksums, kept in the user's cache.

A file is written to a temporary place and moved into the cache once its checksum is right, so that an incomplete or
damaged download is neither used nor left behind.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from weedout_core.errors import DataError, WeedoutWarning
from weedout_core.lab.data.download_bar import download_bar
from weedout_core.lab.data.published import PUBLISHED, Published
from weedout_core.lab.data.reading import checked_size
from weedout_core.lab.data.transfer import TransferError, pieces, reason
from weedout_core.lab.data.unpack import unpack


def downloaded(name: str) -> Path:
    """The folder in the cache that holds a dataset's files, after downloading those that are missing.

    The cache is the folder in the environment variable ``WEEDOUT_CACHE``, or else the user's cache folder.

    Raises:
        DataError: pooch is not installed, the cache cannot be written, or no mirror has the right file.
    """
    published, cache = PUBLISHED[name], _cache(name)
    folder = cache / published.folder
    with _writable(cache):
        if published.members:
            _make_folder(name, published, folder)
        else:
            for file in published.md5:
                _fetch(name, published, file, folder)
    return folder


def _make_folder(name: str, published: Published, folder: Path) -> None:
    """Download a dataset's archive, unpack it into the folder, and delete the archive."""
    if folder.is_dir():
        return
    cache = folder.parent
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{published.folder}.lock", name):
        if folder.is_dir():
            return  # another process has made it while this one waited for the lock
        (file,) = published.md5
        archive = _fetch(name, published, file, cache)
        unpack(archive, published.folder, published.members, cache)
        archive.unlink()


@contextmanager
def _locked(path: Path, name: str) -> Iterator[None]:
    """Hold a lock. Warns, before it waits, if another process holds it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        warnings.warn(
            f"another process downloads {name} and holds {path}; this one waits.", WeedoutWarning, stacklevel=2
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _cache(name: str) -> Path:
    try:
        import pooch  # imported here and below, because only downloading needs it
    except ModuleNotFoundError as error:
        raise DataError(
            f"to download {name!r}, pooch must be installed: pip install 'weedout-core[lab]'. Or download its files "
            "by hand and name their folder with --data-dir."
        ) from error
    return Path(os.path.expanduser(os.environ.get("WEEDOUT_CACHE") or pooch.os_cache("weedout-core"))).absolute()


@contextmanager
def _writable(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or reason(error)
        raise DataError(
            f"the cache {cache} must be writable, and is not: {why}. Name another folder with the environment variable "
            "WEEDOUT_CACHE."
        ) from error


def _fetch(name: str, published: Published, file: str, folder: Path) -> Path:
    """The path of a file in the cache, after downloading it, if it is missing, from the first mirror that has it."""
    import pooch

    md5, failures = published.md5[file], list[str]()
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        checked_size(folder / file)  # pooch reads what is there to its end
    transfer: Any = _transfer
    for mirror in published.mirrors:
        try:
            with _quiet(pooch.get_logger()):
                return Path(pooch.retrieve(mirror + file, f"md5:{md5}", file, folder, downloader=transfer))
        except TransferError as error:
            failures.append(f"{mirror} ({error})")
        except ValueError:
            # pooch raises this for a wrong checksum, after deleting the file; its message does not name the mirror.
            failures.append(f"{mirror} (the MD5 of what it sent is not {md5})")
    raise DataError(
        f"dataset {name!r} needs {file}, and no mirror gave it: {'; '.join(failures)}. Try again, or download its "
        "files by hand and name their folder with --data-dir."
    )


def _transfer(url: str, path: str, _: Any) -> None:
    """Write the content of an address to a file, in the form that pooch takes."""
    with open(path, "wb") as file, download_bar(url.rpartition("/")[2]) as draw:
        for content, total in pieces(url):
            file.write(content)
            draw(len(content), total)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Let only warnings through: a bar shows the progress, and an error reports a failure once."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
