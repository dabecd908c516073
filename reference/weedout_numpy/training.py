"""Training: stochastic gradient descent on the winner. Paper, Algorithm 1, line 12, TrainAndUpdateWeights.

The mask stays as it is: a removed node lets neither values nor gradients through, "the same effect … as in removing
connections or nodes from the actual network compute graph" (section 3).
The paper names SGD and the size of a batch; every other number is a field of :class:`weedout_core.TrainConfig`.
"""

import math
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from weedout_core import Network, TrainConfig
from weedout_core.backend import TrainPlan
from weedout_numpy.batches import Split, data_order, shown, train_plan
from weedout_numpy.crops import data_crops
from weedout_numpy.fitness import count_correct, cross_entropy_gradient, negative_cross_entropy
from weedout_numpy.initial import initial_statistics
from weedout_numpy.masks import Masks
from weedout_numpy.network import Batch, Parameters, backward, forward, running_statistics
from weedout_numpy.randomness import LIMITED_TRAINING, Key, fold_in


class Trained(NamedTuple):
    """A network after training.

    Attributes:
        params: its weights, {path: float64 array}. Those of a removed node act on nothing.
        statistics: what batch normalisation takes from now on (see ``batch_norm``), {path: float64 ``(channels,)``}.
        losses: the mean cross-entropy of each step's batch before the step, float64 ``(epochs · steps,)``.
    """

    params: Parameters
    statistics: Parameters
    losses: Float64[np.ndarray, " total"]


class Learner(NamedTuple):
    """What changes while a network is trained: its weights, running statistics and velocities, {path: array}."""

    params: Parameters
    statistics: Parameters
    velocity: Parameters


def train(net: Network, params: Parameters, mask: Masks, data: Split, config: TrainConfig, root: Key) -> Trained:
    """Line 12: go through the training split ``config.epochs`` times, a batch and a step at a time."""
    plan = train_plan(config, len(data[1]))
    rates = learning_rates(config, plan.steps).reshape(config.epochs, plan.steps)
    learner = at_rest(params, initial_statistics(net))
    losses: list[float] = []
    for epoch in range(config.epochs):
        batches = shown(data, data_order(root, epoch, plan), data_crops(root, epoch, plan))
        learner, loss, _ = train_for_an_epoch(net, plan, learner, mask, batches, rates[epoch])
        losses += loss
    return Trained(learner.params, learner.statistics, np.array(losses, dtype=np.float64))


def train_a_little(
    net: Network,
    data: Split,
    config: TrainConfig,
    steps: int,
    root: Key,
    generation: int,
    params: Parameters,
    mask: Masks,
) -> Learner:
    """Limited training (section 5 leaves it open): a few steps before a candidate is measured; without steps, none.

    The batches are those of line 12 under a key of the generation's own, so that all its candidates see the same. They
    go through the training split as often as the steps need. The learning rate is constant: its schedule is one of the
    whole training, of which these steps are no part.
    """
    key, plan = fold_in(fold_in(root, LIMITED_TRAINING), generation), train_plan(config, len(data[1]))
    learner = at_rest(params, initial_statistics(net))
    for epoch in range(math.ceil(steps / plan.steps)):
        left = min(plan.steps, steps - epoch * plan.steps)
        batches = islice(shown(data, data_order(key, epoch, plan), data_crops(key, epoch, plan)), left)
        learner, _, _ = train_for_an_epoch(net, plan, learner, mask, batches, np.full(left, config.learning_rate))
    return learner


def at_rest(params: Parameters, statistics: Parameters) -> Learner:
    """A network before its first step: every velocity is 0."""
    return Learner(params, statistics, {path: np.zeros_like(value) for path, value in params.items()})


def train_for_an_epoch(
    net: Network,
    plan: TrainPlan,
    learner: Learner,
    mask: Masks | None,
    batches: Iterable[Split],
    rates: Float64[np.ndarray, " steps"],
) -> tuple[Learner, list[float], list[int]]:
    """The steps of an epoch, one after the other, each with its batch and its learning rate.

    Returns:
        the network after them; of each step the loss, and how many examples were classified correctly, both before it.
    """
    losses: list[float] = []
    correct: list[int] = []
    for (x, y), rate in zip(batches, rates, strict=True):
        learner, loss, right = train_step(net, plan, learner, mask, x, y, rate)
        losses.append(loss)
        correct.append(right)
    return learner, losses, correct


def train_step(
    net: Network,
    plan: TrainPlan,
    before: Learner,
    mask: Masks | None,
    x: Batch,
    y: Int[np.ndarray, " batch"],
    rate: float,
) -> tuple[Learner, float, int]:
    """One step: the forward pass, the gradient of the loss by the backward pass, and a move against it.

    Returns:
        the network after the step; the loss of the batch and the examples classified correctly, both before it.
    """
    # Divergence is a result to report, not an error to stop at. It shows in the loss, NaN where a logit is not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        logits, record = forward(net.layers, before.params, mask, x, groups=plan.groups)
        loss, correct = -negative_cross_entropy(logits, y), count_correct(logits, y)
        gradients = backward(before.params, mask, record, cross_entropy_gradient(logits, y), plan.groups).weights
        statistics = running_statistics(before.statistics, record, plan.groups)
        params, velocity = update(before.params, before.velocity, gradients, rate, plan.config)
    return Learner(params, statistics, velocity), loss, correct


def update(
    params: Parameters, velocity: Parameters, gradients: Parameters, rate: float, config: TrainConfig
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """One step of SGD on all parameters. Weight decay pulls the kernels, or with ``decayed="all"`` all of them."""
    new_params: dict[str, np.ndarray] = {}
    new_velocity: dict[str, np.ndarray] = {}
    for path, weight in params.items():
        decays = config.decayed == "all" or path.endswith("/kernel")
        decay = config.weight_decay if decays else 0.0
        new_params[path], new_velocity[path] = sgd(weight, velocity[path], gradients[path], rate, decay, config)
    return new_params, new_velocity


def sgd(
    weight: np.ndarray, velocity: np.ndarray, gradient: np.ndarray, rate: float, decay: float, config: TrainConfig
) -> tuple[np.ndarray, np.ndarray]:
    """One update of one parameter: the new weight and the new velocity.

    Weight decay adds ``decay · weight`` to the gradient g, which pulls the weight w towards 0. Momentum goes along a
    velocity, a sum in which the gradients of past steps fade: v ← momentum · v + g, w ← w − rate · v. Nesterov's
    momentum takes the gradient where the velocity is about to carry the weight (Sutskever, Martens, Dahl, Hinton, "On
    the importance of initialization and momentum", ICML 2013, section 2.1); the weight that is stored here is that
    point ahead: w ← w − rate · (g + momentum · v), as in PyTorch. The article has the rate inside v, which is the same
    as long as the rate does not change.
    """
    g = gradient + decay * weight
    v = config.momentum * velocity + g
    return weight - rate * (g + config.momentum * v if config.nesterov else v), v


def learning_rates(config: TrainConfig, steps: int) -> Float64[np.ndarray, " total"]:
    """The learning rate of every step t of T = epochs · steps, ``steps`` in an epoch.

    cosine: ``rate · (1 + cos(π t/T)) / 2`` (Loshchilov, Hutter, "SGDR", ICLR 2017, equation 5, without restarts);
    step: ``rate · factor^k`` after k of the epochs in ``step_epochs`` have begun; constant: ``rate``. During the W
    steps of the warm-up, the rate is multiplied by ``(t + 1)/W`` (Goyal et al., "Accurate, Large Minibatch SGD",
    2017, section 2.2: gradual warmup).
    """
    total, warming = config.epochs * steps, config.warmup_epochs * steps
    rates = np.zeros(total)
    for t in range(total):
        match config.schedule:
            case "cosine":
                factor = (1 + math.cos(math.pi * t / total)) / 2
            case "step":
                epoch = t // steps
                factor = config.step_factor ** sum(epoch >= begin for begin in config.step_epochs)
            case "constant":
                factor = 1.0
        warmth = (t + 1) / warming if t < warming else 1.0
        rates[t] = config.learning_rate * factor * warmth
    return rates
