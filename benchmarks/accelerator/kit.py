"""The conformance kit on the device: every check as ``weedout conform`` tries it, in several processes."""

import os
from collections.abc import Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.frameworks import framework

if TYPE_CHECKING:
    from weedout_core.lab.commands.conform import Outcome

_EXAMPLES, _QUICK_EXAMPLES = 50, 1
_MOST_PROCESSES = 12  # each holds some hundred megabytes of the device, and most of their time is the compiler's

#: What a process says of its check: its name, the verdict, why it failed, and the seconds it took.
Said = tuple[str, str, str, float]


def run(asked: Asked) -> None:
    """Every check; nothing is timed, so they may run at once."""
    from weedout_core.testing import CHECKS

    examples = _QUICK_EXAMPLES if asked.quick else _EXAMPLES
    with ProcessPoolExecutor(min(os.cpu_count() or 1, _MOST_PROCESSES), get_context("spawn")) as pool:
        for done in as_completed([pool.submit(_alone, asked.part, name, examples) for name in CHECKS]):
            check, verdict, reason, seconds = done.result()
            asked.say(f"{check} {verdict}, {seconds:.1f} s")
            answer = verdict if not reason else f"{verdict}: {reason}"
            asked.notes.row("The whole kit", check, {asked.part: answer}, bool(reason))


def _alone(part: str, name: str, examples: int) -> Said:
    (outcome,) = hold(framework(part).connect(), examples, (name,))
    return outcome.check, outcome.verdict, outcome.reason, outcome.seconds


def hold(backend: wc.backend.Backend, examples: int, names: Collection[str]) -> Iterator["Outcome"]:
    """Checks of the conformance kit against the reference, the same examples every time."""
    from weedout_core.lab.commands.conform import fixed_examples, judge

    reference = wc.load_backend("numpy")
    with fixed_examples(examples) as checks:
        for name in names:
            yield judge(name, checks[name], backend, reference)
