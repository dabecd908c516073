"""The memory of this machine."""

import os

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive


@guarded
def share_of_memory(devices: Positive) -> int | None:
    """The physical memory that each of a CPU's virtual devices has, bytes; None where the machine does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // devices
    except (AttributeError, ValueError, OSError):  # not on Windows, not by this name, not told
        return None
