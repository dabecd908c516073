"""Fitness after limited training: candidates are trained for a few steps, side by side, and then scored.

It is made of what every backend has: ``train_init``, ``train_epoch`` and ``predict``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.limited import LimitedTraining, legs
from weedout_core._algorithm.population import Population
from weedout_core._compaction.compaction import compact
from weedout_core._contract.calls import Parameters, ScoredBatch, Scoring, Specs, TrainState
from weedout_core._contract.record import Backend, map_tree
from weedout_core._guard.hosted import frozen
from weedout_core._masks.plan import MaskPlan
from weedout_core._networks.network import Network, activation_shapes, initial_statistics, parameter_shapes
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.together import SparseNetworks, sparse_networks, trained_smaller

_FLOATS = 2**28  # of the candidates that are trained side by side: 1 GiB
_STATE = 5  # floats a parameter: weights and velocities before a step and after it, and gradients
_KEPT = 2  # floats a value of each layer: it is kept for the backward pass, which has its gradient


def score_trained(
    backend: Backend,
    net: Network,
    params: Parameters | Specs,
    population: Population,
    batch: ScoredBatch,
    scoring: Scoring,
    limited: LimitedTraining,
) -> np.ndarray:
    """The fitness of each candidate after its steps, float64 ``(m,)``.

    Batch normalisation takes the running statistics that the steps have made.

    Args:
        backend: what computes.
        limited: the steps.
        net, params, population, batch, scoring: as for a backend's ``score_population``; at most ``scoring.chunk``
            candidates are trained side by side.
    """
    found: list[np.ndarray] = []
    for some in np.array_split(np.arange(population.size), -(-population.size // scoring.chunk)):
        sparse, state = trained(backend, list(_networks(backend, net, params, population, some)), limited)
        logits = backend.predict(sparse.net, state.params, state.statistics, sparse.masks, batch.x)
        fitness = FITNESS[scoring.fitness](backend.to_numpy(logits).astype(np.float64), backend.to_numpy(batch.y))
        found.append(fitness)
    return np.concatenate(found)


def trained(
    backend: Backend, networks: Sequence[Subnetwork], limited: LimitedTraining
) -> tuple[SparseNetworks, TrainState]:
    """Sparse networks of one parent after their steps."""
    sparse = sparse_networks(networks, backend, trained_smaller(networks[0].net, limited.plan.config))
    params = sparse.smaller(backend, [one.params for one in networks])
    statistics = sparse.smaller(backend, [one.moving for one in networks])
    keys = np.repeat(limited.key[None], len(networks), axis=0)
    state = backend.train_init(sparse.net, limited.plan, keys, params, statistics)
    for leg in legs(limited, len(networks)):
        x, y = backend.asarray(leg.x), backend.asarray(leg.y)
        state, _ = backend.train_epoch(sparse.net, leg.plan, state, sparse.masks, x, y, leg.batches)
    return sparse, state


def trained_candidate(backend: Backend, network: Subnetwork, limited: LimitedTraining) -> Subnetwork:
    """A candidate with the weights and the running statistics that its steps have made."""
    sparse, state = trained(backend, [network], limited)
    (params,) = sparse.parents(backend, state.params, [network.params])
    (statistics,) = sparse.parents(backend, state.statistics, [network.moving])
    return Subnetwork(network.net, params, network.mask, statistics or None)


def side_by_side(net: Network, plan: MaskPlan, limited: LimitedTraining) -> int:
    """How many candidates are trained side by side: as many as have 2^28 floats, and at least one."""
    small = compact(net, plan.counts).net if trained_smaller(net, limited.plan.config) else net
    weights, values = parameter_shapes(small).values(), activation_shapes(small)
    floats = _STATE * sum(map(math.prod, weights)) + _KEPT * limited.plan.batch_size * sum(map(math.prod, values))
    return max(1, _FLOATS // floats)


def _networks(
    backend: Backend, net: Network, params: Parameters | Specs, population: Population, some: np.ndarray
) -> Iterator[Subnetwork]:
    """Some candidates of a population, at their initial weights."""
    shared = _hosted(backend, params) if isinstance(params, Mapping) else None
    statistics = initial_statistics(net) or None
    if population.plan is None or population.mask_keys is None:
        drawn: Mapping[str, Any] = {site: mask[some] for site, mask in (population.masks or {}).items()}
    else:
        drawn = backend.masks_from_keys(population.mask_keys[some], population.plan)
    masks = map_tree(backend.to_numpy, drawn)
    for place, index in enumerate(some):
        own = shared
        if own is None and population.weight_keys is not None and not isinstance(params, Mapping):
            own = _hosted(backend, backend.draw_parameters(population.weight_keys[index], params))
        yield Subnetwork(net, own or {}, {site: mask[place] for site, mask in masks.items()}, statistics)


def _hosted(backend: Backend, params: Parameters) -> dict[str, np.ndarray]:
    return map_tree(lambda value: frozen(backend.to_numpy(value)), params)
