"""The search phase as pure functions: ``init``, ``ask``, ``tell``. Paper, Algorithm 1, lines 1–10.

The state is the configuration, the plan of the masks, the key, the candidates to score next, and the history. What a
step decides depends only on the state and on the fitness that is handed in.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np

from weedout_core._algorithm.agreement import margin
from weedout_core._algorithm.fitness import remedy_of_lost
from weedout_core._algorithm.population import Origin, Population, population_of
from weedout_core._algorithm.strategies import strategy_of
from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.fence import fenced_phase
from weedout_core._guard.by_content import by_content
from weedout_core._guard.composed import several
from weedout_core._guard.guarded import guarded, kind_of
from weedout_core._guard.hosted import frozen
from weedout_core._guard.kinds import Hosted, NonNegative, Number, Numbers
from weedout_core._masks.allocation import Space, Sparsity
from weedout_core._masks.plan import MaskPlan, mask_plan
from weedout_core._phases.beginning import SearchBeginning
from weedout_core._phases.bred import Bred, Parents, bred, unpacked
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_selection
from weedout_core.errors import ConfigError, SearchError


@by_content
class Generation(NamedTuple):
    """The results of one generation.

    Attributes:
        generation: its number, from 0.
        best, mean, worst: fitness over the candidates whose fitness is finite; NaN where none is, which ends a search
            and is a result of a training in which it goes on.
        elite: the origin of the fittest candidate.
        not_finite: candidates whose fitness is NaN or infinite; they are never selected.
        evaluations: how many candidates were scored in it: m, or m − 1 if the elite kept its fitness.
        fitness: the fitness of each candidate, float64 ``(m,)``.
        began: what its search began with. ``wc.search(..., scored=...)`` takes only generations of the same search.
            None in a search driven by hand.
    """

    generation: NonNegative
    best: Number
    mean: Number
    worst: Number
    elite: Origin
    not_finite: NonNegative
    evaluations: NonNegative
    fitness: Hosted
    began: SearchBeginning | None = None

    @property
    def margin(self) -> float | None:
        """By how much the fittest candidate leads the second; None if no other candidate has a finite fitness."""
        return margin(self.fitness)


@by_content
class SearchState(NamedTuple):
    """The search between two generations.

    Attributes:
        config: the configuration.
        plan: how masks are drawn.
        key: uint32 ``(2,)``, the root of all draws.
        origins: the origins of the candidates of the generation to come, survivors first.
        history: the generations scored so far.
        bred: the masks of the generation to come, where the strategy bred them; None where they are drawn from keys.
    """

    config: SearchConfig
    plan: MaskPlan
    key: Key
    origins: Annotated[tuple[Origin, ...], several(kind_of(Origin), least=1)]
    history: tuple[Generation, ...]
    bred: Bred | None = None

    @property
    def generation(self) -> int:
        """The number of the generation to come."""
        return len(self.history)

    @property
    def evaluations(self) -> int:
        """Candidates scored so far."""
        return sum(generation.evaluations for generation in self.history)

    @property
    def remembered(self) -> int:
        """How many survivors, at the head of the population, keep their fitness and are not scored again: 0 or 1."""
        return 1 if self.history and self.config.elite == "cache" else 0


@guarded
@fenced_phase
def init(key: Key, space: Space, sparsity: Sparsity, config: SearchConfig = SearchConfig()) -> SearchState:
    """Begin a search. Generation 0 consists of the candidates 0 … m−1.

    Args:
        key: uint32 ``(2,)``, from ``wc.key``.
        space: {site: shape}, from ``wc.mask_space``.
        sparsity: η, the fraction of nodes removed, in [0, 1), for all sites or {site: η}.
        config: the configuration. The allocation "erk" is ``wc.erk(net)`` here, because a space has no kernels.
    Raises:
        ConfigError: the key is not a key, the space is empty, the sparsity or the allocation does not fit it, or a
            strategy of the user's is only named.
    """
    return begun(key, mask_plan(space, sparsity, config.sampling, config.allocation), config)


def begun(key: Key, plan: MaskPlan, config: SearchConfig) -> SearchState:
    """The state before generation 0. Raises ConfigError where there is no site."""
    if not plan.sites:
        raise ConfigError("there is nothing to search: the network has no Mask layer.")
    origins = tuple(Origin(0, index) for index in range(config.population))
    strategy_of(config.strategy)  # refuses one that is only named
    return SearchState(config, plan, key, origins, ())


@guarded
@fenced_phase
def ask(state: SearchState) -> Population:
    """The candidates to score now. With ``elite="cache"`` an elite that was scored before is not among them.

    Raises:
        ConfigError: ``state`` is not a SearchState.
    """
    return asked(state)


def asked(state: SearchState) -> Population:
    """:func:`ask` for a state that is checked already, as ``told`` and ``ended`` below are for theirs."""
    origins, known = state.origins[state.remembered :], state.bred
    masks = None if known is None else {site: packed[state.remembered :] for site, packed in known.masks.items()}
    return candidates(state, origins, masks)


def candidates(
    state: SearchState, origins: Sequence[Origin], packed: Mapping[str, np.ndarray] | None = None
) -> Population:
    """Candidates of a search: drawn from keys, or with masks that were bred, {site: uint8 ``(candidates, bytes)``}."""
    population = population_of(state.key, state.plan, state.config, origins)
    if packed is None:
        return population
    return population._replace(plan=None, mask_keys=None, masks=unpacked(packed, state.plan))


def elite_masks(state: SearchState, elites: Sequence[Origin]) -> dict[str, np.ndarray] | None:
    """The bits of the masks of elites, {site: uint8 ``(elites, bytes)``}; None where they are drawn from keys."""
    if state.bred is None:
        return None
    known = [generation.elite for generation in state.history]
    places = [known.index(elite) for elite in elites]
    return {site: bits[places] for site, bits in state.bred.elites.items()}


@guarded
@fenced_phase
def tell(state: SearchState, fitness: Numbers) -> tuple[SearchState, Generation]:
    """Take the fitness of the candidates asked for, and decide the next generation (Algorithm 1, line 9).

    Args:
        state: the state that was handed to ``ask``.
        fitness: floats ``(candidates,)``, one for each candidate of ``ask(state)``; NaN is never selected.
    Returns:
        the state before the next generation, and the results of this one.
    Raises:
        ConfigError: ``fitness`` is not one number for each candidate.
        SearchError: no candidate has a finite fitness.
    """
    return told(state, fitness)


def told(
    state: SearchState, fitness: np.ndarray, began: SearchBeginning | None = None
) -> tuple[SearchState, Generation]:
    scored = fitness.astype(np.float64)
    wanted = len(state.origins) - state.remembered
    if scored.shape != (wanted,):
        raise ConfigError(f"tell needs one fitness for each of {wanted} candidates; got shape {scored.shape}.")
    if state.remembered:
        scored = np.concatenate([[state.history[-1].best], scored])
    scored = frozen(scored)  # it is kept in the history
    finite = scored[np.isfinite(scored)]
    if finite.size == 0:
        raise SearchError(
            f"all {scored.size} candidates of generation {state.generation} have a fitness that is NaN or infinite. "
            f"{remedy_of_lost(state.config.fitness)}"
        )
    config, generation = state.config, state.generation
    key = of_selection(state.key, generation)
    strategy = strategy_of(config.strategy)
    survivors = [int(index) for index in strategy.survivors(key, scored)]
    info = Generation(
        generation=generation,
        best=float(finite.max()),
        mean=float(finite.mean()),
        worst=float(finite.min()),
        elite=state.origins[survivors[0]],
        not_finite=scored.size - finite.size,
        evaluations=wanted,
        fitness=scored,
        began=began,
    )
    size = strategy.population(config.population, generation + 1)
    fresh = tuple(Origin(generation + 1, index) for index in range(len(survivors), size))
    origins = tuple(state.origins[index] for index in survivors) + fresh
    parents = Parents(state.plan, state.key, state.origins, state.bred)
    children = bred(parents, config, key, survivors, scored)
    return state._replace(origins=origins, history=(*state.history, info), bred=children), info


@guarded
def finished(state: SearchState) -> str | None:
    """Why the search stops here, or None if it goes on. Paper, section 2, termination criteria.

    It is "generations", "patience" or "budget", or "one_left" where a strategy has left a single candidate.
    """
    return ended(state)


def ended(state: SearchState) -> str | None:
    config, history = state.config, state.history
    if not history:
        return None
    if config.generations is not None and len(history) >= config.generations:
        return "generations"
    best = [generation.best for generation in history]
    if config.patience is not None and len(best) - 1 - best.index(max(best)) >= config.patience:
        return "patience"
    if len(state.origins) == 1:
        return "one_left"
    upcoming = len(state.origins) - state.remembered + (len(history) + 1 if config.winner == "rescored" else 0)
    if config.budget is not None and state.evaluations + upcoming > config.budget:
        return "budget"
    return None


@guarded
def best_overall(history: Annotated[tuple[Generation, ...], several(kind_of(Generation), least=1)]) -> Generation:
    """The generation with the best fitness, NaN being the worst; of equal ones the earliest. There is at least one."""
    return max(history, key=lambda generation: -np.inf if np.isnan(generation.best) else generation.best)
