"""Batches: which examples are looked at together. Paper, Algorithm 1, line 5 for the search, line 12 for training.

A data split is a pair ``(x, y)``: the inputs of all examples, ``(examples, ...)``, and the class of each, an integer
from 0. A batch is some of its examples. The paper gives no size of the batch of line 5, and 1,024 for training.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int, Int32

from weedout_core import TrainConfig
from weedout_core.backend import TrainPlan
from weedout_numpy.crops import crop_images
from weedout_numpy.masks import keep_smallest
from weedout_numpy.randomness import DATA_ORDER, VALIDATION_BATCHES, Key, fold_in, permutation, random_bits

Split = tuple[np.ndarray, np.ndarray]


def validation_batch(root: Key, generation: int, data: Split, size: int) -> Split:
    """Line 5: a random subset of the validation split, drawn anew in each generation, and in the split's order.

    Each example gets a random number, and those with the smallest are taken. A split of no more than ``size`` examples
    is taken whole.
    """
    x, y = np.asarray(data[0], dtype=np.float64), np.asarray(data[1])
    if size >= len(y):
        return x, y
    words = random_bits(fold_in(fold_in(root, VALIDATION_BATCHES), generation), len(y))
    batch = np.flatnonzero(keep_smallest(words, size))
    return x[batch], y[batch]


def train_plan(config: TrainConfig, examples: int) -> TrainPlan:
    """What is settled before training begins: the configuration, and how many examples there are and a step takes.

    A step takes no more examples than there are. From the plan follow ``plan.steps``, the steps of an epoch (one pass
    over the split): ⌊examples / batch size⌋; and ``plan.groups``, into how many parts batch normalisation cuts a batch
    (see ``batch_norm``): ⌊batch size / group size⌋ and at least one, where the core refuses groups that leave a rest.
    """
    return TrainPlan(config, examples, min(config.batch_size, examples), optimizer=None)


def data_order(root: Key, epoch: int, plan: TrainPlan) -> Int32[np.ndarray, "steps batch"]:
    """Line 12: the examples of each step of an epoch: all of them shuffled anew and dealt out into full batches.

    The few that are left over are not shown in this epoch.
    """
    shuffled = permutation(fold_in(fold_in(root, DATA_ORDER), epoch), plan.examples)
    return shuffled[: plan.steps * plan.batch_size].reshape(plan.steps, plan.batch_size)


def shown(
    data: Split, order: Int[np.ndarray, "steps batch"], crops: Int[np.ndarray, "steps batch 3"] | None
) -> Iterator[Split]:
    """The batch of each step of an epoch, with the images moved about where there are ``crops`` (see ``crops``)."""
    x, y = np.asarray(data[0], dtype=np.float64), np.asarray(data[1])
    for step, batch in enumerate(order):
        yield x[batch] if crops is None else crop_images(x[batch], crops[step]), y[batch]
