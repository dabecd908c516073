"""The memory of this machine."""

import os

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive


@guarded
def share_of_memory(devices: Positive) -> int | None:
    """The share of physical memory of each of a CPU's virtual devices, in bytes; None if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // devices
    except (AttributeError, ValueError, OSError):  # not on Windows, not by this name, not told
        return None
