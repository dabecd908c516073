"""The epochs of a training: networks that are trained together, on a backend, from one state to the next."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.fitness import predictions
from weedout_core._algorithm.schedule import TrainPlan, epoch_batches
from weedout_core._contract.calls import EpochResult, Parameters, TrainState
from weedout_core._contract.record import Backend, map_tree
from weedout_core._guard.hosted import frozen
from weedout_core._networks.examples import Examples
from weedout_core._phases.beginning import Beginning
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.throughout import MaskSearch, searched
from weedout_core._phases.together import SparseNetworks, Tree, sparse_networks, trained_smaller
from weedout_core._phases.trained import Epoch, Trained, sealed
from weedout_core._random.annotations import Key


class Learning(NamedTuple):
    """What stays the same between two generations: the data on the device, the labels of the test split on the host.

    Without a search there is none, and it stays the same throughout.
    """

    networks: Sequence[Subnetwork]
    plan: TrainPlan
    keys: Sequence[Key]
    began: Sequence[Beginning]
    backend: Backend
    sparse: SparseNetworks
    data: Examples
    test: Examples | None
    searches: tuple[MaskSearch, ...]


class Shown(NamedTuple):
    """The results of a network so far: ``losses`` and ``history`` of :class:`Trained`."""

    losses: np.ndarray
    history: tuple[Epoch, ...]

    def after(self, losses: np.ndarray, epoch: Epoch) -> "Shown":
        """With those of one epoch more."""
        return Shown(frozen(np.concatenate([self.losses, losses])), (*self.history, epoch))


NOTHING = Shown(frozen(np.zeros(0)), ())


def next_generation(task: Learning, state: TrainState) -> tuple[Learning, TrainState]:
    """Score a generation of each search, and put the networks under the masks of its elite."""
    networks, velocities = _hosted(task, state)
    pairs = [searched(task.backend, *one) for one in zip(task.searches, networks, strict=True)]
    searches, networks = zip(*pairs, strict=True)
    sparse = sparse_networks(networks, task.backend, trained_smaller(networks[0].net, task.plan.config))
    task = task._replace(networks=networks, sparse=sparse, searches=searches)
    return task, _state(task, state.epoch, velocities)


def begin(task: Learning) -> TrainState:
    """The state before the first epoch."""
    params = task.sparse.smaller(task.backend, [network.params for network in task.networks])
    statistics = task.sparse.smaller(task.backend, [network.moving for network in task.networks])
    return task.backend.train_init(task.sparse.net, task.plan, np.stack(list(task.keys)), params, statistics)


def resumed(task: Learning, resume: Sequence[Trained]) -> TrainState:
    """The state after the epochs of a result, whose networks are those of the task."""
    return _state(task, len(resume[0].history), [one.velocity for one in resume])


def _state(task: Learning, epoch: int, velocities: Sequence[Tree]) -> TrainState:
    """The state after some epochs, of which the networks have the weights and the running statistics."""
    trees = zip(*((one.params, one.moving) for one in task.networks), strict=True)
    params, statistics, velocity = (task.sparse.smaller(task.backend, each) for each in (*trees, velocities))
    return TrainState(np.stack(list(task.keys)), epoch, params, statistics, velocity)


def next_epoch(task: Learning, state: TrainState) -> tuple[TrainState, EpochResult]:
    """Train for one epoch."""
    batches = epoch_batches(task.keys, state.epoch, task.plan)
    return task.backend.train_epoch(
        task.sparse.net, task.plan, state, task.sparse.masks, task.data.x, task.data.y, batches
    )


def epoch_results(task: Learning, state: TrainState, result: EpochResult) -> list[tuple[np.ndarray, Epoch]]:
    """For each network the losses of the epoch's steps, and the results of the epoch."""
    losses = task.backend.to_numpy(result.loss).astype(np.float64)
    right = task.backend.to_numpy(result.correct).astype(np.float64).mean(axis=1) / task.plan.batch_size
    return [
        (loss, _record(state.epoch, loss, float(train_accuracy), *tested))
        for loss, train_accuracy, tested in zip(losses, right, _tested(task, state), strict=True)
    ]


def _record(epoch: int, losses: np.ndarray, train_accuracy: float, test_accuracy: float, lost: int) -> Epoch:
    """The results of an epoch of a network. Steps whose loss is not finite are counted, and are in no mean."""
    not_finite = int(np.count_nonzero(~np.isfinite(losses)))
    loss, train_accuracy = (math.nan, math.nan) if not_finite else (float(losses.mean()), train_accuracy)
    return Epoch(epoch, loss, train_accuracy, test_accuracy, not_finite, lost)


def _tested(task: Learning, state: TrainState) -> list[tuple[float, int]]:
    """For each network the test accuracy, and how many examples are not finite; NaN and 0 without a test split."""
    if task.test is None:
        return [(math.nan, 0)] * len(task.keys)
    backend, y = task.backend, task.test.y
    logits = backend.predict(task.sparse.net, state.params, state.statistics, task.sparse.masks, task.test.x)
    logits = backend.to_numpy(logits)
    finite = task.sparse.finite(backend, {**state.params, **state.statistics}, logits)
    right, lost = np.mean(predictions(logits) == y, axis=-1), np.count_nonzero(~finite, axis=-1)
    return [(math.nan if out else float(part), int(out)) for part, out in zip(right, lost, strict=True)]


def fetched(task: Learning, state: TrainState, shown: Sequence[Shown]) -> tuple[Trained, ...]:
    """The training so far, from the device."""
    networks, velocities = _hosted(task, state)
    generations = [one.generations for one in task.searches] or [()] * len(networks)
    return tuple(
        sealed(network, velocity, *so_far, scored, began)
        for network, velocity, so_far, scored, began in zip(
            networks, velocities, shown, generations, task.began, strict=True
        )
    )


def _hosted(task: Learning, state: TrainState) -> tuple[list[Subnetwork], list[Tree]]:
    """The networks as they are by now, and their velocities, in the parent's shape."""
    velocity: Parameters = state.optimizer if task.plan.optimizer is None else {}
    before = [network.params for network in task.networks]
    params, statistics, moving = (
        task.sparse.parents(task.backend, *pair)
        for pair in (
            (state.params, before),
            (state.statistics, [network.moving for network in task.networks]),
            (velocity, [map_tree(np.zeros_like, tree) for tree in before]),
        )
    )
    networks = [
        Subnetwork(one.net, mine, one.mask, its or None)
        for one, mine, its in zip(task.networks, params, statistics, strict=True)
    ]
    return networks, [map_tree(frozen, tree) for tree in moving]
