"""Finding and reading the files of a dataset. One sentence names a file that is missing or cannot be read."""

from collections.abc import Sequence
from pathlib import Path

from weedout_core.errors import DataError

AGAIN = "Get the file again from its source."


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
        DataError: no such file exists, or it cannot be read.
    """
    for path in (folder / name for name in names):
        try:
            return path, path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
    raise DataError(f"{folder} must hold {wanted}, and does not. Put it there, or correct --data-dir.")


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} must be readable, and is not: {error.strerror}. Correct that, or --data-dir.")
