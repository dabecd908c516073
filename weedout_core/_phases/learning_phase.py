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
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers, map_tree
from weedout_core._masks.plan import Masks
from weedout_core._networks.examples import Examples, checked_examples
from weedout_core._networks.network import Network, checked_parameters, checked_statistics, initial_statistics
from weedout_core._phases.evaluation import check_networks
from weedout_core._phases.together import SparseNetworks, sparse_networks
from weedout_core._random.annotations import Key
from weedout_core.errors import ConfigError


class Epoch(NamedTuple):
    """What one epoch showed for R networks.

    Attributes:
        epoch: epochs done, from 1; 0 is before training.
        loss: mean cross-entropy over the epoch's batches, each before its update, float64 ``(R,)``, nats.
        train_accuracy: over the same batches, float64 ``(R,)``.
        test_accuracy: after the epoch, float64 ``(R,)``; NaN without a test split.
    """

    epoch: int
    loss: np.ndarray
    train_accuracy: np.ndarray
    test_accuracy: np.ndarray


class Trained(NamedTuple):
    """R networks after some epochs, in NumPy: a result, and all that is needed to train on, with any backend.

    Arrays have a leading axis R; :func:`train` gives one network without it. The history is that of the R networks
    together, its arrays ``(R,)``, for one network too.

    Attributes:
        params: {path: float}; what the mask removed is as it was handed in.
        statistics: what is not trained but changed, {path: float}.
        velocity: what the momentum remembers, {path: float}; {} with an optimiser of the user's.
        losses: the cross-entropy of every step before its update, float64 ``(R, steps)``, nats.
        history: what each epoch showed.
    """

    params: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    velocity: dict[str, np.ndarray]
    losses: np.ndarray
    history: tuple[Epoch, ...]

    def one(self, index: int) -> "Trained":
        """One of R networks, without the leading axis; the history stays that of all."""
        return self._mapped(lambda value: value[index])

    def many(self) -> "Trained":
        """One network as R = 1 networks: with the leading axis."""
        return self._mapped(lambda value: value[None])

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> "Trained":
        trees = map_tree(change, self.params), map_tree(change, self.statistics), map_tree(change, self.velocity)
        return Trained(*trees, change(self.losses), self.history)


def train(
    net: Network,
    params: Parameters,
    mask: Masks | None,
    data: Any,
    config: TrainConfig,
    *,
    backend: str | Backend,
    key: Key,
    test: Any = None,
    optimiser: Any = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    resume: Trained | None = None,
) -> Trained:
    """Train one sparse network with SGD (paper, Algorithm 1, line 12).

    Args:
        net: the parent, or a compacted network, which is trained as it is.
        params: its initial weights.
        mask: {site: bool ``shape``}, and of a compacted network the indices of its Gather layers, {name: int
            ``(count,)``}; None trains the parent.
        data: the training split ``(x, y)``.
        config: the configuration.
        backend: a name or a Backend.
        key: from ``wc.key``; it decides the order of the data.
        test: a split to measure after every epoch, or None.
        optimiser: the backend's own optimiser in place of SGD (JAX: an optax ``GradientTransformation``).
        on_epoch: called after each epoch.
        resume: the same training after some of its epochs, without the leading axis; it goes on from there.
    Raises:
        ConfigError, DataError, MaskError, BackendError: before any work starts.
    """
    masks = None if mask is None else [mask]
    trained = train_together(
        net, [params], masks, data, config,
        backend=backend, keys=[key], test=test, optimiser=optimiser, on_epoch=on_epoch,
        resume=None if resume is None else resume.many(),
    )  # fmt: skip
    return trained.one(0)


def train_together(
    net: Network,
    params: Sequence[Parameters],
    masks: Sequence[Masks] | None,
    data: Any,
    config: TrainConfig,
    *,
    backend: str | Backend,
    keys: Sequence[Key],
    test: Any = None,
    optimiser: Any = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    resume: Trained | None = None,
    checkpoint: Callable[[int, Callable[[], Trained]], None] | None = None,
) -> Trained:
    """Train R sparse networks of one parent together, each with its own weights, masks and data order.

    Args and errors: as :func:`train`, with one entry of ``params``, ``masks`` and ``keys`` for each network, and
        resume: with the leading axis R.
        checkpoint: called after each epoch but the last with the number of epochs done and a function that fetches
            what can be resumed from the device.
    """
    examples = checked_examples(net, data)
    tested = None if test is None else checked_examples(net, test)
    check_networks(net, params, masks, keys)
    plan = train_plan(config, len(examples.y), optimiser)
    check_plan(net, plan)
    if resume is not None:
        _check_resumed(net, plan, len(keys), resume)
    backend = load_backend(backend)
    check_layers(backend, net)
    sparse = sparse_networks(net, masks, len(keys), backend, config.compaction)
    task = _Task(
        net, [map_tree(backend.to_numpy, tree) for tree in params], plan, keys, backend, sparse,
        Examples(backend.asarray(examples.x), backend.asarray(examples.y)),
        None if tested is None else Examples(backend.asarray(tested.x), tested.y),
    )  # fmt: skip
    state = _begin(task) if resume is None else _resumed(task, resume)
    losses = [np.zeros((len(keys), 0)) if resume is None else resume.losses]
    history = () if resume is None else resume.history
    while state.epoch < config.epochs:
        state, result = _next_epoch(task, state)
        losses.append(backend.to_numpy(result.loss).astype(np.float64))
        history = (*history, _epoch(task, state, losses[-1], result))
        if on_epoch is not None:
            on_epoch(history[-1])
        if checkpoint is not None and state.epoch < config.epochs:
            checkpoint(state.epoch, partial(_fetched, task, state, tuple(losses), history))
    return _fetched(task, state, losses, history)


class _Task(NamedTuple):
    """What stays the same while training: the data on the device, the labels of the test split on the host."""

    parent: Network
    params: Sequence[dict[str, np.ndarray]]
    plan: TrainPlan
    keys: Sequence[Key]
    backend: Backend
    sparse: SparseNetworks
    data: Examples
    test: Examples | None

    @property
    def statistics(self) -> Sequence[Parameters]:
        """The parents' statistics before training."""
        return [initial_statistics(self.parent)] * len(self.keys)


def _begin(task: _Task) -> TrainState:
    params, statistics = (task.sparse.smaller(task.backend, trees) for trees in (task.params, task.statistics))
    return task.backend.train_init(task.sparse.net, task.plan, np.stack(list(task.keys)), params, statistics)


def _resumed(task: _Task, resume: Trained) -> TrainState:
    networks = [resume.one(index) for index in range(len(task.keys))]
    params, statistics, velocity = (
        task.sparse.smaller(task.backend, trees)
        for trees in zip(*((one.params, one.statistics, one.velocity) for one in networks), strict=True)
    )
    return TrainState(np.stack(list(task.keys)), len(resume.history), params, statistics, velocity)


def _next_epoch(task: _Task, state: TrainState) -> tuple[TrainState, EpochResult]:
    batches = epoch_batches(task.keys, state.epoch, task.plan)
    return task.backend.train_epoch(
        task.sparse.net, task.plan, state, task.sparse.masks, task.data.x, task.data.y, batches
    )


def _epoch(task: _Task, state: TrainState, losses: np.ndarray, result: EpochResult) -> Epoch:
    backend = task.backend
    accuracy = np.full(len(task.keys), math.nan)
    if task.test is not None:
        logits = backend.predict(task.sparse.net, state.params, state.statistics, task.sparse.masks, task.test.x)
        accuracy = np.mean(predictions(backend.to_numpy(logits)) == task.test.y, axis=-1)
    correct = backend.to_numpy(result.correct).astype(np.float64)
    return Epoch(state.epoch, losses.mean(axis=1), correct.mean(axis=1) / task.plan.batch_size, accuracy)


def _fetched(task: _Task, state: TrainState, losses: Sequence[np.ndarray], history: tuple[Epoch, ...]) -> Trained:
    velocity: Parameters = state.optimiser if task.plan.optimiser is None else {}
    still = [map_tree(np.zeros_like, tree) for tree in task.params]
    params, statistics, moving = (
        task.sparse.parents(task.backend, *pair)
        for pair in ((state.params, task.params), (state.statistics, task.statistics), (velocity, still))
    )
    return Trained(params, statistics, moving, np.concatenate(losses, axis=1), history)


def _check_resumed(net: Network, plan: TrainPlan, networks: int, resume: Trained) -> None:
    if plan.optimiser is not None:
        raise ConfigError("resume needs the built-in SGD: the state of another optimiser is not in a Trained.")
    done = len(resume.history)
    if resume.losses.shape != (networks, done * plan.steps) or done > plan.config.epochs:
        raise ConfigError(
            f"resume must be this training after at most {plan.config.epochs} epochs of {plan.steps} steps, of "
            f"{networks} networks; got {done} epochs and losses of shape {resume.losses.shape}."
        )
    for name, tree in (("params", resume.params), ("velocity", resume.velocity), ("statistics", resume.statistics)):
        if any(len(value) != networks for value in tree.values()):
            raise ConfigError(f"resume.{name} must have a leading axis of {networks} networks.")
    for index in range(networks):
        one = resume.one(index)
        checked_parameters(net, one.params)
        checked_parameters(net, one.velocity, "velocity")
        checked_statistics(net, one.statistics)
