"""The learning phase: SGD on sparse networks, and what they have learnt. Paper, Algorithm 1, lines 12–13.

Networks of one shape (the arms and repeats of one sparsity) are trained together, along a leading axis R.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weedout_core._annotations import Key
from weedout_core._backend import Backend, Parameters, TrainPlan, stack
from weedout_core._config import TrainConfig
from weedout_core._data import Examples, checked_examples
from weedout_core._errors import ConfigError
from weedout_core._fitness import negative_cross_entropy, predictions
from weedout_core._loading import load_backend
from weedout_core._masks import Masks, checked_masks
from weedout_core._networks import Network, checked_parameters, mask_space, parameter_shapes
from weedout_core._random import Stream, checked_key, fold_in, permutation


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
    """R networks after training, in NumPy. Arrays have a leading axis R; :func:`train` gives one network without it.

    The history is that of the R networks together, its arrays ``(R,)``, for one network too.

    Attributes:
        params: {path: float}.
        statistics: what is not trained but changed, {path: float}.
        losses: the cross-entropy of every step before its update, float64 ``(R, steps)``, nats.
        history: what each epoch showed.
    """

    params: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    losses: np.ndarray
    history: tuple[Epoch, ...]

    def one(self, index: int) -> "Trained":
        """One of R networks, without the leading axis; the history stays that of all."""
        return Trained(
            {path: value[index] for path, value in self.params.items()},
            {path: value[index] for path, value in self.statistics.items()},
            self.losses[index],
            self.history,
        )


class Evaluation(NamedTuple):
    """How a network does on a split.

    Attributes:
        accuracy: in [0, 1].
        loss: mean cross-entropy, nats.
        predictions: the class predicted for each example, int32 ``(examples,)``.
    """

    accuracy: float
    loss: float
    predictions: np.ndarray


def learning_rates(config: TrainConfig, steps: int) -> np.ndarray:
    """The learning rate of every step of training, float64 ``(epochs × steps,)``.

    Args:
        config: its schedule, "cosine": ``rate · (1 + cos(π t / T)) / 2`` at step t of T; "step"; "constant".
        steps: in an epoch.
    """
    total = config.epochs * steps
    step = np.arange(total)
    match config.schedule:
        case "cosine":
            factor = (1 + np.cos(np.pi * step / max(total, 1))) / 2
        case "step":
            drops = np.sum(step[:, None] // max(steps, 1) >= np.asarray(config.step_epochs, dtype=int), axis=1)
            factor = config.step_factor**drops
        case "constant":
            factor = np.ones(total)
    return config.learning_rate * factor


def decayed_paths(net: Network, config: TrainConfig) -> dict[str, bool]:
    """Whether weight decay touches each parameter: the kernels, or all."""
    return {path: config.decayed == "all" or path.endswith("/kernel") for path in parameter_shapes(net)}


def epoch_order(key: Key, epoch: int, plan: TrainPlan) -> np.ndarray:
    """The examples of each step of an epoch: a fresh permutation, cut into full batches.

    Returns:
        int32 ``(steps, batch_size)``.
    """
    shuffled = permutation(fold_in(fold_in(key, int(Stream.DATA_ORDER)), epoch), plan.examples)
    return shuffled[: plan.steps * plan.batch_size].reshape(plan.steps, plan.batch_size)


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
) -> Trained:
    """Train one sparse network with SGD (paper, Algorithm 1, line 12).

    Args:
        net: the parent.
        params: its initial weights.
        mask: {site: bool ``shape``}; None trains the parent.
        data: the training split ``(x, y)``.
        config: the configuration.
        backend: a name or a Backend.
        key: from ``wc.key``; it decides the order of the data.
        test: a split to measure after every epoch, or None.
        optimiser: the backend's own optimiser in place of SGD (JAX: an optax ``GradientTransformation``).
        on_epoch: called after each epoch.
    Raises:
        ConfigError, DataError, MaskError, BackendError: before any work starts.
    """
    masks = None if mask is None else [mask]
    trained = train_together(
        net, [params], masks, data, config,
        backend=backend, keys=[key], test=test, optimiser=optimiser, on_epoch=on_epoch,
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
) -> Trained:
    """Train R sparse networks of one parent together, each with its own weights, masks and data order.

    Args and errors: as :func:`train`, with one entry of ``params``, ``masks`` and ``keys`` for each network.
    """
    examples = checked_examples(net, data)
    tested = None if test is None else checked_examples(net, test)
    _check_networks(net, params, masks, keys)
    backend = load_backend(backend)
    plan = TrainPlan(config, len(examples.y), min(config.batch_size, len(examples.y)), optimiser)
    stacked = None if masks is None else stack(backend, list(masks))
    x, y = backend.asarray(examples.x), backend.asarray(examples.y)
    test_x = None if tested is None else backend.asarray(tested.x)
    state = backend.train_init(net, plan, np.stack(list(keys)), stack(backend, list(params)), {})
    losses: list[np.ndarray] = []
    history: list[Epoch] = []
    for _ in range(config.epochs):
        order = np.stack([epoch_order(key, state.epoch, plan) for key in keys])
        state, result = backend.train_epoch(net, plan, state, stacked, x, y, order)
        losses.append(backend.to_numpy(result.loss).astype(np.float64))
        accuracy = np.full(len(keys), math.nan)
        if tested is not None:
            logits = backend.predict(net, state.params, state.statistics, stacked, test_x)
            accuracy = np.mean(predictions(backend.to_numpy(logits)) == tested.y, axis=-1)
        correct = backend.to_numpy(result.correct).astype(np.float64)
        history.append(Epoch(state.epoch, losses[-1].mean(axis=1), correct.mean(axis=1) / plan.batch_size, accuracy))
        if on_epoch is not None:
            on_epoch(history[-1])
    return Trained(
        _to_numpy(backend, state.params),
        _to_numpy(backend, state.statistics),
        np.concatenate(losses, axis=1) if losses else np.zeros((len(keys), 0)),
        tuple(history),
    )


def evaluate(
    net: Network,
    params: Parameters,
    mask: Masks | None,
    data: Any,
    *,
    backend: str | Backend,
    statistics: Parameters | None = None,
) -> Evaluation:
    """Measure one network on a split (paper, Algorithm 1, line 13).

    Args:
        net: the parent.
        params: its weights.
        mask: {site: bool ``shape``}; None measures the parent.
        data: the split ``(x, y)``.
        backend: a name or a Backend.
        statistics: what training changed besides the weights (``trained.statistics``), where the network has any.
    """
    masks = None if mask is None else [mask]
    moving = None if statistics is None else [statistics]
    return evaluate_together(net, [params], masks, data, backend=backend, statistics=moving)[0]


def evaluate_together(
    net: Network,
    params: Sequence[Parameters],
    masks: Sequence[Masks] | None,
    data: Any,
    *,
    backend: str | Backend,
    statistics: Sequence[Parameters] | None = None,
) -> list[Evaluation]:
    """Measure R networks of one parent on one split. Args: as :func:`evaluate`, with one entry for each network."""
    examples = checked_examples(net, data)
    _check_networks(net, params, masks, None)
    backend = load_backend(backend)
    stacked = None if masks is None else stack(backend, list(masks))
    moving = stack(backend, list(statistics)) if statistics else {}
    x = backend.asarray(examples.x)
    logits = backend.to_numpy(backend.predict(net, stack(backend, list(params)), moving, stacked, x)).astype(np.float64)
    return [_evaluation(one, examples) for one in logits]


def _evaluation(logits: np.ndarray, examples: Examples) -> Evaluation:
    predicted = predictions(logits)
    right = int(np.count_nonzero(predicted == examples.y))
    loss = -float(negative_cross_entropy(logits, examples.y))
    return Evaluation(right / len(predicted), loss, predicted)


def _check_networks(
    net: Network, params: Sequence[Parameters], masks: Sequence[Masks] | None, keys: Sequence[Key] | None
) -> None:
    for other in (masks, keys):
        if other is not None and len(other) != len(params):
            raise ConfigError(
                f"params, masks and keys must have one entry a network; got {len(params)} and {len(other)}."
            )
    for key in keys or ():
        checked_key(key)
    for tree in params:
        checked_parameters(net, tree)
    for mask in masks or ():
        checked_masks(mask, mask_space(net), leading=0)


def _to_numpy(backend: Backend, tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {path: backend.to_numpy(value) for path, value in tree.items()}
