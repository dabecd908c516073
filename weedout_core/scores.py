"""Scores before training, of other methods, of which ``wc.masks_from_scores`` makes masks."""

from weedout_core._masks.scored import near_threshold
from weedout_core._scores.flow import synflow
from weedout_core._scores.incoming import magnitude
from weedout_core._scores.sensitivity import snip

__all__ = ["magnitude", "near_threshold", "snip", "synflow"]


def __dir__() -> list[str]:
    return __all__
