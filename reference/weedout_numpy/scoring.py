"""Scoring: the fitness of every candidate of a population on one batch. Paper, Algorithm 1, lines 5–8.

One candidate after the other: draw its mask, run the masked network, measure. A backend for an accelerator does the
same for many candidates at once, and must find the same numbers.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int

from weedout_core import Network
from weedout_core.backend import Population, ScoredBatch, Scoring
from weedout_core.errors import ConfigError
from weedout_core.nn import ParameterSpec
from weedout_numpy.fitness import FITNESS
from weedout_numpy.initial import draw_parameters
from weedout_numpy.masks import Masks, draw_masks, keep_smallest
from weedout_numpy.network import Parameters, batch_statistics, forward, nth
from weedout_numpy.randomness import VALIDATION_BATCHES, Key, fold_in, random_bits


def validation_batch(root: Key, generation: int, examples: int, size: int) -> Int[np.ndarray, " batch"]:
    """The validation examples of a generation (line 5), the same for all candidates: a random subset, in order.

    All of them where the split has no more than ``size``.
    """
    if size >= examples:
        return np.arange(examples)
    bits = random_bits(fold_in(fold_in(root, VALIDATION_BATCHES), generation), examples)
    return np.flatnonzero(keep_smallest(bits, size))


def score(net: Network, params: Parameters, masks: Masks, batch: ScoredBatch, fitness: str) -> float:
    """One candidate's fitness: run it on the batch, without any update, and measure (Algorithm 1, line 7)."""
    # Overflow is a finding, not a fault: the candidate's fitness is not finite, and it is never selected.
    with np.errstate(over="ignore", invalid="ignore"):
        logits, _ = forward(net.layers, params, masks, batch.x, statistics_of(net, params, masks, batch))
        return FITNESS[fitness](logits, batch.y)


def statistics_of(net: Network, params: Parameters, masks: Masks, batch: ScoredBatch) -> Parameters | None:
    """The statistics for a candidate, or None for those of the batch it is scored on.

    The paper does not say where they come from before any training. Three ways:

    * the batch's own;
    * ``batch.statistics``, {path: ``(channels,)``}: these, for all candidates;
    * ``batch.calibration``, other inputs: the candidate is run on them first, under its mask and with the statistics
      of these inputs, and takes what each of its layers saw there.
    """
    if batch.calibration is None:
        return batch.statistics
    _, record = forward(net.layers, params, masks, batch.calibration)
    return batch_statistics(record)


def score_population(
    net: Network,
    params: Parameters | tuple[ParameterSpec, ...],
    population: Population,
    batch: ScoredBatch,
    scoring: Scoring,
) -> Float64[np.ndarray, " m"]:
    """The fitness of m candidates on one batch.

    Precision and chunk change nothing: float64 is above any precision that can be asked for, and one candidate at a
    time is the smallest chunk there is.
    """
    scores = np.zeros(population.size)
    for i in range(population.size):
        weights = candidate_parameters(params, population, i)
        scores[i] = score(net, weights, candidate_masks(population, i), batch, scoring.fitness)
    return scores


def candidate_parameters(params: Parameters | tuple[ParameterSpec, ...], population: Population, i: int) -> Parameters:
    """The initial weights of candidate i: those that all share, or its own, drawn with its weight key."""
    if isinstance(params, Mapping):
        return params
    if population.weight_keys is None:
        raise ConfigError(
            "weights given as specs are drawn per candidate; the population must have weight_keys, got None."
        )
    return draw_parameters(population.weight_keys[i], params)


def candidate_masks(population: Population, i: int) -> Masks:
    """The masks of candidate i: those given, or drawn with its mask key."""
    if population.masks is not None:
        return nth(population.masks, i)
    if population.plan is None or population.mask_keys is None:
        raise ConfigError("a population must have masks, or a plan and mask_keys; got neither.")
    return draw_masks(population.mask_keys[i], population.plan)
