"""Scoring: m candidates in one call, as in a backend of ``weedout_core``. Algorithm 1 does not need this file.

``algorithm1`` draws each candidate and measures it by itself. An accelerator is fast where it does the same for all
candidates of a population in one program, so the calls of a backend take the population as a whole: a key for each
candidate, from which its mask is drawn. Here they are loops over the functions that ``algorithm1`` calls.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from weedout_core import Network
from weedout_core.backend import MaskPlan, Population, ScoredBatch, Scoring
from weedout_core.errors import ConfigError
from weedout_core.nn import ParameterSpec
from weedout_numpy.fitness import fitness_of
from weedout_numpy.initial import draw_parameters
from weedout_numpy.masks import Masks, draw_masks
from weedout_numpy.network import Parameters, batch_statistics, forward
from weedout_numpy.randomness import Keys
from weedout_numpy.together import nth


def masks_from_keys(keys: Keys, plan: MaskPlan) -> dict[str, np.ndarray]:
    """The masks of m candidates, each from its key: {site: bool ``(m, *shape)``}."""
    masks = {site.site: np.zeros((len(keys), *site.shape), dtype=bool) for site in plan.sites}
    for i, key in enumerate(keys):
        drawn = draw_masks(key, plan)
        for site in plan.sites:
            masks[site.site][i] = drawn[site.site]
    return masks


def score_population(
    net: Network,
    params: Parameters | tuple[ParameterSpec, ...],
    population: Population,
    batch: ScoredBatch,
    scoring: Scoring,
) -> Float64[np.ndarray, " m"]:
    """The fitness of m candidates on one batch.

    ``scoring.precision`` and ``scoring.chunk`` change nothing: float64 is above any precision that can be asked for,
    and one candidate at a time is the smallest chunk there is.
    """
    fitness = np.zeros(population.size)
    for i in range(population.size):
        weights = candidate_parameters(params, population, i)
        fitness[i] = score(net, weights, candidate_masks(population, i), batch, scoring.fitness)
    return fitness


def score(
    net: Network, params: Parameters, masks: Masks, batch: ScoredBatch, fitness: str | Callable[..., Any]
) -> float:
    """One candidate's fitness."""
    statistics = statistics_of(net, params, masks, batch)
    return fitness_of(net, params, masks, (batch.x, batch.y), fitness, statistics)


def statistics_of(net: Network, params: Parameters, masks: Masks, batch: ScoredBatch) -> Parameters | None:
    """The statistics of batch normalisation for a candidate, or None for those of the batch it is scored on.

    The paper does not say where they come from before any training. Three ways:

    * the batch's own, as in ``algorithm1``;
    * ``batch.statistics``, {path: ``(channels,)``}: these, for all candidates;
    * ``batch.calibration``, other inputs: the candidate is run on them first, under its mask and with the statistics
      of these inputs, and takes what each of its layers saw there.
    """
    if batch.calibration is None:
        return batch.statistics
    with np.errstate(over="ignore", invalid="ignore"):  # as in ``fitness_of``
        _, record = forward(net.layers, params, masks, batch.calibration)
        return batch_statistics(record)


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
