"""Epochs: mutants that keep inside what belongs to the state or the arguments; straight through, they are right."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tests.conformance.wrappers import with_arguments
from tests.conformance.wrong_training import with_epoch
from tests.mutants.body import EPOCHS
from tests.mutants.witnesses import FLAT, IMAGES, Given, Prepare, given, nothing, started
from weedout_core import Network, TrainConfig
from weedout_core.backend import Backend, TrainState, epoch_batches, map_tree, train_plan
from weedout_core.random import key, split


def again(net: Network = FLAT, change: Callable[[TrainState], TrainState] = lambda state: state, **config: Any) -> Any:
    """A witness: two epochs, another training beside them, and the second epoch again from a changed state."""

    def answers(backend: Backend) -> Any:
        plan = train_plan(TrainConfig(**{"epochs": 3, "batch_size": 4, "batch_norm_group": None} | config), 8)
        one, other = _training(backend, net, plan, 3, nothing), _training(backend, net, plan, 4, _otherwise)
        after, beside = one.epoch(one.begin()), other.epoch(other.begin())
        return [after, beside, one.epoch(after[0]), one.epoch(change(after[0])), other.epoch(beside[0]), one.begin()]

    return answers


class _Training(NamedTuple):
    begin: Callable[[], TrainState]
    epoch: Callable[[TrainState], Any]


def _training(backend: Backend, net: Network, plan: Any, seed: int, prepare: Prepare) -> _Training:
    made, keys = given(net, 2, 8, prepare), split(key(seed), 2)
    masks, x, y = map_tree(backend.asarray, made.masks), backend.asarray(made.x), backend.asarray(made.y)

    def epoch(state: TrainState) -> Any:
        return backend.train_epoch(net, plan, state, masks, x, y, epoch_batches(list(keys), state.epoch, plan))

    return _Training(lambda: started(backend, net, plan, keys, made), epoch)


def _otherwise(made: Given) -> None:
    made.x[:] *= 2
    for tree in (made.params, made.statistics):
        for value in tree.values():
            value *= 2
    for mask in made.masks.values():
        mask[:] = True


def _halved(state: TrainState) -> TrainState:
    return state._replace(
        params=map_tree(lambda value: value / 2, state.params), optimizer=map_tree(lambda v: v / 2, state.optimizer)
    )


def remembered(backend: Backend, field: str, same: Callable[[TrainState, Any], Any]) -> Backend:
    """A backend that goes on with its own field of the state, from the epoch before of the same training."""
    kept: dict[Any, Any] = {}

    def train_epoch(net: Any, plan: Any, state: Any, *rest: Any) -> Any:
        which = same(state, plan)
        if state.epoch and which in kept:
            state = state._replace(**{field: kept[which]})
        after, result = backend.train_epoch(net, plan, state, *rest)
        kept[which] = getattr(after, field)
        return after, result

    return replace(backend, train_epoch=train_epoch)


def _always(state: TrainState, plan: Any) -> Any:
    return len(state.keys), sorted((path, value.shape) for path, value in state.params.items()).__repr__()


def _by_key(state: TrainState, plan: Any) -> Any:
    return np.asarray(state.keys).tobytes(), _always(state, plan)


@EPOCHS.wrapper("train_epoch", again())
def velocities_kept_inside(backend: Backend) -> Backend:
    """After the first epoch the velocities are those of the last call, whatever the state says."""
    return remembered(backend, "optimizer", _always)


@EPOCHS.wrapper("train_epoch", again())
def velocities_kept_by_key(backend: Backend) -> Backend:
    """After the first epoch the velocities are those of the last call with the same keys: an epoch is not run again."""
    return remembered(backend, "optimizer", _by_key)


@EPOCHS.wrapper("train_epoch", again(IMAGES))
def statistics_kept_inside(backend: Backend) -> Backend:
    """After the first epoch the running statistics are those of the last call."""
    return remembered(backend, "statistics", _always)


@EPOCHS.wrapper("train_epoch", again(IMAGES))
def statistics_kept_by_key(backend: Backend) -> Backend:
    """After the first epoch the running statistics are those of the last call for the same keys."""
    return remembered(backend, "statistics", _by_key)


@EPOCHS.wrapper("train_epoch", again(change=_halved))
def weights_kept_by_key(backend: Backend) -> Backend:
    """Weights stay on the device: those of a state that was changed on the host are not read."""
    return remembered(backend, "params", _by_key)


@EPOCHS.wrapper("train_epoch", again(schedule="cosine"))
def epochs_counted_inside(backend: Backend) -> Backend:
    """The rates are those of as many epochs as were run since the last first one, whatever the state says."""
    done = [0]

    def train_epoch(net: Any, plan: Any, state: Any, *rest: Any) -> Any:
        done[0] = min(done[0] + 1, plan.config.epochs - 1) if state.epoch else 0
        after, result = backend.train_epoch(net, plan, state._replace(epoch=done[0]), *rest)
        return after._replace(epoch=state.epoch + 1), result

    return replace(backend, train_epoch=train_epoch)


@EPOCHS.wrapper("train_epoch", again())
def masks_of_the_first_call(backend: Backend) -> Backend:
    """The masks of a network are those of the first training of its shape."""
    kept: dict[Any, Any] = {}

    def change(net: Any, plan: Any, state: Any, masks: Any, *rest: Any) -> tuple[Any, ...]:
        return net, plan, state, kept.setdefault((net, masks is None, len(state.keys)), masks), *rest

    return with_arguments(backend, "train_epoch", change)


@EPOCHS.wrapper("train_epoch", again())
def data_of_the_first_call(backend: Backend) -> Backend:
    """The examples are copied to the device once for each shape, and others of this shape are never seen."""
    kept: dict[Any, Any] = {}

    def change(state: Any, masks: Any, x: Any, y: Any, batches: Any) -> tuple[Any, ...]:
        return state, masks, *kept.setdefault((x.shape, y.shape), (x, y)), batches

    return with_epoch(backend, change)


@EPOCHS.wrapper("train_epoch", again())
def order_kept_by_epoch(backend: Backend) -> Backend:
    """The order of an epoch is computed ahead and kept by its number: another seed has the same."""
    kept: dict[Any, Any] = {}

    def change(state: Any, masks: Any, x: Any, y: Any, batches: Any) -> tuple[Any, ...]:
        return state, masks, x, y, kept.setdefault((state.epoch, batches.order.shape, batches.crops is None), batches)

    return with_epoch(backend, change)
