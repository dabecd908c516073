"""Bounds on what an epoch gives, from a state that has no error."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from weedout_core._contract.calls import TrainState
from weedout_core._networks.network import activation_shapes
from weedout_core.testing.lessons import Lesson, shown
from weedout_core.testing.precision import UNIT_ROUNDOFF, gamma
from weedout_core.testing.problems import Problem
from weedout_core.testing.tolerances import bound


class Most(NamedTuple):
    """The most that each number may be off.

    Attributes:
        losses, correct: ``(R, steps)``.
        weights, velocities: {path: a number}.
        statistics: {path: ``(R, channels)``}.
    """

    losses: np.ndarray
    correct: np.ndarray
    weights: dict[str, float]
    velocities: dict[str, float]
    statistics: dict[str, np.ndarray]


def most_of(lesson: Lesson, before: TrainState, after: TrainState) -> Most:
    """The bounds of an epoch that leads the reference from a state to another.

    The first loss is computed with the given weights, which have no error. The weights of a later step lie between the
    given and the last ones, and their error is at most that of the last ones. Running statistics are weighted means of
    the statistics of the steps.
    """
    steps, products = lesson.plan.steps, terms(lesson.problem, lesson.plan.batch_size)
    moved = {path: _largest(value - before.params[path]) for path, value in after.params.items()}
    # A gradient that cancels altogether, as of a bias before batch normalisation, is as exact as the products of which
    # it is made; they are not larger than those of the parameter that moves most.
    cancelled = gamma(products) * max(moved.values())
    weights = {
        path: bound("train weights")(moved[path], _largest(value), products, steps) + cancelled
        for path, value in after.params.items()
    }
    # A velocity is a weighted sum of gradients, as the change of the weights is.
    velocities = {
        path: bound("train weights")(steps * _largest(value), _largest(value), products, steps)
        + gamma(products) * steps * max(map(_largest, after.optimizer.values()))
        for path, value in after.optimizer.items()
    }
    rows = [_row(lesson, row, before, after, weights) for row in range(len(before.keys))]
    losses, correct = (np.array([[step[place] for step in row] for row in rows]) for place in (0, 1))
    statistics = {
        path: np.stack([np.max([step[2][path] for step in row], axis=0) for row in rows])
        # The running average itself: three roundings a step.
        + 3 * steps * UNIT_ROUNDOFF * np.maximum(np.abs(value), np.abs(before.statistics[path]))
        for path, value in after.statistics.items()
    }
    return Most(losses, correct, weights, velocities, statistics)


def _largest(value: np.ndarray) -> float:
    return float(np.abs(value).max())


def terms(problem: Problem, batch: int = 8) -> int:
    """The number of products that are summed for one gradient; see ``trained_error``."""
    places = max(math.prod(shape[:-1]) for shape in activation_shapes(problem.net))
    return batch * places + sum(value.shape[-1] for value in problem.params.values())


Bounds = tuple[float, float, dict[str, np.ndarray]]


def _row(lesson: Lesson, row: int, before: TrainState, after: TrainState, off: Mapping[str, float]) -> list[Bounds]:
    """The bounds of each step of one network: on its loss, its count of correct examples and its statistics."""
    ends = [{path: value[row] for path, value in state.params.items()} for state in (before, after)]
    moved = {path: np.full(value.shape, off[path]) for path, value in ends[0].items()}
    masks = None if lesson.masks is None else {site: mask[row] for site, mask in lesson.masks.items()}
    return [
        _larger(
            bound("train losses")(lesson.problem.net, params, masks, x, error, lesson.plan.groups)
            for params, error in ([(end, moved) for end in ends] if step else [(ends[0], {})])
        )
        for step, x in enumerate(shown(lesson, row))
    ]


def _larger(found: Iterator[Bounds]) -> Bounds:
    losses, correct, statistics = zip(*found, strict=True)
    return (
        max(losses),
        max(correct),
        {path: np.maximum.reduce([one[path] for one in statistics]) for path in statistics[0]},
    )
