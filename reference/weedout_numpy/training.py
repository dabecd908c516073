"""Training: stochastic gradient descent on the winner. Paper, Algorithm 1, line 12, TrainAndUpdateWeights.

The mask stays fixed ("fixed dropout nodes", section 3): a removed node lets neither values nor gradients through.
The paper names SGD and gives no numbers; the rest is a :class:`weedout_core.TrainConfig`. All of it is computed in
float64, whatever ``TrainConfig.compute`` and ``precision`` allow an accelerator.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from weedout_core import Network, TrainConfig
from weedout_core.backend import Batches, EpochResult, TrainPlan, TrainState
from weedout_core.errors import BackendError
from weedout_numpy.batches import crop_images
from weedout_numpy.fitness import count_correct, cross_entropy_gradient, negative_cross_entropy
from weedout_numpy.masks import Masks
from weedout_numpy.network import Batch, Parameters, backward, forward, nth, running_statistics
from weedout_numpy.randomness import Keys


def learning_rates(config: TrainConfig, steps: int) -> Float64[np.ndarray, " total"]:
    """The learning rate of every step t of T = epochs × steps, ``steps`` in an epoch.

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


def sgd(
    weight: np.ndarray, velocity: np.ndarray, gradient: np.ndarray, rate: float, decay: float, config: TrainConfig
) -> tuple[np.ndarray, np.ndarray]:
    """One update of one parameter: the new weight and the new velocity.

    Momentum remembers the past gradients; Nesterov's looks one step ahead, where the velocity is about to carry the
    weight (Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum", ICML 2013, section
    2.1, in the variables of the point looked at).
    """
    g = gradient + decay * weight
    v = config.momentum * velocity + g
    return weight - rate * (g + config.momentum * v if config.nesterov else v), v


def train_init(net: Network, plan: TrainPlan, keys: Keys, params: Parameters, statistics: Parameters) -> TrainState:
    """The state of R networks before epoch 0: weights and running statistics as given, every velocity 0.

    Raises:
        BackendError: the plan asks for an optimizer other than SGD.
    """
    del net
    if plan.optimizer is not None:
        raise BackendError(
            f"the numpy backend trains with its own SGD only, optimizer=None; got {plan.optimizer!r}. "
            "Set momentum, nesterov and weight_decay in TrainConfig, or use another backend."
        )
    params, statistics = ({path: np.array(value) for path, value in tree.items()} for tree in (params, statistics))
    velocity = {path: np.zeros_like(value) for path, value in params.items()}
    return TrainState(keys, 0, params, statistics, velocity)


def train_epoch(
    net: Network,
    plan: TrainPlan,
    state: TrainState,
    masks: Masks | None,
    x: Batch,
    y: Int[np.ndarray, " examples"],
    batches: Batches,
) -> tuple[TrainState, EpochResult]:
    """One epoch of R networks, one after the other, step by step.

    Loss and correct are ``(R, steps)``: the mean cross-entropy, and the examples predicted right, of each step's batch
    *before* its update.
    """
    networks, steps, _ = batches.order.shape
    rates = learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :]
    loss, correct = np.zeros((networks, steps)), np.zeros((networks, steps), dtype=np.int32)
    trained: list[Parameters] = []
    statistics: list[Parameters] = []
    velocities: list[Parameters] = []
    for r in range(networks):
        mask = None if masks is None else nth(masks, r)
        one = Learner(nth(state.params, r), nth(state.statistics, r), nth(state.optimizer, r))
        for s in range(steps):
            batch = batches.order[r, s]
            images = x[batch] if batches.crops is None else crop_images(x[batch], batches.crops[r, s])
            one, loss[r, s], correct[r, s] = train_step(net, plan, one, mask, images, y[batch], rates[s])
        trained.append(one.params)
        statistics.append(one.statistics)
        velocities.append(one.velocity)
    return TrainState(
        state.keys, state.epoch + 1, side_by_side(trained), side_by_side(statistics), side_by_side(velocities)
    ), EpochResult(loss, correct)


class Learner(NamedTuple):
    """What changes while one network is trained: its weights, running statistics and velocities, {path: array}."""

    params: Parameters
    statistics: Parameters
    velocity: Parameters


def train_step(
    net: Network,
    plan: TrainPlan,
    before: Learner,
    mask: Masks | None,
    x: Batch,
    y: Int[np.ndarray, " batch"],
    rate: float,
) -> tuple[Learner, float, int]:
    """One step of one network: forward, backward, update.

    Batch normalisation takes the statistics of the batch, of each of its groups; the running ones, which will replace
    them after training, move towards what the batch showed.

    Returns:
        the network after it; the loss of the batch and the examples predicted right, both before it.
    """
    # Divergence is a finding, not a fault: it shows in the loss, which is NaN where a logit is not finite.
    with np.errstate(over="ignore", invalid="ignore"):
        logits, record = forward(net.layers, before.params, mask, x, groups=plan.groups)
        loss, correct = -negative_cross_entropy(logits, y), count_correct(logits, y)
        gradients, _ = backward(before.params, mask, record, cross_entropy_gradient(logits, y), plan.groups)
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


def side_by_side(trees: list[Parameters]) -> dict[str, np.ndarray]:
    """R networks of one shape, [{path: ``shape``}] → {path: ``(R, *shape)``}."""
    return {path: np.stack([tree[path] for tree in trees]) for path in trees[0]}
