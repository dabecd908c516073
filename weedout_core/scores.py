"""Scores of nodes before training, of other methods: ``masks_from_scores`` makes masks of them."""

from weedout_core._scores.flow import synflow
from weedout_core._scores.incoming import magnitude
from weedout_core._scores.sensitivity import snip

__all__ = ["magnitude", "snip", "synflow"]


def __dir__() -> list[str]:
    return __all__
