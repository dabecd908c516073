"""All cores: parts of one piece of work side by side."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from weedout_core._guard.guarded import guarded


@guarded
def side_by_side(work: Callable[[Any], None], parts: Sequence[Any]) -> None:
    """Do the work on each part, on as many threads as the process has cores.

    For work that leaves the interpreter free for the other threads, as NumPy on many elements and compiled loops do.
    What is done must not depend on the order. The first exception is raised.
    """
    threads = min(_cores(), len(parts))
    # Each thread takes every n-th part, n threads: equal parts are shared evenly, and each thread is asked once.
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
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
