"""Training: stochastic gradient descent on the winner. Paper, Algorithm 1, line 12, TrainAndUpdateWeights.

The mask stays fixed ("fixed dropout nodes", section 3): a removed node lets neither values nor gradients through.
The paper names SGD and gives no numbers; the rest is a :class:`weedout_core.TrainConfig`.
"""

import math

import numpy as np
from jaxtyping import Float, Float64, Int, Int32

from weedout_core import BackendError, EpochResult, Network, TrainConfig, TrainPlan, TrainState
from weedout_numpy.fitness import count_correct, cross_entropy, cross_entropy_gradient
from weedout_numpy.masks import Masks
from weedout_numpy.network import Parameters, backward, forward, nth
from weedout_numpy.randomness import DATA_ORDER, Key, Keys, fold_in, permutation


def learning_rates(config: TrainConfig, steps: int) -> Float64[np.ndarray, " total"]:
    """The learning rate of every step t of T = epochs × steps, ``steps`` in an epoch.

    cosine: ``rate · (1 + cos(π t/T)) / 2`` (Loshchilov, Hutter, "SGDR", ICLR 2017, equation 5, without restarts);
    step: ``rate · factor^k`` after k of the epochs in ``step_epochs`` have begun; constant: ``rate``.
    """
    total = config.epochs * steps
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
        rates[t] = config.learning_rate * factor
    return rates


def data_order(key: Key, epoch: int, plan: TrainPlan) -> Int32[np.ndarray, "steps batch"]:
    """The examples of each step of an epoch: all of them shuffled anew and dealt out into full batches.

    The few that are left over wait for another epoch.
    """
    shuffled = permutation(fold_in(fold_in(key, DATA_ORDER), epoch), plan.examples)
    return shuffled[: plan.steps * plan.batch_size].reshape(plan.steps, plan.batch_size)


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
    """The state of R networks before epoch 0: the weights as given, every velocity 0.

    Raises:
        BackendError: the plan asks for an optimiser other than SGD.
    """
    del net
    if plan.optimiser is not None:
        raise BackendError(
            f"the numpy backend trains with its own SGD only, optimiser=None; got {plan.optimiser!r}. "
            "Set momentum, nesterov and weight_decay in TrainConfig, or use another backend."
        )
    velocity = {path: np.zeros_like(value) for path, value in params.items()}
    return TrainState(keys, 0, params, statistics, velocity)


def train_epoch(
    net: Network,
    plan: TrainPlan,
    state: TrainState,
    masks: Masks | None,
    x: Float[np.ndarray, "examples ..."],
    y: Int[np.ndarray, " examples"],
    order: Int32[np.ndarray, "R steps batch"],
) -> tuple[TrainState, EpochResult]:
    """One epoch of R networks, one after the other, step by step.

    Loss and correct are ``(R, steps)``: the mean cross-entropy, and the examples predicted right, of each step's batch
    *before* its update.
    """
    networks, steps, _ = order.shape
    rates = learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :]
    loss, correct = np.zeros((networks, steps)), np.zeros((networks, steps), dtype=np.int32)
    trained: list[Parameters] = []
    velocities: list[Parameters] = []
    # Divergence is a finding, not a fault: it shows in the loss.
    with np.errstate(over="ignore", invalid="ignore"):
        for r in range(networks):
            params, velocity = nth(state.params, r), nth(state.optimiser, r)
            mask = None if masks is None else nth(masks, r)
            for s in range(steps):
                batch = order[r, s]
                logits, record = forward(net, params, mask, x[batch])
                loss[r, s] = cross_entropy(logits, y[batch])
                correct[r, s] = count_correct(logits, y[batch])
                gradients, _ = backward(net, params, mask, record, cross_entropy_gradient(logits, y[batch]))
                params, velocity = update(params, velocity, gradients, rates[s], plan.config)
            trained.append(params)
            velocities.append(velocity)
    state = state._replace(epoch=state.epoch + 1, params=side_by_side(trained), optimiser=side_by_side(velocities))
    return state, EpochResult(loss, correct)


def update(
    params: Parameters, velocity: Parameters, gradients: Parameters, rate: float, config: TrainConfig
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """One step of SGD on all parameters. Weight decay pulls the kernels, or with ``decayed="all"`` the biases too."""
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
