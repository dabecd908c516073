"""The manifest of a group: the SHA-256 of each of its files, so that a damaged or incomplete file is noticed.

The manifest is written last, and without it the group does not count.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from weedout_core.errors import RunError
from weedout_core.lab.files import read_file, sha256

MANIFEST = "manifest.json"
_FORMAT = 1


def with_manifest(files: Mapping[str, bytes], group: str, run: str) -> dict[str, bytes]:
    """The files of a group by name, with their manifest as the last one.

    Args:
        files: the files of the group, {name: content}.
        group: the name of the group's folder.
        run: the digest of the run that the group belongs to.
    """
    digests = {name: sha256(content) for name, content in files.items()}
    described = {**_belongs(group, run), "sha256": digests}
    return {**files, MANIFEST: (json.dumps(described, indent=2) + "\n").encode()}


def check_group(folder: Path, run: str, needed: Iterable[str]) -> None:
    """Raise RunError unless all files of a group are as they were committed, and the needed ones are among them."""
    for name in dict.fromkeys([*needed, *_digests(folder, run)]):
        read_committed(folder, run, name)


def read_committed(folder: Path, run: str, name: str) -> bytes:
    """The content of a file of a group, after checking that it is as it was committed.

    Args:
        folder: the folder of the group.
        run: the digest of the run that the group belongs to.
        name: the name of the file.
    Raises:
        RunError: the file or the manifest is missing or damaged, or the group belongs to another run.
    """
    wanted, content = _digests(folder, run).get(name), _read(folder, name)
    if sha256(content) != wanted:
        raise RunError(f"{folder / name} is damaged: its content does not match {MANIFEST}. {_remedy(folder)}")
    return content


def _digests(folder: Path, run: str) -> dict[str, str]:
    """The SHA-256 of each file of a group, by name."""
    path, content = folder / MANIFEST, _read(folder, MANIFEST)
    try:
        described: Any = json.loads(content)
    except (ValueError, RecursionError):
        described = None
    if not isinstance(described, dict):
        raise RunError(f"{path} is damaged: it holds no object of JSON. {_remedy(folder)}")
    for name, wanted in _belongs(folder.name, run).items():
        if described.get(name) != wanted:
            raise RunError(f"{path} must have {name} {wanted!r}; got {described.get(name)!r}. {_remedy(folder)}")
    digests: Any = described.get("sha256")
    if not isinstance(digests, dict) or not all(_is_file(*item) for item in digests.items()):
        raise RunError(f"{path} is damaged: it has no checksum of each file by its name. {_remedy(folder)}")
    return digests


def _is_file(name: str, digest: Any) -> bool:
    return Path(name).name == name != "" and "\0" not in name and isinstance(digest, str)


def _belongs(group: str, run: str) -> dict[str, Any]:
    return {"format": _FORMAT, "run": run, "group": group}


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_file(folder / name)
    except RunError as error:
        raise RunError(f"{error} {_remedy(folder)}") from error


def _remedy(folder: Path) -> str:
    return f"Remove the folder {folder}, and the command of the run computes that sparsity again."
