"""Together: R networks trained in one call, as in a backend of ``weedout_core``. Algorithm 1 does not need this file.

``algorithm1`` trains one network. An experiment trains many of one shape, and an accelerator is fast where it trains
them in one program, so the calls of a backend take R networks side by side: every array of weights, statistics and
masks has a leading axis R. Here they are loops over the functions that ``algorithm1`` calls.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from weedout_core import Network
from weedout_core.backend import Batches, EpochResult, TrainPlan, TrainState
from weedout_core.errors import BackendError
from weedout_numpy.batches import shown
from weedout_numpy.evaluation import trained_logits
from weedout_numpy.masks import Masks
from weedout_numpy.network import Batch, Parameters
from weedout_numpy.randomness import Keys
from weedout_numpy.training import Learner, at_rest, learning_rates, train_for_an_epoch


def predict(
    net: Network, params: Parameters, statistics: Parameters, masks: Masks | None, x: Batch
) -> Float[np.ndarray, "R examples classes"]:
    """The logits of R networks, one after the other. Weights, running statistics and masks have a leading axis R."""
    logits: list[np.ndarray] = []
    for r in range(len(next(iter(params.values())))):
        mask = None if masks is None else nth(masks, r)
        logits.append(trained_logits(net, nth(params, r), nth(statistics, r), mask, x))
    return np.stack(logits)


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
    return TrainState(keys, 0, params, statistics, at_rest(params, statistics).velocity)


def train_epoch(
    net: Network,
    plan: TrainPlan,
    state: TrainState,
    masks: Masks | None,
    x: Batch,
    y: Int[np.ndarray, " examples"],
    batches: Batches,
) -> tuple[TrainState, EpochResult]:
    """One epoch of R networks, one after the other.

    Loss and correct are ``(R, steps)``: the mean cross-entropy, and the examples predicted right, of each step's batch
    *before* its update.
    """
    networks, steps, _ = batches.order.shape
    rates = learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :][:steps]
    loss, correct = np.zeros((networks, steps)), np.zeros((networks, steps), dtype=np.int32)
    learners: list[Learner] = []
    for r in range(networks):
        mask = None if masks is None else nth(masks, r)
        before = Learner(nth(state.params, r), nth(state.statistics, r), nth(state.optimizer, r))
        seen = shown((x, y), batches.order[r], None if batches.crops is None else batches.crops[r])
        after, loss[r], correct[r] = train_for_an_epoch(net, plan, before, mask, seen, rates)
        learners.append(after)
    params, statistics, velocity = (side_by_side(trees) for trees in zip(*learners, strict=True))
    return TrainState(state.keys, state.epoch + 1, params, statistics, velocity), EpochResult(loss, correct)


def nth(tree: Parameters, r: int) -> dict[str, np.ndarray]:
    """One of several networks side by side: {path: ``(R, *shape)``} → {path: ``shape``}."""
    return {path: value[r] for path, value in tree.items()}


def side_by_side(trees: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """R networks of one shape, [{path: ``shape``}] → {path: ``(R, *shape)``}."""
    return {path: np.stack([tree[path] for tree in trees]) for path in trees[0]}
