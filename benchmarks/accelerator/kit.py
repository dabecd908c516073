"""The conformance kit on the device: every check, an example of every case."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.frameworks import framework

if TYPE_CHECKING:
    from weedout_core.lab.commands.conform import Outcome


def run(asked: Asked) -> None:
    """Every check."""
    for outcome in hold(framework(asked.part).connect(), 1, None):
        asked.say(f"{outcome.check} {outcome.verdict}, {outcome.seconds:.1f} s")
        answer = outcome.verdict if not outcome.reason else f"{outcome.verdict}: {outcome.reason}"
        asked.notes.row("The whole kit", outcome.check, {asked.part: answer}, bool(outcome.reason))


def hold(backend: wc.backend.Backend, examples: int, names: Collection[str] | None) -> Iterator["Outcome"]:
    """Checks of the conformance kit against the reference, the same examples every time; None: all checks."""
    from weedout_core.lab.commands.conform import fixed_examples, judge

    reference = wc.load_backend("numpy")
    with fixed_examples(examples) as checks:
        for name, check in checks.items():
            if names is None or name in names:
                yield judge(name, check, backend, reference)
