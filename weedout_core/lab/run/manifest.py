"""Files that are verified whenever they are read: beside them a manifest has the SHA-256 of each.

The manifest says too which run and group they are of, and how these were computed. It is written last, and without it
the files do not count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weedout_core.errors import RunError
from weedout_core.lab.files import exists, read_file, sha256
from weedout_core.lab.run.sealed import DamagedError, sealed, unsealed

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Verified:
    """Files of a group, as their manifest has them.

    Attributes:
        manifest: the path of the manifest, which lies beside the files.
        owner: the run and the group that they must belong to, as the manifest has it.
        remedy: a sentence that says what to do where one is damaged.
    """

    manifest: Path
    owner: Mapping[str, Any]
    remedy: str

    def described(self, files: Mapping[str, bytes], **facts: Any) -> bytes:
        """The content of the manifest.

        Args:
            files: the files, {name: content}.
            facts: plain values that stand in it besides.
        """
        digests = {name: sha256(content) for name, content in files.items()}
        return sealed({**self.owner, "sha256": digests, **facts})

    def description(self) -> dict[str, Any]:
        """The manifest. Raises RunError if it cannot be read or is of another run or group, DamagedError if damaged."""
        document = unsealed(self._content(self.manifest), self.manifest, self.remedy)
        for name, wanted in self.owner.items():
            if (found := document.get(name)) != wanted:
                raise RunError(
                    f"{self.manifest} must have {name} {wanted!r}, as the run's config.json says; got {found!r}. "
                    f"{self.remedy}"
                )
        return document

    def read(self, name: str) -> bytes:
        """The content of a file. Raises RunError if it cannot be read, DamagedError if it is not as it was written."""
        return self._whole(name, self.description()["sha256"])

    def check(self, needed: Iterable[str]) -> None:
        """Raise RunError unless all files are as they were written, and the needed ones are among them."""
        digests = self.description()["sha256"]
        for name in dict.fromkeys([*needed, *digests]):
            self._whole(name, digests)

    def _whole(self, name: str, digests: Mapping[str, str]) -> bytes:
        path = self.manifest.with_name(name)
        content = self._content(path)
        if sha256(content) != digests.get(name):
            what = f"{path} is damaged: its content does not match {self.manifest.name}."
            raise DamagedError(what, self.remedy)
        return content

    def _content(self, path: Path) -> bytes:
        try:
            if exists(path):
                return read_file(path)
        except RunError as error:
            raise RunError(f"{error} Make it readable if that is possible; if not: {self.remedy}") from error
        raise DamagedError(f"{path} is missing.", self.remedy)
