"""How long each phase took: a clock that listens to the events."""

from collections.abc import Callable

from weedout_core.lab.events import Event, GroupFinished, PhaseStarted
from weedout_core.lab.rows import TimingRow


class Stopwatch:
    """Times the phases of a group from its events.

    Args:
        clock: seconds, from any origin, such as ``time.perf_counter``.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._running: tuple[PhaseStarted, float] | None = None
        self.rows: list[TimingRow] = []

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if not isinstance(event, PhaseStarted | GroupFinished):
            return
        now = self._clock()
        if self._running is not None:
            phase, began = self._running
            self.rows.append(TimingRow(phase.sparsity, phase.phase, phase.repeat, now - began))
        self._running = (event, now) if isinstance(event, PhaseStarted) else None
