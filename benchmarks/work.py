"""A training to be timed: a parent with its weights, a training split and the order of its examples."""

from typing import Literal, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks.task import initial_weights

BATCH = 128


class Work(NamedTuple):
    """What everybody trains.

    Attributes:
        net, params: the parent and its initial weights.
        plan: of training.
        x, y: the training split.
        order: the examples of each step, ``(1, steps, batch)``.
    """

    net: wc.Network
    params: dict[str, np.ndarray]
    plan: wc.backend.TrainPlan
    x: np.ndarray
    y: np.ndarray
    order: np.ndarray


def work(
    net: wc.Network,
    steps: int,
    batch: int = BATCH,
    compute: Literal["float32", "bfloat16"] = "float32",
    params: dict[str, np.ndarray] | None = None,
) -> Work:
    """A training split of so many steps an epoch, each on whole batches. Weights, unless given, of the reference."""
    config = wc.TrainConfig(
        epochs=1, batch_size=batch, learning_rate=0.01, schedule="constant", compute=compute, batch_norm_group=None
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * batch, *net.input_shape)).astype(np.float32)
    y = rng.integers(0, net.output_shape[0], len(x)).astype(np.int64)
    plan = wc.backend.train_plan(config, len(x))
    return Work(
        net,
        initial_weights(net) if params is None else params,
        plan,
        x,
        y,
        wc.backend.epoch_batches([wc.key(0)], 0, plan).order,
    )
