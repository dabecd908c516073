"""Checks of the learning phase.

An epoch is a function of the state that goes into it. So each is compared with the reference's from the very same
state, and the errors of the epochs before it are no excuse.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.schedule import TrainPlan, epoch_batches, train_plan
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import EpochResult, TrainState
from weedout_core._contract.record import Backend
from weedout_core._networks.network import initial_statistics
from weedout_core._random.stream import split
from weedout_core.testing.comparing import equal, within
from weedout_core.testing.courses import PLAINEST, Course, courses
from weedout_core.testing.diagnosis import why
from weedout_core.testing.epoch_bounds import most_of
from weedout_core.testing.lessons import Lesson, hosted, learn, placed, repeated, trees
from weedout_core.testing.networks import NETWORKS, networks
from weedout_core.testing.problems import Problem, compacted, compacted_problems, drawn_weights, problem
from weedout_core.testing.properties import across
from weedout_core.testing.trees import on_device


def epoch_agrees(backend: Backend, reference: Backend) -> None:
    """Three epochs agree, for each two options of SGD that meet."""
    rest = [net for net in networks(backend) if net not in NETWORKS]
    cases = [*courses([net for net in networks(backend) if net in NETWORKS]), *(Course(net, PLAINEST) for net in rest)]

    @across(
        [st.tuples(problem(course.net), st.just(course)) for course in cases],
        explain=lambda case: why_not(backend, reference, *case),
    )
    def agree(case: tuple[Problem, Course]) -> None:
        epochs_agree(backend, reference, *case)

    agree()


def compacted_epoch_agrees(backend: Backend, reference: Backend) -> None:
    """Compacted networks, with their gathering and scaling layers, are trained as by the reference."""

    # Without crops: some would show nothing of the smallest images, and batch normalisation would have no variance.
    @across(compacted_problems(backend), explain=lambda parent: why_not(backend, reference, *_smaller(parent)))
    def agree(parent: Problem) -> None:
        epochs_agree(backend, reference, *_smaller(parent))

    agree()


def _smaller(parent: Problem) -> tuple[Problem, Course]:
    small = compacted(parent)[0]
    return small, Course(small.net, PLAINEST)


def why_not(backend: Backend, reference: Backend, problem: Problem, course: Course) -> str:
    """Why the training of a problem does not agree: in which part of a step, and with which options of SGD."""

    def agree(config: TrainConfig) -> None:
        epochs_agree(backend, reference, problem, course._replace(config=config))

    return why(agree, course.config, initial_statistics(problem.net))


def epochs_agree(backend: Backend, reference: Backend, problem: Problem, course: Course) -> None:
    """Assert that some networks are trained alike on both backends, within bounds, and again to the bit."""
    plan = train_plan(course.config, len(problem.y))
    keys = split(problem.keys[0], course.networks)
    masks = _stacked(problem, course.networks) if course.masked or problem.gathers else None
    state = at_rest = beginning(backend, problem, plan, keys)
    moving = at_rest._replace(optimizer=on_device(backend, _velocities(problem, at_rest)))
    epochs: list[tuple[Lesson, TrainState, TrainState, EpochResult]] = []
    kept: list[TrainState] = []
    # The first epoch is run from rest, as all trainings are, and then from a state that no training begins with.
    for epoch, given in ((0, at_rest), (0, moving), *((epoch, None) for epoch in range(1, course.config.epochs))):
        batches = epoch_batches(list(keys), epoch, plan)
        lesson = Lesson(problem, plan, masks, repeated(batches, plan.examples) if given is moving else batches)
        before = hosted(backend, given or state)
        state, result = learn(backend, lesson, given or state)
        epochs.append((lesson, before, hosted(backend, state), hosted(backend, result)))
        kept.append(state)
        agrees(reference, *epochs[-1])
    # Out of turn, from a state that was on the host: nothing but the state may decide.
    for lesson, before, after, result in reversed(epochs):
        again = learn(backend, lesson, placed(backend, before))
        for name, got, wanted in zip(("state", "result"), again, (after, result), strict=True):
            _same(f"{name} of the same epoch again", hosted(backend, got), wanted)
    for state, (_, _, after, _) in zip(kept, epochs, strict=True):
        _same("a state, after later epochs", hosted(backend, state), after)


def beginning(backend: Backend, problem: Problem, plan: TrainPlan, keys: np.ndarray) -> TrainState:
    """A state before epoch 0 with weights and statistics of its own for each network.

    What ``train_init`` makes of them is checked on the way: it begins at rest.
    """
    rng = np.random.default_rng(problem.keys[1])
    params = [problem.params, *(drawn_weights(rng, problem.net) for _ in keys[1:])]
    weights = {path: np.stack([one[path] for one in params]) for path in problem.params}
    statistics = {
        path: np.stack([value + np.float32(0.25 * number) for number in range(len(keys))])
        for path, value in problem.statistics.items()
    }
    state = backend.train_init(problem.net, plan, keys, on_device(backend, weights), on_device(backend, statistics))
    assert state.epoch == 0, f"train_init begins with epoch {state.epoch}"
    given = {"keys": keys}, weights, statistics, {path: np.zeros_like(value) for path, value in weights.items()}
    for tree, wanted in zip(trees(hosted(backend, state)), given, strict=True):
        assert set(tree) == set(wanted), f"train_init has the paths {sorted(tree)}"
        for path, value in wanted.items():
            equal(f"train_init: {path}", tree[path].astype(value.dtype), value)
    return state


def _velocities(problem: Problem, state: TrainState) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(problem.keys[2])
    shapes = {path: tuple(value.shape) for path, value in state.params.items()}
    return {path: (0.05 * rng.standard_normal(shape)).astype(np.float32) for path, shape in shapes.items()}


def _stacked(problem: Problem, networks: int) -> dict[str, np.ndarray]:
    return {site: mask[:networks] for site, mask in problem.uneven().items()}


def _same(name: str, got: Any, wanted: Any) -> None:
    if isinstance(got, TrainState):
        assert got.epoch == wanted.epoch, f"{name}: epoch {got.epoch}, before {wanted.epoch}"
        for one, two in zip(trees(got), trees(wanted), strict=True):
            for path, value in two.items():
                equal(f"{name}, {path}", one[path], value)
    else:
        for field, one, two in zip(got._fields, got, wanted, strict=True):
            equal(f"{name}, {field}", one, two)


def agrees(reference: Backend, lesson: Lesson, before: TrainState, after: TrainState, result: EpochResult) -> None:
    """Assert that an epoch ended as the reference's from the same state; what is computed first is compared first."""
    true, wanted = (hosted(reference, one) for one in learn(reference, lesson, placed(reference, before)))
    most = most_of(lesson, before, true)
    within("losses", result.loss, wanted.loss, most.losses)
    within("correct", result.correct, wanted.correct, most.correct)
    _within_tree("{}", after.statistics, true.statistics, most.statistics)
    _within_tree("train_epoch: {}", after.params, true.params, most.weights)
    _within_tree("velocity of {}", after.optimizer, true.optimizer, most.velocities)
    assert after.epoch == before.epoch + 1, f"epoch {before.epoch} leads to epoch {after.epoch}"
    equal("keys of the state", after.keys, before.keys)


def _within_tree(name: str, got: Mapping[str, Any], wanted: Mapping[str, Any], most: Mapping[str, Any]) -> None:
    assert set(got) == set(wanted), f"{name.format('a tree')}: paths {sorted(got)}"
    for path, value in wanted.items():
        within(name.format(path), got[path], value, most[path])
