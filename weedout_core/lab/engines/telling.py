"""How far groups are: workers write their events to files, and the driver reads them between one group and the next.

The files lie in a folder of the driver's machine. A worker elsewhere, which does not see it, tells nothing but results.
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from weedout_core.lab.experiment.events import Event, GroupFinished


def tell(folder: Path, event: Event) -> None:
    """Tell the driver of an event, if this process sees the folder. A group does not fail for want of it."""
    with suppress(OSError), (folder / f"{event.group.folder}-of-{os.getpid()}").open("ab", buffering=0) as file:
        file.write(pickle.dumps(event))


class Told:
    """What workers have told in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._read = folder, dict[Path, int]()

    def events(self) -> Iterator[Event]:
        """What was told since the last call, but for the ends of groups: the driver knows them by their results."""
        with suppress(OSError):  # systems tidy up what is temporary
            for path in sorted(self._folder.iterdir()):
                yield from self._events_in(path)

    def _events_in(self, path: Path) -> Iterator[Event]:
        with suppress(EOFError, pickle.UnpicklingError), path.open("rb") as file:  # the last is not whole yet
            file.seek(self._read.get(path, 0))
            while not isinstance(event := pickle.load(file), GroupFinished):
                self._read[path] = file.tell()
                yield event
            self._read.pop(path, None)
            path.unlink()
