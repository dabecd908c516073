"""Backends that train wrongly."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from tests.conformance.wrappers import on_host, other_layers, with_arguments, with_result
from weedout_core import TrainConfig
from weedout_core._networks.layers import walk
from weedout_core.backend import CROP_MARGIN, Backend, learning_rates
from weedout_core.nn import BatchNorm


def with_plan(backend: Backend, **fields: Any) -> Backend:
    """A backend that trains with other settings than it was given."""

    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        return net, plan._replace(config=replace(plan.config, **fields)), *rest

    return with_arguments(with_arguments(backend, "train_init", change), "train_epoch", change)


def with_epoch(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that changes what an epoch is given: ``change(state, masks, x, y, batches) -> the same``."""
    return with_arguments(backend, "train_epoch", lambda net, plan, *rest: (net, plan, *change(*rest)))


def with_batches(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that shows a network other examples: ``change(batches, plan)``."""
    return with_arguments(
        backend,
        "train_epoch",
        lambda net, plan, state, masks, x, y, batches: (net, plan, state, masks, x, y, change(batches, plan)),
    )


def with_crops(backend: Backend, change: Callable[[np.ndarray], np.ndarray]) -> Backend:
    """A backend that crops images elsewhere: ``change`` of int32 ``(R, steps, batch, 3)``."""

    def other(batches: Any, plan: Any) -> Any:
        return batches if batches.crops is None else batches._replace(crops=change(batches.crops).astype(np.int32))

    return with_batches(backend, other)


def with_state(backend: Backend, change: Callable[..., Any]) -> Backend:
    """A backend that changes the state after an epoch: ``change(after, before, net, plan)``."""
    return with_result(
        backend,
        "train_epoch",
        lambda result, net, plan, state, *_: (change(result[0], state, net, plan), result[1]),
    )


def plain_momentum(backend: Backend) -> Backend:
    return with_plan(backend, nesterov=False)


def no_momentum(backend: Backend) -> Backend:
    return with_plan(backend, momentum=0.0)


def default_precision_forgets_momentum(backend: Backend) -> Backend:
    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        forgets = {"momentum": 0.0} if plan.config.precision == "default" else {}
        return net, plan._replace(config=replace(plan.config, **forgets)), *rest

    return with_arguments(backend, "train_epoch", change)


def decays_everything(backend: Backend) -> Backend:
    def change(net: Any, plan: Any, *rest: Any) -> tuple[Any, ...]:
        decayed = "all" if plan.config.weight_decay else "weights"
        return net, plan._replace(config=replace(plan.config, decayed=decayed)), *rest

    return with_arguments(backend, "train_epoch", change)


def decays_norm_scale(backend: Backend) -> Backend:
    """γ too is pulled towards 0, after each epoch by what its steps would."""

    def change(after: Any, before: Any, net: Any, plan: Any) -> Any:
        steps = slice(before.epoch * plan.steps, after.epoch * plan.steps)
        left = 1 - plan.config.weight_decay * learning_rates(plan.config, plan.steps)[steps].sum()
        return after._replace(
            params=on_host(backend, lambda path, value: value * (left if path.endswith("/scale") else 1), after.params)
        )

    return with_state(backend, change)


def no_decay(backend: Backend) -> Backend:
    return with_plan(backend, weight_decay=0.0)


def constant_rate(backend: Backend) -> Backend:
    return with_plan(backend, schedule="constant")


def rate_never_drops(backend: Backend) -> Backend:
    return with_plan(backend, schedule="constant", step_epochs=(), step_factor=TrainConfig().step_factor)


def no_warm_up(backend: Backend) -> Backend:
    return with_plan(backend, warmup_epochs=0)


def own_data_order(backend: Backend) -> Backend:
    return with_batches(backend, lambda batches, plan: batches._replace(order=np.sort(batches.order, axis=1)))


def one_order_for_all(backend: Backend) -> Backend:
    return with_batches(
        backend,
        lambda batches, plan: batches._replace(order=np.repeat(batches.order[:1], len(batches.order), 0)),
    )


def trains_without_masks(backend: Backend) -> Backend:
    return with_epoch(backend, lambda state, masks, *rest: (state, None, *rest))


def trains_in_half_precision(backend: Backend) -> Backend:
    def halved(_: str, value: np.ndarray) -> np.ndarray:
        return value.astype(np.float16).astype(np.float32)

    return with_epoch(
        backend, lambda state, *rest: (state._replace(params=on_host(backend, halved, state.params)), *rest)
    )


def keeps_weights_in_bfloat16(backend: Backend) -> Backend:
    def cut(_: str, value: np.ndarray) -> np.ndarray:
        return (value.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)

    def change(after: Any, before: Any, net: Any, plan: Any) -> Any:
        del before, net
        half = plan.config.compute == "bfloat16"
        return after._replace(params=on_host(backend, cut, after.params)) if half else after

    return with_state(backend, change)


def bfloat16_without_masks(backend: Backend) -> Backend:
    def change(net: Any, plan: Any, state: Any, masks: Any, *rest: Any) -> tuple[Any, ...]:
        return net, plan, state, None if plan.config.compute == "bfloat16" else masks, *rest

    return with_arguments(backend, "train_epoch", change)


def forgets_the_epoch(backend: Backend) -> Backend:
    return with_state(backend, lambda after, before, *_: after._replace(epoch=before.epoch))


def forgets_the_velocity(backend: Backend) -> Backend:
    """Each epoch begins from rest."""
    return with_state(backend, lambda after, before, *_: after._replace(optimizer=before.optimizer))


def rows_for_columns(backend: Backend) -> Backend:
    return with_crops(backend, lambda crops: crops[..., [1, 0, 2]])


def never_mirrored(backend: Backend) -> Backend:
    return with_crops(backend, lambda crops: crops * [1, 1, 0])


def always_mirrored(backend: Backend) -> Backend:
    return with_crops(backend, lambda crops: crops * [1, 1, 0] + [0, 0, 1])


def mirrored_before_cropped(backend: Backend) -> Backend:
    """A column from the left of the mirrored image is one from the right of the image."""

    def change(crops: np.ndarray) -> np.ndarray:
        row, column, mirrored = np.moveaxis(crops, -1, 0)
        return np.stack([row, np.where(mirrored, 2 * CROP_MARGIN - column, column), mirrored], axis=-1)

    return with_crops(backend, change)


def one_group(backend: Backend) -> Backend:
    """The statistics of the whole batch, where those of groups are asked for."""
    return with_plan(backend, batch_norm_group=None)


def interleaved_groups(backend: Backend) -> Backend:
    """Every other example in a group, where they are consecutive."""

    def shuffled(drawn: np.ndarray, groups: int) -> np.ndarray:
        networks, steps, size, *rest = drawn.shape
        apart = drawn.reshape(networks, steps, size // groups, groups, *rest)
        return np.ascontiguousarray(apart.swapaxes(2, 3)).reshape(drawn.shape)

    def change(batches: Any, plan: Any) -> Any:
        return type(batches)(*(part if part is None else shuffled(part, plan.groups) for part in batches))

    return with_batches(backend, change)


def momentum_of_statistics_swapped(backend: Backend) -> Backend:
    """running ← (1 − momentum)·running + momentum·batch, as some libraries define it."""

    def swapped(layer: Any) -> Any:
        return replace(layer, momentum=min(1 - layer.momentum, 0.999)) if isinstance(layer, BatchNorm) else layer

    def change(net: Any, *rest: Any) -> tuple[Any, ...]:
        return other_layers(net, swapped), *rest

    return with_arguments(backend, "train_epoch", change)


def statistics_never_move(backend: Backend) -> Backend:
    return with_state(backend, lambda after, before, *_: after._replace(statistics=before.statistics))


def statistics_of_the_first_network(backend: Backend) -> Backend:
    def change(after: Any, *_: Any) -> Any:
        return after._replace(
            statistics=on_host(backend, lambda _, value: np.repeat(value[:1], len(value), 0), after.statistics)
        )

    return with_state(backend, change)


def unbiased_running_variance(backend: Backend) -> Backend:
    """The running variance is that of a sample, which is n/(n − 1) times larger, as PyTorch's is."""

    def change(after: Any, before: Any, net: Any, plan: Any) -> Any:
        statistics = dict(after.statistics)
        for layer, shape in walk(net.layers, net.input_shape):
            if isinstance(layer, BatchNorm):
                path = f"{layer.name}/variance"
                terms = plan.batch_size // plan.groups * math.prod(shape[:-1])
                left = backend.to_numpy(before.statistics[path]) * layer.momentum**plan.steps
                seen = backend.to_numpy(after.statistics[path]) - left
                statistics[path] = backend.asarray(left + seen * terms / (terms - 1))
        return after._replace(statistics=statistics)

    return with_state(backend, change)


def negated_velocity(backend: Backend) -> Backend:
    """Velocities have the other sign outside of an epoch: no other backend could go on from them."""

    def negated(state: Any) -> Any:
        return state._replace(optimizer=on_host(backend, lambda _, value: -value, state.optimizer))

    inside = with_epoch(backend, lambda state, *rest: (negated(state), *rest))
    return with_result(inside, "train_epoch", lambda result, *_: (negated(result[0]), result[1]))


def nothing_correct(backend: Backend) -> Backend:
    """No prediction is counted as correct."""

    def change(result: Any, *_: Any) -> Any:
        state, shown = result
        return state, shown._replace(correct=backend.asarray(0 * backend.to_numpy(shown.correct)))

    return with_result(backend, "train_epoch", change)


def trains_a_little_otherwise_each_time(backend: Backend) -> Backend:
    """Every call starts from weights a rounding further on."""
    calls = count()

    def change(state: Any, *rest: Any) -> tuple[Any, ...]:
        off = np.float32(1 + next(calls) * 2.0**-22)
        return state._replace(params=on_host(backend, lambda _, value: value * off, state.params)), *rest

    return with_epoch(backend, change)
