"""Settings of the whole process, which a fence can only hold while somebody is inside."""

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Name


class ProcessSetting(NamedTuple):
    """A setting that all threads share.

    Attributes:
        name: what it is called.
        read, write: how it is read, and set to what ``read`` gives.
        ours: the values that will do inside; the first of them is written where there is another.
    """

    name: Name
    read: Callable[[], Any]
    write: Callable[[Any], object]
    ours: tuple[Any, ...]


class ProcessSettings:
    """A context that holds settings of the process while any thread is inside; the last one out puts them back.

    Only what will not do is written, in order. So a setting that the framework takes from one before it in the list,
    as long as it has none of its own, still takes it from there afterwards. What somebody else sets meanwhile stays.
    """

    @guarded
    def __init__(self, *settings: ProcessSetting) -> None:
        self.settings = settings
        self._lock, self._inside = Lock(), 0
        self._callers = dict[ProcessSetting, Any]()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            for setting in self.settings:
                if (value := setting.read()) not in setting.ours:
                    self._callers[setting] = value
                    setting.write(setting.ours[0])

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            while self._inside == 0 and self._callers:
                setting, value = self._callers.popitem()  # the last one first
                if setting.read() == setting.ours[0]:
                    setting.write(value)
