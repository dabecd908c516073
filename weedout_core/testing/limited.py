"""The check of fitness after limited training.

A pass over the split has three steps here, or fewer. How many steps there are, how candidates are given and how many
are trained side by side meet in few rows, because a compiled backend compiles two or three programs for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.limited import LimitedTraining, limited_plan
from weedout_core._algorithm.population import Population
from weedout_core._algorithm.schedule import Batches, TrainPlan, epoch_batches
from weedout_core._contract.calls import ScoredBatch, Scoring, TrainState
from weedout_core._contract.optional_calls import ScoreTrained
from weedout_core._contract.record import Backend, stack
from weedout_core._networks.examples import Examples
from weedout_core._networks.network import Network, initial_statistics
from weedout_core._phases.limited_training import score_trained
from weedout_core.testing.carried import Carried
from weedout_core.testing.comparing import equal, within
from weedout_core.testing.courses import PLAINEST
from weedout_core.testing.epoch_bounds import most_of
from weedout_core.testing.lessons import Lesson, hosted, learn
from weedout_core.testing.networks import NETWORKS, ROUNDED, TIED, networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.scores import Asked, candidates_of, own_specs, population
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device, on_host


class Limited(NamedTuple):
    """How the candidates of a problem are trained before they are scored.

    Attributes:
        net: their parent.
        steps: how many, k.
        asked: how they are given and scored.
        sgd: the options that differ from those of the plainest training.
        size: how many candidates there are, m.
    """

    net: Network
    steps: int
    asked: Asked
    sgd: Mapping[str, Any]
    size: int = 6


_FLAT, _NORMED, _WEIGHTS, _IMAGES = NETWORKS[0], TIED[0], NETWORKS[2], ROUNDED[2]
_MOVING = {"momentum": 0.9, "weight_decay": 0.1}
_MASKED = {"compaction": False}

#: One step, a pass, two passes, and a second pass that is cut short; in batches of 20 of 24 examples some are left over
#: in each pass. Candidates are trained alone, some or all side by side, and by threes where there are five. Masks of
#: equal counts make smaller networks, others do not. One network has batch normalisation, one masks of weights, and one
#: both images and statistics.
ROWS = (
    Limited(_FLAT, 1, Asked(chunk=3), {}, size=5),
    Limited(_FLAT, 5, Asked(candidates="masks", chunk=4), _MOVING),
    Limited(_FLAT, 5, Asked("accuracy", candidates="host masks", chunk=4), _MOVING),
    Limited(_FLAT, 3, Asked("accuracy", "per_candidate", "bernoulli", chunk=1), {**_MASKED, "nesterov": True}),
    Limited(_FLAT, 2, Asked(weights="per_candidate", chunk=9), {"batch_size": 20}),
    Limited(_NORMED, 5, Asked(chunk=3), {"batch_norm_group": 4}),
    Limited(_WEIGHTS, 6, Asked(weights="per_candidate", candidates="global", chunk=6), {"augmentation": "crop_flip"}),
    Limited(_WEIGHTS, 3, Asked(candidates="bernoulli", chunk=1), {**_MOVING, **_MASKED, "decayed": "all"}),
    Limited(_IMAGES, 4, Asked(chunk=4), {**_MOVING, "augmentation": "crop_flip"}),
)


class Trial(NamedTuple):
    """Candidates that are trained and scored, in NumPy.

    Attributes:
        problem: their parent and the examples.
        asked: how they are given and scored.
        limited: the steps.
        masks: {site: bool ``(m, *shape)``}.
        params: the initial weights of each, {path: float32 ``shape``}.
    """

    problem: Problem
    asked: Asked
    limited: LimitedTraining
    masks: dict[str, np.ndarray]
    params: Sequence[dict[str, np.ndarray]]

    @property
    def scored(self) -> tuple[np.ndarray, np.ndarray]:
        """The examples that candidates are scored on: none of those that they are trained on."""
        some = len(self.problem.y) // 2
        return -self.problem.x[:some], self.problem.y[:some]


def limited_training_agrees(backend: Backend, reference: Backend) -> None:
    """Fitness after limited training agrees: composed of the backend's calls, and by its own ``score_trained``."""
    rows = [row for row in ROWS if networks(backend, (row.net,))]

    @across([st.tuples(problem(row.net, candidates=row.size), st.just(row)) for row in rows], once=True)
    def agree(case: tuple[Problem, Limited]) -> None:
        trained_alike(backend, reference, *case)

    agree()


def trained_alike(backend: Backend, reference: Backend, problem: Problem, row: Limited) -> None:
    """Assert that the candidates of a problem are trained and scored as the reference trains and scores their masks."""
    plan, masks = candidates_of(problem, row.asked)
    given = population(backend, problem, plan, masks, row.asked)
    trial = Trial(problem, row.asked, _limited(problem, row), masks, _initial(backend, problem, given))
    wanted, most = _expected(reference, trial)
    composed = _scored(backend, partial(score_trained, backend), trial, given)
    within("fitness after steps of train_epoch", composed, wanted, most)
    if row.asked.chunk == 1 and row.steps == trial.limited.plan.steps:
        equal(
            "fitness of candidates alone, after steps or an epoch of train_epoch,", composed, _of_epochs(backend, trial)
        )
    if backend.score_trained is None:
        return
    own, again = (_scored(backend, backend.score_trained, trial, given) for _ in range(2))
    kind = own.dtype if isinstance(own, np.ndarray) else type(own).__name__
    assert kind == np.float64, f"score_trained gives float64 in NumPy; got {kind}"
    within("score_trained", own, wanted, most)
    equal("the same call of score_trained", again, own)


def _limited(problem: Problem, row: Limited) -> LimitedTraining:
    plan = limited_plan(replace(PLAINEST, **row.sgd), len(problem.y), row.steps, "highest")
    return LimitedTraining(Examples(problem.x, problem.y), plan, row.steps, problem.keys[2])


def _initial(backend: Backend, problem: Problem, population: Population) -> list[dict[str, np.ndarray]]:
    """The initial weights of each candidate, as the backend draws them."""
    if population.weight_keys is None:
        return [problem.params] * population.size
    specs = own_specs(problem.net)
    return [on_host(backend, backend.draw_parameters(key, specs)) for key in population.weight_keys]


def _scored(by: Backend, score: ScoreTrained, trial: Trial, given: Population) -> Any:
    net, (x, y), asked = trial.problem.net, trial.scored, trial.asked
    # A search hands in the statistics that its candidates begin with.
    batch = ScoredBatch(by.asarray(x), by.asarray(y), on_device(by, initial_statistics(net)) or None)
    params = own_specs(net) if given.weight_keys is not None else on_device(by, trial.problem.params)
    scoring = Scoring(asked.fitness, asked.precision, asked.chunk)
    return score(net, params, given, batch, scoring, trial.limited)


def _expected(reference: Backend, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """The fitness of each candidate ``(m,)``, and a bound on its error.

    The reference trains the parents under their masks, and takes all steps in one epoch: no pass ends. The bounds are
    those of such an epoch, carried through the network to the logits.
    """
    net, (x, _), lesson = trial.problem.net, trial.scored, _lesson(trial)
    before = _beginning(reference, net, lesson.plan, trial.params, trial.limited.key)
    after, _ = learn(reference, lesson, before)
    wanted = _fitness(reference, trial, after, trial.masks)
    after = hosted(reference, after)
    most, bounds = most_of(lesson, hosted(reference, before), after), list[float]()
    for index, initial in enumerate(trial.params):
        # Weights that are drawn within another program are off before the first step.
        drawn = bound("draw_parameters")(initial) if trial.asked.weights == "per_candidate" else {}
        off = {path: most.weights[path] + drawn.get(path, np.zeros_like(value)) for path, value in initial.items()}
        weights, mask = ({path: value[index] for path, value in tree.items()} for tree in (after.params, trial.masks))
        moved = {path: Carried(value[index], most.statistics[path][index]) for path, value in after.statistics.items()}
        bounds.append(bound(trial.asked.fitness)(*bound("apply")(net, weights, mask, x, off, statistics=moved or None)))
    return wanted, np.array(bounds)


def _lesson(trial: Trial) -> Lesson:
    """All steps as one epoch. Its examples lie in the order in which they are shown, some of them more than once."""
    problem, (_, plan, steps, key) = trial.problem, trial.limited
    passes = [epoch_batches([key], epoch, plan) for epoch in range(plan.config.epochs)]
    shown = np.concatenate([one.order[0] for one in passes])[:steps].reshape(-1)
    order = np.arange(shown.size, dtype=np.int32).reshape(steps, plan.batch_size)
    crops = [one.crops[0] for one in passes if one.crops is not None]
    cropped = _for_each(np.concatenate(crops)[:steps], trial) if crops else None
    whole = plan._replace(config=replace(plan.config, epochs=1), examples=shown.size)
    in_order = problem._replace(x=problem.x[shown], y=problem.y[shown])
    return Lesson(in_order, whole, trial.masks, Batches(_for_each(order, trial), cropped))


def _for_each(array: np.ndarray, trial: Trial) -> np.ndarray:
    return np.stack([array] * len(trial.params))


def _beginning(
    by: Backend, net: Network, plan: TrainPlan, params: Sequence[dict[str, np.ndarray]], key: np.ndarray
) -> TrainState:
    """Networks before their first step: at rest, with the statistics that all networks begin with, and of one key."""
    statistics = [initial_statistics(net)] * len(params)
    return by.train_init(net, plan, np.stack([key] * len(params)), stack(by, params), stack(by, statistics))


def _fitness(by: Backend, trial: Trial, state: TrainState, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """The fitness of trained networks, float64."""
    (x, y), there = trial.scored, on_device(by, masks)
    logits = by.predict(trial.problem.net, state.params, state.statistics, there, by.asarray(x))
    return FITNESS[trial.asked.fitness](by.to_numpy(logits).astype(np.float64), y)


def _of_epochs(backend: Backend, trial: Trial) -> np.ndarray:
    """The fitness of each candidate after an epoch over the split, alone under its mask."""
    (_, plan, _, key), found = trial.limited, list[np.ndarray]()
    lesson = Lesson(trial.problem, plan, None, epoch_batches([key], 0, plan))
    for index, initial in enumerate(trial.params):
        mask = {site: value[index : index + 1] for site, value in trial.masks.items()}
        before = _beginning(backend, trial.problem.net, plan, [initial], key)
        state, _ = learn(backend, lesson._replace(masks=mask), before)
        found.append(_fitness(backend, trial, state, mask))
    return np.concatenate(found)
