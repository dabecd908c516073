"""What is done with a mutant, in a process of its own: the conformance kit runs on it, or its witness is called."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from tests.mutants.everyone import MUTANTS
from tests.mutants.witnesses import differ
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


def is_wrong(name: str) -> bool:
    """Whether a mutant answers its witness otherwise than the backend that it is made of, or not at all."""
    mutant = MUTANTS[name]
    right = mutant.right()
    wanted = mutant.witness(right)
    try:
        given = mutant.witness(mutant.make())
    except Exception:  # whatever it is: the right one answers
        return True
    return differ(right, given, wanted)


def processes(number: int) -> ProcessPoolExecutor:
    """A process for each mutant, with eight devices of JAX's: nothing that one leaves behind meets another."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
    return ProcessPoolExecutor(number, mp_context=get_context("spawn"), max_tasks_per_child=1)
