"""Which examples a generation is scored on, and on which batch normalisation takes its statistics anew."""

import numpy as np

from weedout_core._algorithm.strategies import strategy_of
from weedout_core._configs.search_config import SearchConfig
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import NonNegative, Positive
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_calibration_batch, of_validation_batch
from weedout_core._random.smallest import keep_smallest
from weedout_core._random.stream import bits


@guarded
def validation_batch(key: Key, generation: NonNegative, examples: Positive, config: SearchConfig) -> np.ndarray:
    """The validation examples of a generation: those with the smallest random words. Algorithm 1, line 5.

    Args:
        key: the root key of the search, uint32 ``(2,)``.
        generation: the number of the generation, from 0.
        examples: the size of the validation split.
        config: its ``validation_batch``, ``batch_policy`` and ``strategy`` are used.
    Returns:
        indices of examples, int64 ``(min(batch, examples),)``, ascending and distinct; the same for all candidates.
    """
    wanted = _wanted(generation, config)
    if config.batch_policy == "whole" or wanted >= examples:
        return np.arange(examples)
    words = bits(of_validation_batch(key, drawn_generation(generation, config)), examples)
    return np.flatnonzero(keep_smallest(words, wanted))


@guarded
def calibration_batch(key: Key, generation: NonNegative, examples: Positive, config: SearchConfig) -> np.ndarray:
    """The examples from which candidates compute their statistics with ``batch_norm="recalibrated"``.

    They are drawn as those of :func:`validation_batch`, from ``fold_in(its key, 1)``.
    """
    if (wanted := _wanted(generation, config)) >= examples:
        return np.arange(examples)
    words = bits(of_calibration_batch(key, drawn_generation(generation, config)), examples)
    return np.flatnonzero(keep_smallest(words, wanted))


def _wanted(generation: int, config: SearchConfig) -> int:
    """How many examples a batch has, where there are so many."""
    return strategy_of(config.strategy).examples(config.validation_batch, generation)


def drawn_generation(generation: int, config: SearchConfig) -> int:
    """The generation whose batch is taken."""
    return generation if config.batch_policy == "fresh" else 0
