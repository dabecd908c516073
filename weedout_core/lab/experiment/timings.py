"""How long each phase took, measured between the events of a group."""

from collections.abc import Callable, Sequence

from weedout_core.lab.experiment.events import Event, GroupFinished, PhaseStarted
from weedout_core.lab.experiment.rows import TimingRow


class Stopwatch:
    """Times the phases of a group from its events.

    Args:
        clock: gives seconds from any origin, such as ``time.perf_counter``.
        compile_clock: gives the seconds spent on compilation so far, such as ``Backend.compile_seconds``; None if
            nothing is compiled.
    """

    def __init__(self, clock: Callable[[], float], compile_clock: Callable[[], float] | None) -> None:
        self._clock, self._compile_clock = clock, compile_clock
        self._running: tuple[PhaseStarted, float, float | None] | None = None
        self.rows: list[TimingRow] = []

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if not isinstance(event, PhaseStarted | GroupFinished):
            return
        now, compiled = self._clock(), None if self._compile_clock is None else self._compile_clock()
        if self._running is not None:
            phase, began, before = self._running
            compiling = None if compiled is None or before is None else compiled - before
            self.rows.append(TimingRow(phase.group.sparsity, phase.phase, phase.repeat, now - began, compiling))
        self._running = (event, now, compiled) if isinstance(event, PhaseStarted) else None


def timing_line(rows: Sequence[TimingRow]) -> str:
    """The seconds of each phase over all groups, and how many of all these seconds were compilation, as a text."""
    seconds: dict[str, float] = {}
    for row in rows:
        seconds[row.phase] = seconds.get(row.phase, 0.0) + row.seconds
    phases = ", ".join(f"{phase} {taken:.1f} s" for phase, taken in seconds.items())
    compiling = [row.compile_seconds for row in rows if row.compile_seconds is not None]
    return f"{phases}" + (f"; of these {sum(compiling):.1f} s compilation" if compiling else "")
