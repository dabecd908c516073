"""Some files of a tar archive, unpacked into a folder that is there whole or not at all."""

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from weedout_core.errors import DataError


def unpack(archive: Path, folder: str, names: Sequence[str], into: Path) -> None:
    """Make the folder ``into / folder`` with the files of those names that the archive has in its folder ``folder``.

    Whatever else the archive holds is left in it: links, and paths that lead elsewhere.

    Raises:
        DataError: the archive does not hold a file.
    """
    wanted = {PurePosixPath(folder, name) for name in names}
    with tempfile.TemporaryDirectory(dir=into) as partial, tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and PurePosixPath(member.name) in wanted:
                tar.extract(member, partial, filter="data")
                wanted.remove(PurePosixPath(member.name))
        if wanted:
            missing = ", ".join(sorted(map(str, wanted)))
            raise DataError(f"{archive} must hold {missing}, and does not. Remove it, and it is downloaded anew.")
        Path(partial, folder).rename(into / folder)
