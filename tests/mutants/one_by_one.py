"""Limited training of one candidate after the other, as a backend may write it: right, and made to be changed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from tests.mutants.body import Witness
from tests.mutants.witnesses import CHOSEN, FLAT, first, given
from weedout_core import Network, TrainConfig, mask_plan, mask_space
from weedout_core._algorithm.limited import limited_plan
from weedout_core._phases.limited_training import score_trained
from weedout_core.backend import (
    FITNESS,
    Backend,
    Batches,
    Examples,
    LimitedTraining,
    Population,
    ScoredBatch,
    Scoring,
    TrainPlan,
    TrainState,
    epoch_batches,
    map_tree,
)
from weedout_core.nn import he_normal, initial_statistics
from weedout_core.random import key, split


class Pass(NamedTuple):
    """Some steps.

    Attributes:
        plan: of these steps.
        x, y: the training split, in NumPy.
        batches: which examples they show.
    """

    plan: TrainPlan
    x: np.ndarray
    y: np.ndarray
    batches: Batches


class Trained(NamedTuple):
    """The states before the first step and after the last."""

    begun: TrainState
    ended: TrainState


class Asked(NamedTuple):
    """How candidates are scored, and after which steps."""

    batch: ScoredBatch
    scoring: Scoring
    limited: LimitedTraining


class OneByOne:
    """A ``score_trained`` of a backend's own. A mutant overrides a method; ``index`` is the candidate's number."""

    def __init__(self, backend: Backend) -> None:
        self.by = backend

    def __call__(self, net: Any, params: Any, population: Any, batch: Any, scoring: Any, limited: Any) -> Any:
        masks = population.masks or self.by.masks_from_keys(population.mask_keys, population.plan)
        hosted, found = map_tree(self.by.to_numpy, masks), list[np.ndarray]()
        for index in range(population.size):
            mask = {site: self.by.asarray(value[index : index + 1]) for site, value in hosted.items()}
            state = begun = self.begun(net, self.initial(params, population, index), limited, index)
            for epoch, leg in enumerate(self.passes(limited, index)):
                state = self.after_a_pass(net, leg, self.before_a_pass(state, begun, epoch), mask)
            found.append(self.fitness(net, Trained(begun, state), mask, Asked(batch, scoring, limited)))
        return np.concatenate(found)

    def initial(self, params: Any, population: Population, index: int) -> Mapping[str, Any]:
        """The initial weights."""
        if population.weight_keys is None:
            return params
        return self.by.draw_parameters(population.weight_keys[index], params)

    def begun(self, net: Network, params: Mapping[str, Any], limited: LimitedTraining, index: int) -> TrainState:
        """The state before the first step."""
        given = (map_tree(self.by.to_numpy, params), initial_statistics(net))
        trees = ({path: self.by.asarray(value[None]) for path, value in tree.items()} for tree in given)
        return self.by.train_init(net, limited.plan, limited.key[None], *trees)

    def passes(self, limited: LimitedTraining, index: int) -> Iterator[Pass]:
        """The steps: a pass over the split after the other, the last cut short."""
        plan, (x, y) = limited.plan, limited.examples
        for epoch in range(plan.config.epochs):
            yield cut(Pass(plan, x, y, epoch_batches([limited.key], epoch, plan)), limited.steps - epoch * plan.steps)

    def before_a_pass(self, state: TrainState, begun: TrainState, epoch: int) -> TrainState:
        """The state that a pass goes on from."""
        return state

    def after_a_pass(self, net: Network, leg: Pass, state: TrainState, mask: Any) -> TrainState:
        """Take the steps of a pass."""
        plan, x, y, batches = leg
        return self.by.train_epoch(net, plan, state, mask, self.by.asarray(x), self.by.asarray(y), batches)[0]

    def fitness(self, net: Network, trained: Trained, mask: Any, asked: Asked) -> np.ndarray:
        """The fitness after the steps, ``(1,)``."""
        state, batch = trained.ended, asked.batch
        logits = self.by.to_numpy(self.by.predict(net, state.params, state.statistics, mask, batch.x))
        return FITNESS[asked.scoring.fitness](logits.astype(np.float64), self.by.to_numpy(batch.y))


def cut(leg: Pass, steps: int) -> Pass:
    """The first steps of a pass, on their examples alone, in order."""
    order, crops = leg.batches.order[:, :steps], leg.batches.crops
    shown = order.reshape(-1)
    in_order = np.arange(shown.size, dtype=np.int32).reshape(order.shape)
    batches = Batches(in_order, None if crops is None else crops[:, :steps])
    return Pass(leg.plan._replace(examples=shown.size), leg.x[shown], leg.y[shown], batches)


def limited_scores(
    net: Network = FLAT,
    *,
    steps: int = 5,
    own: bool = False,
    fitness: Literal["negative_cross_entropy", "accuracy"] = "negative_cross_entropy",
    **config: Any,
) -> Witness:
    """The fitness of five candidates after limited training, two steps to a pass, three candidates at a time."""

    def answers(backend: Backend) -> Any:
        made, keys = given(net, 5, 9), split(key(11), 5)
        plan = limited_plan(TrainConfig(**CHOSEN | config), 9, steps, "highest")
        limited = LimitedTraining(Examples(made.x.astype(np.float32), made.y), plan, steps, key(12))
        statistics = map_tree(backend.asarray, initial_statistics(net)) or None
        batch = ScoredBatch(backend.asarray(-made.x[:6]), backend.asarray(made.y[:6]), statistics)
        population = Population(5, mask_plan(mask_space(net), 0.4), keys, keys if own else None, None)
        params = he_normal(net) if own else first(backend, made.params)
        score = backend.score_trained or partial(score_trained, backend)
        return score(net, params, population, batch, Scoring(fitness, "highest", 3), limited)

    return answers


def with_own(backend: Backend, way: type[OneByOne]) -> Backend:
    """The backend with a ``score_trained`` of its own."""
    return replace(backend, score_trained=way(backend))
