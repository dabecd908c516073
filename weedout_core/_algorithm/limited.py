"""Limited training: the few steps of SGD that each candidate takes before it is scored.

Paper, section 5: fitness after limited training is left open. The steps are the first ones of a training under a key of
their own: the same examples for all candidates, in the order in which that training would show them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from weedout_core._algorithm.schedule import Batches, TrainPlan, epoch_crops, epoch_order
from weedout_core._configs.going_on import without_search
from weedout_core._configs.open_points import Precision
from weedout_core._configs.train_config import TrainConfig
from weedout_core._guard.by_content import by_content
from weedout_core._guard.kinds import Positive
from weedout_core._networks.examples import Examples
from weedout_core._random.annotations import Key


@by_content
class LimitedTraining(NamedTuple):
    """What candidates are trained on before they are scored.

    Attributes:
        examples: the training split, on the host.
        plan: of a training on it, whose first steps these are.
        steps: how many, ≥ 1.
        key: the key of that training, uint32 ``(2,)``.
    """

    examples: Examples
    plan: TrainPlan
    steps: Positive
    key: Key


class Leg(NamedTuple):
    """The steps of one pass over the training split.

    Attributes:
        plan: of these steps alone.
        x, y: their examples, in order, on the host.
        batches: for R networks, which are all shown the same.
    """

    plan: TrainPlan
    x: np.ndarray
    y: np.ndarray
    batches: Batches


def limited_plan(config: TrainConfig, examples: int, steps: int, precision: Precision) -> TrainPlan:
    """The plan of a training whose first steps are those of a search.

    Its learning rate is constant: the schedule and the warm-up are counted over the learning phase, which these steps
    are not a part of. It is as long as the steps need.
    """
    constant = replace(
        without_search(config), schedule="constant", step_epochs=(), step_factor=_STEP_FACTOR, warmup_epochs=0
    )
    batch = min(config.batch_size, examples)
    epochs = -(-steps // (examples // batch))
    return TrainPlan(replace(constant, epochs=epochs, precision=precision), examples, batch, None)


_STEP_FACTOR = TrainConfig().step_factor


def legs(limited: LimitedTraining, networks: int) -> Iterator[Leg]:
    """The steps for R networks, a pass over the training split after the other. Only the last pass may be cut short."""
    plan, (x, y) = limited.plan, limited.examples
    for epoch in range(plan.config.epochs):
        left = limited.steps - epoch * plan.steps
        order, crops = epoch_order(limited.key, epoch, plan)[:left], epoch_crops(limited.key, epoch, plan)
        shown = np.arange(order.size, dtype=np.int32).reshape(order.shape)
        batches = Batches(_for_each(shown, networks), None if crops is None else _for_each(crops[:left], networks))
        yield Leg(plan._replace(examples=order.size), x[order.reshape(-1)], y[order.reshape(-1)], batches)


def _for_each(array: np.ndarray, networks: int) -> np.ndarray:
    return np.repeat(array[None], networks, axis=0)
