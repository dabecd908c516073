"""Finding and reading the files of a dataset: what is missing or closed to the reader is named in one sentence."""

from collections.abc import Sequence
from pathlib import Path

from weedout_core.errors import DataError

AGAIN = "Get the file again from its source."


def find_folder(data_dir: Path, subfolders: Sequence[str], name: str) -> Path:
    """The folder with a dataset's files: the first of its usual subfolders that is there, or ``data_dir`` itself.

    A subfolder comes first: the same file names directly in ``data_dir`` may be those of another dataset.
    """
    try:
        if not data_dir.is_dir():
            raise DataError(f"--data-dir must be a folder with the files of {name!r}; {data_dir} is none.")
        return next((data_dir / sub for sub in subfolders if (data_dir / sub).is_dir()), data_dir)
    except OSError as error:
        raise _unreadable(data_dir, error) from error


def read_first(folder: Path, names: Sequence[str], wanted: str) -> tuple[Path, bytes]:
    """The first of some files that is there: its path and its content.

    Args:
        folder: where they are.
        names: the file names that will do, the best first.
        wanted: what is required, for the sentence that says that none is there.
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
