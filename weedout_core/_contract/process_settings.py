"""Settings of the whole process, which a fence can hold only while a thread is inside it."""

from collections.abc import Callable
from threading import Lock
from typing import Any, NamedTuple

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Name


class ProcessSetting(NamedTuple):
    """A setting that all threads share.

    Attributes:
        name: the name of the setting.
        read, write: functions that return its value, and that set it to a value that ``read`` returned.
        ours: the values that are right inside the fence. The first of them is written if the setting has another value.
    """

    name: Name
    read: Callable[[], Any]
    write: Callable[[Any], object]
    ours: tuple[Any, ...]


class ProcessSettings:
    """A context that holds settings of the process while any thread is inside. The last thread to leave restores them.

    Settings are written in order, and only where their value is not right. So a setting that has no value of its own,
    and follows one before it in the list, still follows it afterwards. What other code sets in the meantime stays.
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
