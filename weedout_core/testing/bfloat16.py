"""Checks of products whose operands are rounded: what they may round, and what must stay in float32."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.schedule import TrainPlan, epoch_batches, train_plan
from weedout_core._contract.calls import TrainState
from weedout_core._contract.record import Backend
from weedout_core._random.stream import split
from weedout_core.testing.comparing import equal, within
from weedout_core.testing.courses import Course, rounded_steps
from weedout_core.testing.lessons import Lesson, hosted, learn, placed, shown
from weedout_core.testing.networks import ROUNDED, UNROUNDED, networks
from weedout_core.testing.precision import UNIT_ROUNDOFF
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device
from weedout_core.testing.trying import unless_refused


@unless_refused()
def bfloat16_step_agrees(backend: Backend, reference: Backend) -> None:
    """A step with products in bfloat16 agrees, for each option of SGD; all but products is in float32."""
    _steps_agree(backend, reference, {"compute": "bfloat16"})


def default_step_agrees(backend: Backend, reference: Backend) -> None:
    """A step in the default precision agrees, for each option of SGD; a device may round the operands of products."""
    _steps_agree(backend, reference, {"precision": "default"})


def _steps_agree(backend: Backend, reference: Backend, products: dict[str, Any]) -> None:
    """Assert that steps agree whose products are rounded by these options.

    Weights, velocities and statistics are a thousand times as large as what a step adds to them, so that a state that
    was rounded to bfloat16 on its way shows.
    """
    steps = rounded_steps(networks(backend, ROUNDED), products)
    others = rounded_steps(networks(backend, UNROUNDED), products)[:1]

    @across([st.tuples(problem(course.net), st.just(course)) for course in (*steps, *others)])
    def agree(case: tuple[Problem, Course]) -> None:
        problem, course = _of_one_sign(case[0]), case[1]
        plan = train_plan(course.config, len(problem.y))
        keys = split(problem.keys[0], 2)
        masks = {site: mask[:2] for site, mask in problem.masks.items()}
        before = _before(backend, problem, plan, keys)
        for epoch in range(course.config.epochs):
            lesson = Lesson(problem, plan, masks, epoch_batches(list(keys), epoch, plan))
            agrees = _step_agrees if course in steps else _forward_agrees
            agrees(backend, reference, f"{course}, epoch {epoch}", lesson, before._replace(epoch=epoch))
        # Of the examples above none is classified correctly, whose weights work against their class.
        lesson = Lesson(case[0], plan, masks, epoch_batches(list(keys), 0, plan))
        _forward_agrees(backend, reference, f"{course}, other weights", lesson, _before(backend, case[0], plan, keys))
        if course in steps:
            far = _far(problem)
            lesson = lesson._replace(problem=far)
            _forward_agrees(backend, reference, f"{course}, far inputs", lesson, _before(backend, far, plan, keys))

    agree()


def _far(problem: Problem) -> Problem:
    """Inputs of some 10^5 and as much smaller weights of the first layer: all products are what they were.

    float16, which has more bits than bfloat16, ends at 65,504 and has few bits left below 6e-5.
    """
    first = next(path for path in problem.params if path.endswith("/kernel"))
    smaller = problem.params[first] * np.float32(2**-17)
    return problem._replace(x=problem.x * np.float32(2**17), params={**problem.params, first: smaller})


def _of_one_sign(problem: Problem) -> Problem:
    """The problem with weights, inputs and labels by which no sum of products cancels, and no ReLU is near its kink.

    All examples are of class 0, whose logit alone has weights below 0. Biases of the logits are large: a sum with them
    in bfloat16 would show.
    """
    params = {path: np.abs(value) for path, value in problem.params.items()}
    kernel, bias = list(params)[-2:]
    signs = np.where(np.arange(problem.net.classes) == 0, -1, 1).astype(np.float32)
    params[kernel] = params[kernel] * signs
    params[bias] = params[bias] + np.float32(100)
    above = {path: value + np.float32(5) for path, value in params.items() if path == "norm/bias"}
    return problem._replace(params=params | above, x=np.abs(problem.x), y=np.zeros_like(problem.y))


def _before(backend: Backend, problem: Problem, plan: TrainPlan, keys: np.ndarray) -> TrainState:
    """A state of two networks, in NumPy, with large velocities and statistics."""
    rng = np.random.default_rng(problem.keys[1])
    params = {path: np.stack([value, np.float32(0.7) * value]) for path, value in problem.params.items()}
    statistics = {path: np.stack([100 + value, 200 + value]) for path, value in problem.statistics.items()}
    large = {path: (20 * rng.standard_normal(value.shape)).astype(np.float32) for path, value in params.items()}
    given = on_device(backend, params), on_device(backend, statistics)
    masks = on_device(backend, {site: mask[:2] for site, mask in problem.masks.items()})

    def predicted() -> np.ndarray:
        return backend.to_numpy(backend.predict(problem.net, *given, masks, backend.asarray(problem.x)))

    logits = predicted()
    state = backend.train_init(problem.net, plan, keys, *given)
    equal("the logits of predict, which stay what they were before train_init", predicted(), logits)
    for path, value in params.items():
        equal(f"{path} of train_init", backend.to_numpy(state.params[path]).astype(np.float32), value)
    return hosted(backend, state)._replace(optimizer=large)


def _forward_agrees(
    backend: Backend, reference: Backend, name: str, lesson: Lesson, before: TrainState
) -> tuple[TrainState, TrainState]:
    """Assert that losses, counts and running statistics agree, and give the states after the step."""
    got, result = (hosted(backend, one) for one in learn(backend, lesson, placed(backend, before)))
    true, wanted = (hosted(reference, one) for one in learn(reference, lesson, placed(reference, before)))
    losses, correct, statistics = zip(*(_forward(lesson, before, row) for row in range(2)), strict=True)
    within(f"the first losses ({name})", result.loss[:, 0], wanted.loss[:, 0], np.array(losses))
    within(f"correct ({name})", result.correct[:, 0], wanted.correct[:, 0], np.array(correct))
    for path, value in true.statistics.items():
        off = np.stack([one[path] for one in statistics]) + 4 * UNIT_ROUNDOFF * np.abs(value)
        _close(f"{path} ({name})", got.statistics[path], value, off)
    return got, true


def _step_agrees(backend: Backend, reference: Backend, name: str, lesson: Lesson, before: TrainState) -> None:
    got, true = _forward_agrees(backend, reference, name, lesson, before)
    name = f"({name})"
    for path, value in true.optimizer.items():
        _close(f"velocity of {path} {name}", got.optimizer[path], value, _velocity_off(lesson, before, path, value))
        # A weight moves by the rate times a velocity, which is off as above.
        weights, rate = before.params[path], lesson.plan.config.learning_rate
        moved = np.abs(true.params[path] - weights).max()
        off = 2 * rate * _velocity_off(lesson, before, path, value) + 4 * UNIT_ROUNDOFF * (np.abs(weights) + moved)
        _close(f"{path} {name}", got.params[path], true.params[path], off)


def _forward(lesson: Lesson, before: TrainState, row: int) -> tuple[float, float, dict[str, np.ndarray]]:
    """The bounds on a network's loss, its count of correct examples and the statistics of the batch."""
    params = {path: value[row] for path, value in before.params.items()}
    masks = {site: mask[row] for site, mask in (lesson.masks or {}).items()}
    x = next(shown(lesson, row))
    return bound("train losses", "bfloat16")(lesson.problem.net, params, masks, x, None, lesson.plan.groups)


def _velocity_off(lesson: Lesson, before: TrainState, path: str, after: np.ndarray) -> np.ndarray:
    """The bound on a velocity: that on the gradient, and the roundings of a sum in float32."""
    velocity, weights, momentum = before.optimizer[path], before.params[path], lesson.plan.config.momentum
    gradient = after - momentum * velocity.astype(np.float64)  # with the decay, which is no product of the network's
    rounded = 4 * UNIT_ROUNDOFF * (np.abs(velocity) + np.abs(weights) + np.abs(after))
    return bound("train weights", "bfloat16")(float(np.abs(gradient).max())) + rounded


def _close(name: str, got: np.ndarray, wanted: np.ndarray, most: Any) -> None:
    assert got.dtype.itemsize >= 4, f"{name} is {got.dtype}, not float32"
    within(name, got, wanted, most)
