"""Backends that run or score networks wrongly."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from tests.conformance.wrappers import batch_statistics, on_host, other_layers, with_arguments, with_result
from weedout_core._networks.layers import walk
from weedout_core.backend import Backend
from weedout_core.nn import BatchNorm, Conv, Mask, Residual, initial_statistics


def with_fitness(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that changes the fitness it computed: ``change(fitness, population, y)``."""
    return with_result(
        backend,
        "score_population",
        lambda fitness, net, params, population, batch, _: backend.asarray(
            change(backend.to_numpy(fitness), population, batch.y)
        ),
    )


def with_batch(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that scores with other statistics: ``change(batch, net, params)`` is a ScoredBatch."""
    return with_arguments(
        backend,
        "score_population",
        lambda net, params, population, batch, scoring: (net, params, population, change(batch, net, params), scoring),
    )


def with_layers(backend: Backend, change: Callable[[Any], Any]) -> Backend:
    """A backend that predicts with other layers."""
    return with_arguments(backend, "predict", lambda net, *rest: (other_layers(net, change), *rest))


def with_windows(backend: Backend, change: Callable[[np.ndarray], np.ndarray]) -> Backend:
    """A backend that predicts with other windows: ``change`` of ``(R, window, window, channels, features)``."""
    return with_arguments(
        backend,
        "predict",
        lambda net, params, *rest: (
            net, on_host(backend, lambda _, value: change(value) if value.ndim == 5 else value, params), *rest,
        ),
    )  # fmt: skip


def with_spread(backend: Backend, granularity: str, spread: Callable[..., np.ndarray]) -> Backend:
    """A backend that spreads the masks of one kind wrongly over images: ``spread(mask, shape)`` is ``(R, *shape)``."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
        shapes = {
            layer.site: shape
            for layer, shape in walk(net.layers, net.input_shape)
            if isinstance(layer, Mask) and layer.granularity == granularity and len(shape) == 3
        }
        net = other_layers(net, lambda layer: replace(layer, granularity="node") if isinstance(layer, Mask) else layer)
        return net, params, statistics, masks and on_host(
            backend, lambda site, mask: spread(mask, shapes[site]) if site in shapes else mask, masks
        ), x  # fmt: skip

    return with_arguments(backend, "predict", change)


def half_precision(backend: Backend) -> Backend:
    """As products in TF32 or bfloat16 would be."""

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        return net, on_host(backend, lambda _, value: value.astype(np.float16).astype(np.float32), params), *rest

    return with_arguments(backend, "predict", change)


def predicts_without_masks(backend: Backend) -> Backend:
    return with_arguments(
        backend, "predict", lambda net, params, statistics, masks, x: (net, params, statistics, None, x)
    )


def never_rescales(backend: Backend) -> Backend:
    return with_layers(backend, lambda layer: replace(layer, rescale=False) if isinstance(layer, Mask) else layer)


def channel_mask_over_height(backend: Backend) -> Backend:
    """Broadcast from the left."""

    def spread(mask: np.ndarray, shape: Any) -> np.ndarray:
        rows = mask[:, np.arange(shape[0]) % mask.shape[1]]
        return np.broadcast_to(rows[:, :, None, None], (len(mask), *shape))

    return with_spread(backend, "channel", spread)


def node_mask_of_first_pixel(backend: Backend) -> Backend:
    """Removes channels where nodes are to be removed."""
    return with_spread(backend, "node", lambda mask, shape: np.broadcast_to(mask[:, :1, :1], mask.shape))


def padded_as_same(backend: Backend) -> Backend:
    """As XLA's SAME: what is left over of the padding goes to the end, so that stride 2 begins a pixel later.

    Written as a window with a border of zeros, in which the true window is shifted.
    """

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        wider = dict(params)
        for layer, shape in walk(net.layers, net.input_shape):
            if isinstance(layer, Conv):
                kernel = backend.to_numpy(params[f"{layer.name}/kernel"])
                window, stride = layer.kernel_size, layer.stride
                padding = [max((-(-size // stride) - 1) * stride + window - size, 0) for size in shape[:2]]
                rows, columns = (1 + (window - 1) // 2 - both // 2 for both in padding)
                wide = np.zeros((len(kernel), window + 2, window + 2, *kernel.shape[3:]), np.float32)
                wide[:, rows : rows + window, columns : columns + window] = kernel
                wider[f"{layer.name}/kernel"] = backend.asarray(wide)
        net = other_layers(
            net, lambda layer: replace(layer, kernel_size=layer.kernel_size + 2) if isinstance(layer, Conv) else layer
        )
        return net, wider, *rest

    return with_arguments(backend, "predict", change)


def flipped_window(backend: Backend) -> Backend:
    """The convolution of the textbooks, which turns its window round."""
    return with_windows(backend, lambda kernel: kernel[:, ::-1, ::-1])


def transposed_window(backend: Backend) -> Backend:
    return with_windows(backend, lambda kernel: kernel.swapaxes(1, 2))


def shortcut_left_out(backend: Backend) -> Backend:
    return with_layers(backend, lambda layer: layer.main if isinstance(layer, Residual) else layer)


def one_epsilon_for_all(backend: Backend) -> Backend:
    return with_layers(backend, lambda layer: replace(layer, epsilon=1e-5) if isinstance(layer, BatchNorm) else layer)


def statistics_ignored(backend: Backend) -> Backend:
    """Predicts with the statistics that a network has before training."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
        initial = initial_statistics(net)
        fresh = on_host(backend, lambda path, value: np.tile(initial[path], (len(value), 1)), statistics)
        return net, params, fresh, masks, x

    return with_arguments(backend, "predict", change)


def predicts_with_the_batch(backend: Backend) -> Backend:
    """As a module that nobody told that training is over."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
        return net, params, statistics and batch_statistics(backend, net, params, masks, x), masks, x

    return with_arguments(backend, "predict", change)


def cost_for_fitness(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, y: -fitness)


def sum_for_mean(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, y: fitness * len(y))


def not_finite_is_zero(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, y: np.nan_to_num(fitness))


def last_candidate_dropped(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, y: np.concatenate([fitness[:-1], fitness[:1]]))


def sorted_candidates(backend: Backend) -> Backend:
    return with_fitness(backend, lambda fitness, population, y: np.sort(fitness))


def hidden_state(backend: Backend) -> Backend:
    """Each call moves the next one."""
    calls = count()
    return with_fitness(backend, lambda fitness, population, y: fitness + np.float32(1e-6) * next(calls))


def writes_to_its_input(backend: Backend) -> Backend:
    def change(fitness: np.ndarray, population: Any, y: Any) -> np.ndarray:
        if population.mask_keys is not None:
            population.mask_keys[...] = population.mask_keys[::-1]
        return fitness

    return with_fitness(backend, change)


def highest_class_of_ties(backend: Backend) -> Backend:
    """Of equal logits the last is the class, where all candidates keep every node."""

    def change(scored: Any, net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> Any:
        masks = population.masks
        if masks is None or not all(backend.to_numpy(mask).all() for mask in masks.values()):
            return scored
        if scoring.fitness != "accuracy" or initial_statistics(net) or not isinstance(params, Mapping):
            return scored
        logits = backend.to_numpy(backend.apply(net, params, batch.x))
        last = logits.shape[1] - 1 - logits[:, ::-1].argmax(axis=1)
        right = np.mean(last == backend.to_numpy(batch.y))
        return backend.asarray(np.full(population.size, right, dtype=np.float32))

    return with_result(backend, "score_population", change)


def scores_with_shared_weights(backend: Backend) -> Backend:
    """Draws the first candidate's weights for all."""

    def change(net: Any, params: Any, population: Any, *rest: Any) -> tuple[Any, ...]:
        own = population.weight_keys
        shared = population._replace(weight_keys=None if own is None else np.repeat(own[:1], len(own), 0))
        return net, params, shared, *rest

    return with_arguments(backend, "score_population", change)


def scores_with_running_statistics(backend: Backend) -> Backend:
    """Those before training, where the batch's are asked for."""

    def change(batch: Any, net: Any, params: Any) -> Any:
        if batch.statistics is not None or batch.calibration is not None:
            return batch
        return batch._replace(statistics=on_host(backend, lambda _, value: value, initial_statistics(net)))

    return with_batch(backend, change)


def statistics_of_the_batch_always(backend: Backend) -> Backend:
    return with_batch(backend, lambda batch, net, params: batch._replace(statistics=None, calibration=None))


def recalibrated_on_the_scored_batch(backend: Backend) -> Backend:
    return with_batch(
        backend,
        lambda batch, net, params: batch if batch.calibration is None else batch._replace(calibration=batch.x),
    )


def recalibrated_without_masks(backend: Backend) -> Backend:
    """Once for the parent, in place of once for each candidate."""

    def change(batch: Any, net: Any, params: Any) -> Any:
        if batch.calibration is None or not initial_statistics(net) or not isinstance(params, Mapping):
            return batch
        parent = {path: value[None] for path, value in params.items()}
        seen = batch_statistics(backend, net, parent, None, batch.calibration)
        return batch._replace(statistics={path: value[0] for path, value in seen.items()}, calibration=None)

    return with_batch(backend, change)


def unbiased_variance(backend: Backend) -> Backend:
    """Divides by n − 1, written as another γ and ε: with s = (n − 1)/n, γ / √(v/s + ε) = γ √s / √(v + s ε)."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        given = batch.statistics is not None or batch.calibration is not None
        if given or not isinstance(params, Mapping):
            return net, params, population, batch, scoring
        share = {
            layer.name: 1 - 1 / (len(batch.x) * math.prod(shape[:-1]))
            for layer, shape in walk(net.layers, net.input_shape)
            if isinstance(layer, BatchNorm)
        }

        def scaled(path: str, value: np.ndarray) -> np.ndarray:
            return value * math.sqrt(share[path.removesuffix("/scale")]) if path.endswith("/scale") else value

        net = other_layers(
            net,
            lambda layer: (
                replace(layer, epsilon=layer.epsilon * share[layer.name]) if isinstance(layer, BatchNorm) else layer
            ),
        )
        return net, on_host(backend, scaled, params), population, batch, scoring

    return with_arguments(backend, "score_population", change)


def predicts_with_the_first_weights(backend: Backend) -> Backend:
    """Every network predicts with the weights of the first."""

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        return net, on_host(backend, lambda _, value: np.repeat(value[:1], len(value), axis=0), params), *rest

    return with_arguments(backend, "predict", change)


def predicts_with_the_first_statistics(backend: Backend) -> Backend:
    """Every network predicts with the statistics of the first."""

    def change(net: Any, params: Any, statistics: Any, *rest: Any) -> tuple[Any, ...]:
        first = on_host(backend, lambda _, value: np.repeat(value[:1], len(value), axis=0), statistics)
        return net, params, first, *rest

    return with_arguments(backend, "predict", change)


def norm_ignored_for_keys(backend: Backend) -> Backend:
    """A population of keys is scored with the batch's statistics, whatever was asked."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        if population.masks is None:
            batch = batch._replace(statistics=None, calibration=None)
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


def names_too_few_layers(backend: Backend) -> Backend:
    """Without Mask there is nothing to search."""
    return replace(backend, layers=tuple(kind for kind in backend.layers if kind is not Mask))
