"""The search driven by hand: ``init``, ``ask``, ``tell`` and ``finished``, and how batches and survivors are chosen.

``Breed`` is a strategy of one's own, and ``tournaments``, ``crossed`` and ``mutated`` are what those of the library are
made of.
"""

from weedout_core._algorithm.strategies import Breed, random_search, select
from weedout_core._algorithm.strategies.breeding import crossed, mutated, tournaments
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
    "Breed",
    "Generation",
    "SearchState",
    "ask",
    "calibration_batch",
    "crossed",
    "finished",
    "init",
    "mutated",
    "random_search",
    "select",
    "tell",
    "tournaments",
    "validation_batch",
]


def __dir__() -> list[str]:
    return __all__
