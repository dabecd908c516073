"""Backends that compute compacted networks wrongly, or score candidates by the wrong part of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from tests.conformance.wrappers import on_host, other_layers, with_arguments
from weedout_core import compact
from weedout_core.backend import Backend, Population, kept_indices, masks_from_keys
from weedout_core.nn import Gather, Scale, every_layer


def with_layers(backend: Backend, function: str, change: Callable[[Any], Any]) -> Backend:
    """A backend of which one function computes other layers."""
    return with_arguments(backend, function, lambda net, *rest: (other_layers(net, change), *rest))


def with_indices(backend: Backend, function: str, place: int, change: Callable[[np.ndarray], np.ndarray]) -> Backend:
    """A backend of which one function gathers elsewhere: ``change`` of int32 ``(R, count)``, the argument ``place``."""

    def other(net: Any, *rest: Any) -> tuple[Any, ...]:
        names = {layer.name for layer in every_layer(net.layers) if isinstance(layer, Gather)}
        arguments = [net, *rest]
        if names:
            arguments[place] = on_host(
                backend, lambda name, value: change(value) if name in names else value, arguments[place]
            )
        return tuple(arguments)

    return with_arguments(backend, function, other)


def before(indices: np.ndarray) -> np.ndarray:
    """The node before each, which is there for all but the first."""
    return np.maximum(indices - 1, 0)


def of_the_first(indices: np.ndarray) -> np.ndarray:
    return np.repeat(indices[:1], len(indices), axis=0)


def gathers_off_by_one(backend: Backend) -> Backend:
    return with_indices(backend, "predict", 3, before)


def gathers_what_the_first_network_does(backend: Backend) -> Backend:
    return with_indices(backend, "predict", 3, of_the_first)


def forgets_scale(backend: Backend) -> Backend:
    return with_layers(backend, "predict", lambda layer: () if isinstance(layer, Scale) else layer)


def trains_off_by_one(backend: Backend) -> Backend:
    """The node before each that is to be gathered."""
    return with_indices(backend, "train_epoch", 3, before)


def trains_on_what_the_first_network_gathers(backend: Backend) -> Backend:
    return with_indices(backend, "train_epoch", 3, of_the_first)


def trains_without_scale(backend: Backend) -> Backend:
    return with_layers(backend, "train_epoch", lambda layer: () if isinstance(layer, Scale) else layer)


def with_mask_keys(backend: Backend, change: Callable[[np.ndarray, int], np.ndarray]) -> Backend:
    """A backend that takes candidates' indices from other keys: ``change(mask_keys, chunk)``."""

    def other(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        if population.mask_keys is not None:
            population = population._replace(mask_keys=change(population.mask_keys, scoring.chunk))
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", other)


def indices_of_the_candidate_before(backend: Backend) -> Backend:
    return with_mask_keys(backend, lambda keys, chunk: np.roll(keys, 1, axis=0))


def indices_of_the_chunk_before(backend: Backend) -> Backend:
    """Those drawn for one chunk serve the next."""
    return with_mask_keys(backend, lambda keys, chunk: np.concatenate([keys[:chunk], keys[:-chunk]]))


def statistics_of_the_first_channels(backend: Backend) -> Backend:
    """Given statistics are cut to as many channels as are kept, in place of gathered.

    Written as the parent's statistics, in which each kept channel has what belongs to the one at its rank.
    """

    @wraps(backend.score_population)
    def score_population(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> Any:
        if population.plan is None or batch.statistics is None:
            return backend.score_population(net, params, population, batch, scoring)
        small = compact(net, population.plan.counts)
        given = {path: backend.to_numpy(value) for path, value in batch.statistics.items()}
        masks = masks_from_keys(population.mask_keys, population.plan)
        found: list[np.ndarray] = []
        for index in range(population.size):
            one = {site: mask[index : index + 1] for site, mask in masks.items()}
            indices = kept_indices({site: mask[0] for site, mask in one.items()})
            cut = {path: given[path][: len(value)] for path, value in small.gather(given, indices).items()}
            moved = batch._replace(
                statistics=on_host(backend, lambda _, value: value, small.expand(cut, indices, given))
            )
            own = None if population.weight_keys is None else population.weight_keys[index : index + 1]
            alone = Population(1, None, None, own, on_host(backend, lambda _, value: value, one))
            found.append(backend.to_numpy(backend.score_population(net, params, alone, moved, scoring)))
        return backend.asarray(np.concatenate(found))

    return replace(backend, score_population=score_population)
