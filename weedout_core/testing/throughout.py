"""The check of a search that goes on while its winner trains.

It is made of calls that other checks hold one by one. Here they follow each other on arrays that change in between:
what a backend remembers of weights, statistics or masks from one call to the next is wrong by now.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.population import explicit_population
from weedout_core._configs.search_config import SearchConfig
from weedout_core._contract.calls import ScoredBatch, Scoring
from weedout_core._contract.record import Backend
from weedout_core._guard.hosted import host_array
from weedout_core._masks.plan import masks_from_keys
from weedout_core._networks.network import Network, initial_statistics
from weedout_core._phases.learning_phase import train
from weedout_core._phases.search_phase import search
from weedout_core._phases.trained import Trained
from weedout_core.testing.comparing import equal, within
from weedout_core.testing.courses import PLAINEST
from weedout_core.testing.networks import NETWORKS, TIED, networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device, on_host

#: Three epochs, with a generation after each but the last.
_TRAINING = replace(PLAINEST, momentum=0.9, search_epochs=1, compaction=False)
#: A network, a strategy, and whether masks become smaller: drawn ones of a network without batch normalisation, and
#: bred ones of a network with it, which are scored with its running statistics.
_ROWS = ((NETWORKS[0], "random_search", False), (TIED[0], "one_plus_lambda", True))


class _Scored(NamedTuple):
    """A generation that was scored, in NumPy."""

    net: Network
    params: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    batch: ScoredBatch
    scoring: Scoring
    fitness: np.ndarray


def throughout_agrees(backend: Backend, reference: Backend) -> None:
    """Each generation in training is scored as the reference scores the weights and statistics that it has by then."""

    rows = [row for row in _ROWS if networks(backend, row[:1])]

    @across([st.tuples(problem(row[0]), st.just(row)) for row in rows], once=True)
    def agree(case: tuple[Problem, tuple[Network, str, bool]]) -> None:
        one, (_, strategy, rises) = case
        batch_norm: Any = "running" if initial_statistics(one.net) else "batch"
        config = SearchConfig(
            population=6, generations=1, strategy=strategy, batch_norm=batch_norm, validation_batch=len(one.y)
        )
        seen: list[_Scored] = []
        trained = _trained(backend, one, config, rises, seen)
        for number, shown in enumerate(seen):
            wanted, most = _expected(reference, shown)
            within(f"fitness after epoch {number + 1} of training", shown.fitness, wanted, most)
            scored = shown.fitness.astype(np.float64)
            equal("the fitness of its generation", trained.generations[number].fitness, scored)
        elite = int(np.argmax(seen[-1].fitness))
        for site, mask in seen[-1].masks.items():
            equal(f"the mask of {site!r} in the end", (trained.network.mask or {})[site], mask[elite])

    agree()


def _trained(backend: Backend, problem: Problem, config: SearchConfig, rises: bool, seen: list[_Scored]) -> Trained:
    """A search and the training of its winner, on a problem's examples and their negatives."""
    validation = np.concatenate([problem.x, -problem.x]), np.concatenate([problem.y, problem.y])
    key, by = problem.keys[0], _watched(backend, seen)
    sparsity: Any = problem.sparsity
    more = 1 - (1 - sparsity) / 2 if rises else None
    found = search(problem.net, validation, sparsity=sparsity, backend=backend, key=key, config=config)
    return train(
        found.network, (problem.x, problem.y), backend=by, key=key, config=_TRAINING, found=found,
        validation=validation, sparsity=more,
    )  # fmt: skip


def _watched(backend: Backend, seen: list[_Scored]) -> Backend:
    """The backend, changed to append to ``seen`` what it is handed to score, and what it makes of it."""

    def score_population(net: Any, params: Any, population: Any, batch: ScoredBatch, scoring: Scoring) -> Any:
        fitness = backend.score_population(net, params, population, batch, scoring)
        masks = population.masks or masks_from_keys(population.mask_keys, population.plan)
        hosted = {site: host_array(mask) for site, mask in masks.items()}
        statistics = None if batch.statistics is None else on_host(backend, batch.statistics)
        shown = ScoredBatch(backend.to_numpy(batch.x), backend.to_numpy(batch.y), statistics)
        seen.append(_Scored(net, on_host(backend, params), hosted, shown, scoring, backend.to_numpy(fitness)))
        return fitness

    return replace(backend, score_population=score_population)


def _expected(reference: Backend, one: _Scored) -> tuple[np.ndarray, np.ndarray]:
    """The fitness of each candidate, and a bound on its error: the weights are the backend's own, without an error."""
    x, y, statistics = one.batch.x, one.batch.y, one.batch.statistics
    shown = ScoredBatch(
        reference.asarray(x), reference.asarray(y), None if statistics is None else on_device(reference, statistics)
    )
    params, given = on_device(reference, one.params), explicit_population(one.masks, len(one.fitness))
    wanted = reference.to_numpy(reference.score_population(one.net, params, given, shown, one.scoring))
    each_mask = [{site: mask[index] for site, mask in one.masks.items()} for index in range(len(one.fitness))]
    logits = [bound("apply")(one.net, one.params, mask, x, statistics=statistics) for mask in each_mask]
    return wanted, np.array([bound(str(one.scoring.fitness))(*pair) for pair in logits])
