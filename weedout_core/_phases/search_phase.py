"""The search phase from end to end: Algorithm 1, lines 1–11, on a backend."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.agreement import margin
from weedout_core._algorithm.fitness import FITNESS, remedy_of_lost
from weedout_core._algorithm.population import Origin, Population, chunk_size
from weedout_core._algorithm.strategies import select
from weedout_core._configs.checks import check_effects
from weedout_core._configs.planning import search_plan
from weedout_core._configs.search_config import SearchConfig
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import Scoring
from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers
from weedout_core._guard.by_content import by_content
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive
from weedout_core._guard.splits import Split
from weedout_core._masks.allocation import Sparsity
from weedout_core._networks.examples import Examples, checked_examples, kept
from weedout_core._networks.network import Network, adopted, check_normalised, initial_statistics
from weedout_core._phases.ask_tell import (
    Generation,
    SearchState,
    asked,
    begun,
    best_overall,
    candidates,
    elite_masks,
    ended,
    told,
)
from weedout_core._phases.beginning import search_beginning
from weedout_core._phases.continuing import continued
from weedout_core._phases.drawing import Drawing, check_parent, check_weights, drawing, materialise
from weedout_core._phases.limited_training import score_trained, side_by_side, trained_candidate
from weedout_core._phases.scored_batches import scored_batch
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.training_before import Training, checked_training
from weedout_core._phases.validation_batches import validation_batch
from weedout_core._random.annotations import Key
from weedout_core.errors import ConfigError, SearchError


@by_content
class SearchResult(NamedTuple):
    """The winner of a search, and how it was found.

    Attributes:
        network: the winner, at its initial weights, in NumPy, readable by every backend.
        fitness: the fitness it was chosen for.
        margin: by how much its fitness leads that of the second, among the last generation or among the elites of all
            generations, whichever it was chosen from (``config.winner``); None if there is no second.
        origin: the generation in which it was drawn, and its number there.
        history: the results of each generation.
        stopped: why the search stopped: "generations", "patience", "budget" or "one_left".
        evaluations: how many candidates were scored in all.
        validation_batch: the number of examples on which each generation was scored, under "successive_halving" the
            first.
        config: the configuration.
    """

    network: Subnetwork
    fitness: float
    margin: float | None
    origin: Origin
    history: tuple[Generation, ...]
    stopped: str
    evaluations: int
    validation_batch: int
    config: SearchConfig


class _Elected(NamedTuple):
    """The outcome of the final argmax: see SearchResult.

    ``evaluations`` counts the candidates scored for it, ``generation`` is the one whose batch it was chosen on.
    """

    origin: Origin
    fitness: float
    margin: float | None
    evaluations: int
    generation: int


class _Task(NamedTuple):
    """What stays the same during a search."""

    net: Network
    data: Examples
    config: SearchConfig
    key: Key
    drawn: Drawing
    training: Training | None


@guarded
@fenced_phase
def search(
    net: Network,
    data: Split,
    *,
    sparsity: Sparsity,
    backend: str | Backend,
    key: Key,
    config: SearchConfig = SearchConfig(),
    on_generation: Callable[[Generation], None] | None = None,
    scored: Sequence[Generation] = (),
    training: Split | None = None,
    learning: TrainConfig = TrainConfig(),
) -> SearchResult:
    """Find the fittest sparse sub-network by Random Search (paper, Algorithm 1, lines 1–11).

    Args:
        net: the parent.
        data: the validation split ``(x, y)``: x ``(examples, *input_shape)``, y integers in [0, classes); or what
            gives such pairs of examples or of batches, one after another, such as a DataLoader.
        sparsity: η, the fraction of nodes removed, in [0, 1), for all sites or {site: η}.
        backend: a name or a Backend.
        key: from ``wc.key``.
        config: the configuration.
        on_generation: called with each generation as it is scored.
        scored: the first generations of this same search, which ``on_generation`` was called with or a ``history``
            has; the search goes on after them. Network, data, sparsity, key and configuration must be those that they
            were scored with. Only generations, patience, budget, winner and chunk may differ, and the backend.
        training: the training split, on which candidates take ``config.training_steps`` steps before they are scored.
        learning: how they take them: batch size, learning rate, momentum, decay, augmentation, compaction and compute.
    Returns:
        the winner and the history.
    Raises:
        ConfigError, DataError, BackendError: an argument does not fit; raised before any candidate is scored.
        SearchError: no candidate of a generation has a finite fitness.
    """
    examples = kept(checked_examples(net, data))
    check_search(net, config, len(examples.y))
    state = begun(key, search_plan(net, sparsity, config), config)
    limited = checked_training(net, training, learning, config)
    began = search_beginning(net, examples, key, sparsity, state.plan, config, limited)
    state = continued(state, began, scored)
    backend = load_backend(backend)
    check_layers(backend, net)
    task = _Task(net, examples, config, key, drawing(net, state.plan, config, backend, key), limited)
    while (stopped := ended(state)) is None:
        state, generation = told(state, _score(task, asked(state), state.generation), began)
        if on_generation is not None:
            on_generation(generation)
    winner = _winner(task, state)
    return SearchResult(
        network=_passed_on(task, state, winner),
        fitness=winner.fitness,
        margin=winner.margin,
        origin=winner.origin,
        history=state.history,
        stopped=stopped,
        evaluations=state.evaluations + winner.evaluations,
        validation_batch=len(validation_batch(key, 0, len(examples.y), config)),
        config=config,
    )


@guarded
def check_search(net: Network, config: SearchConfig, examples: Positive) -> None:
    """Raise ConfigError where a network cannot be searched as configured.

    It may not be compacted already. What is configured of batch normalisation and of initial weights must have an
    effect, a batch must be large enough for batch normalisation, and a fitness of the user's at hand.

    Args:
        net: the parent.
        config: the configuration of the search.
        examples: the number of examples in the validation split.
    """
    check_parent(net)
    check_weights(net, config)
    FITNESS[config.fitness]  # refuses a function that is only named
    if initial_statistics(net) and config.training_steps and config.batch_norm != "running":
        raise ConfigError(
            "training_steps make running statistics, by which candidates are then scored: in a network with batch "
            f'normalisation they need batch_norm="running"; got {config.batch_norm!r}.'
        )
    if not initial_statistics(net):
        check_effects(config, {"batch_norm": (False, "batch normalisation in the network")})
    elif (model := adopted(net)) is not None and config.batch_norm == "recalibrated":
        raise ConfigError(
            f'batch_norm="recalibrated" needs the statistics of a batch; {model.name} gives their running mean alone. '
            'Take "batch" or "running".'
        )
    elif config.batch_norm != "running":
        drawn = examples if config.batch_policy == "whole" else min(config.validation_batch, examples)
        check_normalised(net, drawn)


def _score(task: _Task, population: Population, generation: int) -> np.ndarray:
    backend, config, plan = task.drawn.backend, task.config, task.drawn.plan
    scoring = Scoring(config.fitness, config.precision, chunk_size(plan, config))
    batch = scored_batch(backend, task.data, task.key, generation, config, initial_statistics(task.net))
    given = task.net, task.drawn.weights, population, batch
    if task.training is None:
        return backend.to_numpy(backend.score_population(*given, scoring))
    limited = task.training.steps(task.key, generation, config)
    scoring = scoring._replace(chunk=min(scoring.chunk, side_by_side(task.net, plan, limited)))
    return (backend.score_trained or partial(score_trained, backend))(*given, scoring, limited)


def _passed_on(task: _Task, state: SearchState, winner: _Elected) -> Subnetwork:
    """The winner, at its initial weights or at those that it was scored with."""
    found = materialise(task.drawn, task.key, winner.origin, elite_masks(state, [winner.origin]))
    if task.training is None or task.config.trained_weights == "reset":
        return found
    return trained_candidate(task.drawn.backend, found, task.training.steps(task.key, winner.generation, task.config))


def _winner(task: _Task, state: SearchState) -> _Elected:
    """The final argmax (Algorithm 1, line 11)."""
    last = state.history[-1]
    if task.config.winner == "last_generation":
        return _Elected(last.elite, last.best, last.margin, 0, last.generation)
    elites = tuple(dict.fromkeys(generation.elite for generation in state.history))
    if task.config.winner == "best_overall" or len(elites) == 1:
        best = best_overall(state.history)
        others = [generation.best for generation in state.history if generation.elite != best.elite]
        return _Elected(best.elite, best.best, best.best - max(others) if others else None, 0, best.generation)
    fitness = _score(task, candidates(state, elites, elite_masks(state, elites)), state.generation)
    if not np.isfinite(fitness).any():
        raise SearchError(
            f"all {len(elites)} elites have a fitness that is NaN or infinite when they are scored again. "
            f"{remedy_of_lost(task.config.fitness)}"
        )
    chosen = int(select(fitness))
    return _Elected(elites[chosen], float(fitness[chosen]), margin(fitness), len(elites), state.generation)
