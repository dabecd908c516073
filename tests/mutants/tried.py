"""A mutant is tried: the conformance kit runs on it, in a process of its own."""

import time
from typing import Any

from tests.mutants.everyone import MUTANTS
from weedout_core import load_backend
from weedout_core.lab.commands.conform import fixed_examples, judge


def tried(name: str, examples: int, first: bool) -> dict[str, Any]:
    """The checks that fail for a mutant, each with the first line of its reason; and the seconds of the processor."""
    start, failed = time.process_time(), dict[str, str]()
    wrong, reference = MUTANTS[name].make(), load_backend("numpy")
    with fixed_examples(examples) as checks:
        for check, run in checks.items():
            if reason := judge(check, run, wrong, reference).reason:
                failed[check] = reason.splitlines()[0]
                if first:
                    break
    return {"name": name, "examples": examples, "failed": failed, "seconds": time.process_time() - start}
