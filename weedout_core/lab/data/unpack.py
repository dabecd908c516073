"""Unpacking some files of a tar archive into a folder, whole or not at all."""

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from weedout_core.errors import DataError


def unpack(archive: Path, folder: str, names: Sequence[str], into: Path) -> None:
    """Make the folder ``into / folder`` from the named files in the folder ``folder`` of the archive.

    Nothing else is unpacked, neither links nor paths that lead elsewhere.

    Raises:
        DataError: the archive lacks one of the files.
    """
    wanted = {PurePosixPath(folder, name) for name in names}
    with tempfile.TemporaryDirectory(dir=into) as partial, tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and PurePosixPath(member.name) in wanted:
                tar.extract(member, partial, filter="data")
                wanted.remove(PurePosixPath(member.name))
        if wanted:
            missing = ", ".join(sorted(map(str, wanted)))
            raise DataError(f"{archive} must hold {missing}, and does not. Remove it: the next run downloads it again.")
        Path(partial, folder).rename(into / folder)
