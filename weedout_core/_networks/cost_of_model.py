"""What an adopted model costs under masks, of whose arrays is known which axes follow a site."""

import math
from collections.abc import Mapping

import numpy as np

from weedout_core._networks.models import Adopted, Follows, Held


def of_model(model: Adopted, masks: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """The parameters and multiply-adds that decide the logits under masks, given by site."""
    parameters = macs = 0
    for held in model.params:
        left = _left(held, masks)
        parameters += left
        macs += held.macs * left // max(1, math.prod(held.shape))
    return parameters, macs


def _left(held: Held, masks: Mapping[str, np.ndarray]) -> int:
    """How many of an array's entries are kept: by their own mask, and in each axis that follows a site.

    An axis that is short belongs to a model that was made smaller already.
    """
    every = {one.axis: _entries(one, masks[one.site]) for one in held.follows if one.site in masks}
    followed = {axis: entries for axis, entries in every.items() if len(entries) == held.shape[axis]}
    if not held.connections or held.path not in masks:
        lengths = {axis - len(held.shape): length for axis, length in enumerate(held.shape)}
        return math.prod((lengths | {axis: int(entries.sum()) for axis, entries in followed.items()}).values())
    kept = masks[held.path]
    for axis, entries in followed.items():
        kept = np.compress(entries, kept, axis)
    return int(np.count_nonzero(kept))


def _entries(follows: Follows, mask: np.ndarray) -> np.ndarray:
    """Which entries of an axis belong to nodes that are kept: bool ``(length,)``."""
    return np.tile(mask.reshape(-1).repeat(follows.each), follows.repeats)
