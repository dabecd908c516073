"""The learning phase: SGD on sparse networks. Paper, Algorithm 1, line 12.

Networks of one shape (the arms and repeats of one sparsity) are trained together, along a leading axis R.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from weedout_core._algorithm.fitness import predictions
from weedout_core._algorithm.schedule import TrainPlan, check_plan, epoch_batches, train_plan
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import EpochResult, Parameters, TrainState
from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers, map_tree
from weedout_core._guard.guarded import guarded
from weedout_core._guard.hosted import frozen
from weedout_core._guard.splits import Split
from weedout_core._networks.examples import Examples, checked_examples
from weedout_core._phases.beginning import Beginning, beginnings
from weedout_core._phases.resuming import check_resumed
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.together import SparseNetworks, common_parent, sparse_networks, trained_smaller
from weedout_core._phases.trained import Epoch, Trained, sealed
from weedout_core._random.annotations import Key
from weedout_core.errors import ConfigError


@guarded
def train(
    network: Subnetwork,
    data: Split,
    *,
    backend: str | Backend,
    key: Key,
    config: TrainConfig = TrainConfig(),
    test: Split | None = None,
    optimizer: Any = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    resume: Trained | None = None,
) -> Trained:
    """Train one sparse network with SGD (paper, Algorithm 1, line 12).

    Args:
        network: the network to train, from a search or any other. Without a mask all of it is trained.
        data: the training split ``(x, y)``: x ``(examples, *input_shape)``, y integers in [0, classes); or what
            gives such pairs of examples or of batches, one after another, such as a DataLoader.
        backend: a name or a Backend.
        key: from ``wc.key``; it decides the order of the data, and the augmentation.
        config: the configuration.
        test: a split to measure after every epoch, or None.
        optimizer: an optimizer of the backend's framework in place of SGD, or None. JAX: an optax
            ``GradientTransformation`` whose update needs only gradients, state and weights. PyTorch: a function that
            takes the weights, a list in the order of ``wc.nn.parameter_shapes``, and returns an optimizer of
            ``torch.optim`` for all or some of them. It is called again for each epoch, so what the optimizer remembers
            must be in its ``state_dict``. Each network has an optimizer of its own, and its weights have the shapes
            in which the network is computed: smaller ones with ``config.compaction``.
        on_epoch: called with the results of each epoch.
        resume: the result of this same training after some of its epochs; training goes on from there. Network, data,
            key, test split and configuration must be those that it began with. Epochs, learning rate and schedule may
            differ if the steps already done keep their learning rates, as with more epochs of a constant rate. The
            backend may differ.
    Raises:
        ConfigError, DataError, BackendError: an argument does not fit; raised before any work starts.
    """
    (trained,) = train_together(
        [network], data, backend=backend, keys=[key], config=config, test=test, optimizer=optimizer,
        on_epoch=None if on_epoch is None else lambda epochs: on_epoch(epochs[0]),
        resume=None if resume is None else [resume],
    )  # fmt: skip
    return trained


@guarded
@fenced_phase
def train_together(
    networks: Sequence[Subnetwork],
    data: Split,
    *,
    backend: str | Backend,
    keys: Sequence[Key],
    config: TrainConfig = TrainConfig(),
    test: Split | None = None,
    optimizer: Any = None,
    on_epoch: Callable[[tuple[Epoch, ...]], None] | None = None,
    resume: Sequence[Trained] | None = None,
    checkpoint: Callable[[int, Callable[[], tuple[Trained, ...]]], None] | None = None,
) -> tuple[Trained, ...]:
    """Train R sparse networks of one parent together, each with its own weights, mask and data order.

    Arguments and errors are those of :func:`train`, but ``networks``, ``keys``, ``resume`` and the argument of
    ``on_epoch`` have one entry for each network.

    Args:
        checkpoint: called after each epoch but the last with the number of epochs done, and with a function that copies
            the training so far from the device and returns it, for ``resume``.
    """
    net = common_parent(networks)
    examples = checked_examples(net, data)
    tested = None if test is None else checked_examples(net, test)
    if len(keys) != len(networks):
        raise ConfigError(f"keys must be one for each of {len(networks)} networks; got {len(keys)}.")
    plan = train_plan(config, len(examples.y), optimizer)
    check_plan(net, plan)
    began = beginnings(networks, examples, tested, keys, plan)
    if resume is not None:
        check_resumed(networks, plan, began, resume)
    backend = load_backend(backend)
    check_layers(backend, net)
    task = _Training(
        networks, plan, keys, began, backend, sparse_networks(networks, backend, trained_smaller(net, config)),
        Examples(backend.asarray(examples.x), backend.asarray(examples.y)),
        None if tested is None else Examples(backend.asarray(tested.x), tested.y),
    )  # fmt: skip
    state = _begin(task) if resume is None else _resumed(task, resume)
    shown = [_Shown(frozen(one.losses), one.history) for one in resume] if resume else [_NOTHING] * len(networks)
    while state.epoch < config.epochs:
        state, result = _next_epoch(task, state)
        shown = [one.after(*more) for one, more in zip(shown, _epoch(task, state, result), strict=True)]
        if on_epoch is not None:
            on_epoch(tuple(one.history[-1] for one in shown))
        if checkpoint is not None and state.epoch < config.epochs:
            checkpoint(state.epoch, partial(_fetched, task, state, tuple(shown)))
    return _fetched(task, state, shown)


class _Training(NamedTuple):
    """What stays the same while training: the data on the device, the labels of the test split on the host."""

    networks: Sequence[Subnetwork]
    plan: TrainPlan
    keys: Sequence[Key]
    began: Sequence[Beginning]
    backend: Backend
    sparse: SparseNetworks
    data: Examples
    test: Examples | None


class _Shown(NamedTuple):
    """The results of a network so far: ``losses`` and ``history`` of :class:`Trained`."""

    losses: np.ndarray
    history: tuple[Epoch, ...]

    def after(self, losses: np.ndarray, epoch: Epoch) -> "_Shown":
        return _Shown(frozen(np.concatenate([self.losses, losses])), (*self.history, epoch))


_NOTHING = _Shown(frozen(np.zeros(0)), ())


def _begin(task: _Training) -> TrainState:
    params = task.sparse.smaller(task.backend, [network.params for network in task.networks])
    statistics = task.sparse.smaller(task.backend, [network.moving for network in task.networks])
    return task.backend.train_init(task.sparse.net, task.plan, np.stack(list(task.keys)), params, statistics)


def _resumed(task: _Training, resume: Sequence[Trained]) -> TrainState:
    params, statistics, velocity = (
        task.sparse.smaller(task.backend, trees)
        for trees in zip(*((one.network.params, one.network.moving, one.velocity) for one in resume), strict=True)
    )
    return TrainState(np.stack(list(task.keys)), len(resume[0].history), params, statistics, velocity)


def _next_epoch(task: _Training, state: TrainState) -> tuple[TrainState, EpochResult]:
    batches = epoch_batches(task.keys, state.epoch, task.plan)
    return task.backend.train_epoch(
        task.sparse.net, task.plan, state, task.sparse.masks, task.data.x, task.data.y, batches
    )


def _epoch(task: _Training, state: TrainState, result: EpochResult) -> list[tuple[np.ndarray, Epoch]]:
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


def _tested(task: _Training, state: TrainState) -> list[tuple[float, int]]:
    """For each network the test accuracy, and how many examples are not finite; NaN and 0 without a test split."""
    if task.test is None:
        return [(math.nan, 0)] * len(task.keys)
    backend, y = task.backend, task.test.y
    logits = backend.predict(task.sparse.net, state.params, state.statistics, task.sparse.masks, task.test.x)
    logits = backend.to_numpy(logits)
    finite = task.sparse.finite(backend, {**state.params, **state.statistics}, logits)
    right, lost = np.mean(predictions(logits) == y, axis=-1), np.count_nonzero(~finite, axis=-1)
    return [(math.nan if out else float(part), int(out)) for part, out in zip(right, lost, strict=True)]


def _fetched(task: _Training, state: TrainState, shown: Sequence[_Shown]) -> tuple[Trained, ...]:
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
    velocities = [map_tree(frozen, tree) for tree in moving]
    return tuple(sealed(*one) for one in zip(networks, velocities, *zip(*shown, strict=True), task.began, strict=True))
