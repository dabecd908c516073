"""What comes of a check of the conformance kit: passed, failed and why, or that it had nothing to try."""

import time
from collections.abc import Callable
from typing import NamedTuple

from weedout_core.backend import Backend

_LINES = 6  # lines shown of a failure's message: enough to see what differs

Check = Callable[[Backend, Backend], None]


class Outcome(NamedTuple):
    """The result of one check.

    Attributes:
        check: the name of the check.
        seconds: how long it took.
        reason: why it failed, where, and for which example; empty if it did not fail.
        untried: why there was nothing to try; empty if there was.
        explain: finds out more of a failure, in some sentences. It may take as long as many examples.
    """

    check: str
    seconds: float
    reason: str
    untried: str = ""
    explain: Callable[[], str] = str

    @property
    def verdict(self) -> str:
        return "failed" if self.reason else "not tried" if self.untried else "passed"


def judge(name: str, check: Check, backend: Backend, reference: Backend) -> Outcome:
    """Run one check."""
    from weedout_core.testing.places import raised_in  # the kit needs Hypothesis
    from weedout_core.testing.trying import NothingToTry, explanation

    start = time.perf_counter()
    try:
        check(backend, reference)
    except NothingToTry as nothing:
        return Outcome(name, time.perf_counter() - start, "", str(nothing))
    except Exception as error:
        # Any error of the backend is a failed check, because the reference gives an answer.
        failed = error
    else:
        return Outcome(name, time.perf_counter() - start, "")
    lines = [*_first(f"{type(failed).__name__}: {str(failed).strip()}"), *raised_in(failed)]
    reason = "\n    ".join([*lines, *getattr(failed, "__notes__", [])])
    return Outcome(name, time.perf_counter() - start, reason, explain=explanation(failed))


def _first(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[:_LINES] + ["…"] * (len(lines) > _LINES)
