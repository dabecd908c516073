"""An epoch of training, as the checks give it to a backend and to the reference."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from weedout_core._algorithm.schedule import CROP_MARGIN, Batches, TrainPlan
from weedout_core._contract.calls import EpochResult, TrainState
from weedout_core._contract.record import Backend
from weedout_core.testing.problems import Problem
from weedout_core.testing.trees import on_device


class Lesson(NamedTuple):
    """What an epoch is given besides its state, in NumPy.

    Attributes:
        problem: the network and the examples.
        plan: how it is trained.
        masks: {site: bool ``(R, *shape)``}, or None.
        batches: the examples of each step.
    """

    problem: Problem
    plan: TrainPlan
    masks: dict[str, np.ndarray] | None
    batches: Batches


def learn(backend: Backend, lesson: Lesson, state: TrainState) -> tuple[TrainState, EpochResult]:
    """Run an epoch."""
    problem, plan, masks, batches = lesson
    return backend.train_epoch(
        problem.net,
        plan,
        state,
        None if masks is None else on_device(backend, masks),
        backend.asarray(problem.x),
        backend.asarray(problem.y),
        batches,
    )


def repeated(batches: Batches, examples: int) -> Batches:
    """Other batches, in which some examples come twice, and others in no batch."""
    order = np.random.default_rng(batches.order.sum()).integers(0, examples, batches.order.shape)
    order[..., 1:2] = order[..., :1]
    return batches._replace(order=order.astype(np.int32))


def hosted(backend: Backend, tree: Any) -> Any:
    """A copy of a state or result in NumPy."""
    if isinstance(tree, TrainState):
        trees = (_copied(backend, one) for one in tree[2:])
        return TrainState(np.array(backend.to_numpy(tree.keys)), tree.epoch, *trees)
    return EpochResult(*(np.array(backend.to_numpy(value)) for value in tree))


def _copied(backend: Backend, tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {path: np.array(backend.to_numpy(value)) for path, value in tree.items()}


def placed(backend: Backend, state: TrainState) -> TrainState:
    """A state of NumPy's on the device."""
    return state._replace(**{name: on_device(backend, getattr(state, name)) for name in TrainState._fields[2:]})


def trees(state: TrainState) -> tuple[Mapping[str, Any], ...]:
    """All arrays of a state, in trees."""
    return {"keys": state.keys}, state.params, state.statistics, state.optimizer


def shown(lesson: Lesson, row: int) -> Iterator[np.ndarray]:
    """The images of each step of one network, in NumPy."""
    order, crops = lesson.batches
    for step in range(lesson.plan.steps):
        x = lesson.problem.x[order[row, step]]
        yield x if crops is None else np.stack([_cropped(*pair) for pair in zip(x, crops[row, step], strict=True)])


def _cropped(image: np.ndarray, crop: Any) -> np.ndarray:
    (height, width, _), (row, column, mirrored) = image.shape, crop
    padded = np.pad(image, [(CROP_MARGIN, CROP_MARGIN), (CROP_MARGIN, CROP_MARGIN), (0, 0)])
    part = padded[row : row + height, column : column + width]
    return part[:, ::-1] if mirrored else part
