"""Backends whose gradient of the masks is wrong in one way."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from weedout_core.backend import Backend
from weedout_core.nn import initial_statistics


def with_gradients(backend: Backend, change: Callable[..., np.ndarray]) -> Backend:
    """A backend that gives other gradients: ``change(gradient, mask, examples)``, at each site."""

    def changed(found: Any, net: Any, params: Any, statistics: Any, masks: Any, x: Any, y: Any) -> Any:
        return {
            site: change(backend.to_numpy(value), backend.to_numpy(masks[site]), len(x))
            for site, value in found.items()
        }

    return with_result(backend, "mask_gradient", changed)


def mean_of_examples(backend: Backend) -> Backend:
    """The mean over the examples, not their sum."""
    return with_gradients(backend, lambda gradient, mask, examples: gradient / examples)


def nothing_for_removed_nodes(backend: Backend) -> Backend:
    """0 where a node is removed, as if the mask's number itself were multiplied in."""
    return with_gradients(backend, lambda gradient, mask, examples: gradient * mask)


def in_single_precision(backend: Backend) -> Backend:
    """What float32 holds of the gradient, in float64."""
    return with_gradients(backend, lambda gradient, mask, examples: gradient.astype(np.float32).astype(np.float64))


def every_node_kept(backend: Backend) -> Backend:
    """The gradient where no node is removed, whatever the masks."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any, y: Any) -> tuple[Any, ...]:
        full = {site: backend.asarray(np.ones(mask.shape, np.bool_)) for site, mask in masks.items()}
        return net, params, statistics, full, x, y

    return with_arguments(backend, "mask_gradient", change)


def statistics_ignored(backend: Backend) -> Backend:
    """Batch normalisation takes its first statistics, not those given."""

    def change(net: Any, params: Any, statistics: Any, *rest: Any) -> tuple[Any, ...]:
        first = {path: backend.asarray(value) for path, value in initial_statistics(net).items()}
        return net, params, first, *rest

    return with_arguments(backend, "mask_gradient", change)


def labels_ignored(backend: Backend) -> Backend:
    """Always the gradient of the sum of the logits."""
    return with_arguments(backend, "mask_gradient", lambda *given: (*given[:-1], None))


def one_site_forgotten(backend: Backend) -> Backend:
    """The last site has no gradient."""
    return with_result(backend, "mask_gradient", lambda found, *given: dict(list(found.items())[:-1]))
