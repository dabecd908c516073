"""The memory of this machine."""

import os


def share_of_memory(devices: int) -> int | None:
    """The physical memory that each of a CPU's virtual devices has, bytes; None where the machine does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // devices
    except (AttributeError, ValueError, OSError):  # not on Windows, not by this name, not told
        return None
