"""Weedout throughout training: the mask stays under search while the weights train.

Paper, section 5: "the sparsity search process can be continued through the entire training process, i.e. similar to
Dropout [41], but where finding the Dropout binary mask is under search." After some epochs a generation is scored
with the weights as they are by then, and training goes on through the mask of its elite. The sparsity may rise on the
way.
"""

import warnings
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.gradual import gradual
from weedout_core._algorithm.population import chunk_size
from weedout_core._configs.planning import search_plan
from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.calls import Scoring
from weedout_core._contract.record import Backend, map_tree
from weedout_core._guard.hosted import frozen
from weedout_core._masks.allocation import Sparsity
from weedout_core._masks.plan import MaskPlan, masks_from_keys
from weedout_core._networks.examples import Examples
from weedout_core._networks.network import Network, mask_space
from weedout_core._phases.ask_tell import Generation, SearchState, asked, told
from weedout_core._phases.bred import at_plan, unpacked
from weedout_core._phases.scored_batches import scored_batch
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._random.keys import Stream, of_candidates, of_thinning
from weedout_core.errors import WeedoutWarning


class MaskSearch(NamedTuple):
    """The search for the mask of a network in training, between two of its generations.

    Attributes:
        state: of the search: the candidates of the generation to come, the elite first.
        plans: how masks are drawn in each generation of the training, from its first one on.
        data: the validation split, on the host.
        generations: those that were scored while the network trained.
    """

    state: SearchState
    plans: tuple[MaskPlan, ...]
    data: Examples
    generations: tuple[Generation, ...] = ()


def rising_plans(
    net: Network, initial: Sparsity, final: Sparsity, generations: int, config: SearchConfig
) -> tuple[MaskPlan, ...]:
    """How masks are drawn in each generation of a training; the sparsity rises to ``final``, which the last one has.

    Raises:
        ConfigError: a sparsity does not fit the network.
    """
    space = mask_space(net)
    plans = [search_plan(net, final, config)]  # the last one first: what it warns of is so in the end
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)
        for step in range(generations - 1, 0, -1):
            plans.append(search_plan(net, gradual(space, initial, final, step, generations), config))
    return tuple(reversed(plans))


def searched(backend: Backend, search: MaskSearch, network: Subnetwork) -> tuple[MaskSearch, Subnetwork]:
    """Score a generation with the weights of a network in training, and give it the mask of the elite."""
    state = _to_come(search)
    config, generation = state.config, state.generation
    population = asked(state)._replace(weight_keys=None)
    weights = map_tree(backend.asarray, network.params)
    batch = scored_batch(backend, search.data, state.key, generation, config, network.moving)
    scoring = Scoring(config.fitness, config.precision, chunk_size(state.plan, config))
    fitness = backend.to_numpy(backend.score_population(network.net, weights, population, batch, scoring))
    after = gone_on(search, fitness)
    return after, Subnetwork(network.net, network.params, elite_mask(after.state), network.statistics)


def gone_on(search: MaskSearch, fitness: np.ndarray) -> MaskSearch:
    """The search after its next generation has this fitness, float ``(m,)``.

    Where none of it is finite the weights have diverged, which is a result of training and no error: the mask stays.
    """
    lost = not np.isfinite(fitness).any()
    state, generation = told(_to_come(search), np.zeros(fitness.shape) if lost else fitness)
    if lost:
        scored = frozen(fitness.astype(np.float64))
        generation = generation._replace(
            best=np.nan, mean=np.nan, worst=np.nan, not_finite=fitness.size, fitness=scored
        )
    return search._replace(state=state, generations=(*search.generations, generation))


def elite_mask(state: SearchState) -> dict[str, np.ndarray]:
    """The mask of the candidate that opens the generation to come, {site: bool ``shape``}."""
    if state.bred is not None:
        masks = unpacked(state.bred.masks, state.plan)
    else:
        masks = masks_from_keys(of_candidates(state.key, Stream.MASKS, state.origins[:1]), state.plan)
    return {site: mask[0] for site, mask in masks.items()}


def _to_come(search: MaskSearch) -> SearchState:
    """The state before the next generation of the training, with masks that keep what its plan says."""
    state, plan = search.state, search.plans[len(search.generations)]
    if state.bred is None or plan == state.plan:
        return state._replace(plan=plan)
    thinner = at_plan(state.bred, of_thinning(state.key, state.generation), state.plan, plan)
    return state._replace(plan=plan, bred=thinner)
