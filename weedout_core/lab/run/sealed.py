"""Documents of a run: JSON that holds its own checksum, so that damage and edits by hand are noticed.

The checksum is one against accidents: who wants to forge a run can compute it too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weedout_core.errors import RunError
from weedout_core.lab.files import sha256

#: The version of the form of a run's folder.
FORMAT = 10

_FORMAT, _CHECKSUM = "format", "checksum"


class DamagedError(RunError):
    """A file of a run is missing, or is not as it was written. One that cannot be read need not be damaged.

    Attributes:
        what: the sentence that names the file, without what to do.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what


def sealed(document: Mapping[str, Any]) -> bytes:
    """A document, of plain values, as the content of a file. Bytes of a path that are not valid text are escaped."""
    whole = {_FORMAT: FORMAT, **document}
    text = json.dumps({**whole, _CHECKSUM: _checksum(whole)}, indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")


def unsealed(content: bytes, path: Path, remedy: str) -> dict[str, Any]:
    """The document in the content of a file, from :func:`sealed`.

    Args:
        content: of the file.
        path: the file.
        remedy: a sentence that says what to do where it is refused.
    Raises:
        DamagedError: it was changed, or holds no document.
        RunError: it has the format of another version.
    """
    try:
        document: Any = json.loads(content)
        checksum = document.pop(_CHECKSUM, None) if isinstance(document, dict) else None
        whole = checksum is not None and checksum == _checksum(document)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: it is no JSON.", remedy) from error
    form = document.pop(_FORMAT, None) if isinstance(document, dict) else None
    if type(form) is int and form != FORMAT:
        raise RunError(
            f"{path} must have format {FORMAT}; got {form}: another version wrote it. Use that version. {remedy}"
        )
    if not whole:
        raise DamagedError(f"{path} is damaged: its content does not match its checksum.", remedy)
    return document


def _checksum(document: Mapping[str, Any]) -> str:
    return sha256(json.dumps(document, sort_keys=True).encode())
