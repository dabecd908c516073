"""A process with a bound: ended when its time is up, with all that it has started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

_POLL = 0.2  # seconds

#: How the reason begins where the time was up.
LATE = "ended at its bound"


def run(
    command: Sequence[str], seconds: float, environment: Mapping[str, str], meanwhile: Callable[[], None]
) -> str | None:
    """Run a command; what it says on its standard error is shown as it comes.

    Args:
        seconds: after these it is killed, with its children.
        environment: of the process.
        meanwhile: called again and again while it runs, and once after it.
    Returns:
        None, or why it did not come to its end.
    """
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, env=environment)
    try:
        while process.poll() is None and time.monotonic() - began < seconds:
            time.sleep(_POLL)
            meanwhile()
        late = process.poll() is None
    finally:
        _end(process)
    meanwhile()
    if late:
        return f"{LATE} of {seconds:.0f} s"
    return None if process.returncode == 0 else f"failed with exit status {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole session of a process, however it ended: a child that stays would hold the device's memory."""
    with suppress(ProcessLookupError):  # where nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
