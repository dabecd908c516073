"""The search driven by hand: ``init``, ``ask``, ``tell`` and ``finished``, and how batches and survivors are chosen."""

from weedout_core._algorithm.strategies import random_search, select
from weedout_core._phases.ask_tell import (
    Generation,
    SearchState,
    ask,
    finished,
    init,
    tell,
)
from weedout_core._phases.validation_batches import calibration_batch, validation_batch

__all__ = [
    "Generation",
    "SearchState",
    "ask",
    "calibration_batch",
    "finished",
    "init",
    "random_search",
    "select",
    "tell",
    "validation_batch",
]


def __dir__() -> list[str]:
    return __all__
