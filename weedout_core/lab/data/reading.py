"""Finding and reading the files of a dataset. One sentence names a file that is missing or cannot be read.

Whatever lies under the name of a file, reading it ends, and takes no more memory than a dataset may.
"""

import stat
from collections.abc import Sequence
from pathlib import Path

from weedout_core.errors import DataError

AGAIN = "Get the file again from its source."
MOST = 1 << 30  # bytes of a file, and of what it unpacks to: twenty times the largest of the datasets that are known


def find_folder(data_dir: Path, subfolders: Sequence[str], name: str) -> Path:
    """The folder with a dataset's files: the first of its usual subfolders that exists, or else ``data_dir`` itself.

    Subfolders come first, because files with the same names directly in ``data_dir`` may belong to another dataset.
    """
    try:
        if not data_dir.is_dir():
            raise DataError(f"--data-dir must be a folder with the files of {name!r}; {data_dir} is not a folder.")
        return next((data_dir / sub for sub in subfolders if (data_dir / sub).is_dir()), data_dir)
    except OSError as error:
        raise _unreadable(data_dir, error) from error


def read_first(folder: Path, names: Sequence[str], wanted: str) -> tuple[Path, bytes]:
    """The path and the content of the first of some files that exists.

    Args:
        folder: the folder of the files.
        names: the acceptable file names, the preferred one first.
        wanted: what is required, in words for the error if none of the files exists.
    Raises:
        DataError: no such file exists, or it is no file, is too large or cannot be read.
    """
    for path in (folder / name for name in names):
        try:
            size = checked_size(path)
            with path.open("rb") as file:
                return path, file.read(size)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
    raise DataError(f"{folder} must hold {wanted}, and does not. Put it there, or correct --data-dir.")


def checked_size(path: Path) -> int:
    """The size of a file in bytes. Raises DataError if it is no file, or too large; OSError if that cannot be seen."""
    found = path.stat()  # before it is opened: to open a pipe is to wait for who writes it
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path} must be a file; it is a folder, a pipe or a device. Remove it, or put the file there.")
    if found.st_size > MOST:
        raise DataError(f"{path} must be at most {MOST:,} bytes; got {found.st_size:,}. {AGAIN}")
    return found.st_size


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} must be readable, and is not: {error.strerror}. Correct that, or --data-dir.")
