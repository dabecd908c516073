"""The process of a host that several hosts need: it owns the one that computes, and says in a sentence how that ended.

Where a process of another host is lost, JAX aborts its own process, with a stack of C++. So that process is a child of
the command's. What its libraries write goes to a file; what the command writes goes where the command's output goes.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from weedout_core.errors import WorkerError
from weedout_core.lab import signals


def own(arguments: Sequence[str]) -> int:
    """Run a command in a process that computes with those of other hosts, and return its exit code.

    Raises:
        WorkerError: that process was ended by a signal, as JAX ends it where another process is lost.
    """
    written, log = tempfile.mkstemp(prefix="weedout-", suffix=".log")
    os.close(written)
    # In a session of its own it gets the signals that are sent to it, and those of the terminal through this process.
    child = subprocess.Popen(
        [sys.executable, "-m", "weedout_core.lab.member", log, *arguments],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    code = _ended(child)
    if code >= 0:
        Path(log).unlink(missing_ok=True)
        return code
    name = signal.Signals(-code).name
    raise WorkerError(
        f"{_WHY.get(name, f'what computes here was ended by {name}')}; {signals.KEPT} JAX wrote to {log}."
    )


_WHY = {
    "SIGABRT": "the process of another host was lost, has ended, or did not come in time; its host says why",
    "SIGKILL": "what computes here was ended by SIGKILL, as a system does that is out of memory",
}


def _ended(child: "subprocess.Popen[bytes]") -> int:
    """The exit code of a process, to which a request to end is passed on; a second one ends this process at once."""
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            signals.end_begins()
            child.send_signal(signals.noted() or signal.SIGINT)
