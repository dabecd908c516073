"""All cores: parts of one piece of work side by side."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from weedout_core._guard.guarded import guarded


@guarded
def side_by_side(work: Callable[[Any], None], parts: Sequence[Any]) -> None:
    """Call ``work`` on each part, in as many threads as the process has cores.

    It is for work that releases the interpreter's lock, as NumPy does on large arrays and compiled loops do. The result
    must not depend on the order of the parts. The first exception is raised.
    """
    threads = min(_cores(), len(parts))
    # With n threads each takes every n-th part: equal parts are shared evenly, and each thread gets one task.
    shares = [parts[first::threads] for first in range(threads)]

    def do(share: Sequence[Any]) -> None:
        for part in share:
            work(part)

    if threads < 2:
        return do(parts)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(do, shares))
    return None


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
