"""Limited training: a backend's own ``score_trained`` that takes other steps, or scores another network."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tests.mutants.body import LIMITED, Witness
from tests.mutants.one_by_one import Asked, OneByOne, Pass, Trained, cut, limited_scores, with_own
from tests.mutants.weights_that_are_masked import NET
from tests.mutants.witnesses import FLAT, IMAGES
from weedout_core.backend import TrainState, epoch_batches, map_tree
from weedout_core.random import fold_in


def _mutant(witness: Witness) -> Callable[[type[OneByOne]], type[OneByOne]]:
    """Add a way. Its name, in the form of the others, is that of the mutant, and its docstring the reason."""

    def add(way: type[OneByOne]) -> type[OneByOne]:
        reason = " ".join((way.__doc__ or "").split())
        LIMITED.wrapped(way.__name__, "score_trained", reason, witness, partial(with_own, way=way))
        return way

    return add


def _with_steps(limited: Any, steps: int) -> Any:
    """Other steps by a plan that is long enough for them."""
    config = replace(limited.plan.config, epochs=-(-steps // limited.plan.steps))
    return limited._replace(steps=steps, plan=limited.plan._replace(config=config))


class _Remembering(OneByOne):
    last: Any = None

    def after_a_pass(self, net: Any, leg: Pass, state: TrainState, mask: Any) -> TrainState:
        self.last = super().after_a_pass(net, leg, state, mask)
        return self.last


@_mutant(limited_scores())
class begins_where_the_last_ended(_Remembering):
    """A candidate begins with the weights at which the one before it ended."""

    def begun(self, net: Any, params: Any, limited: Any, index: int) -> TrainState:
        begun = super().begun(net, params, limited, index)
        return begun._replace(params=self.last.params) if index else begun


@_mutant(limited_scores(momentum=0.9))
class velocities_of_the_last_candidate(_Remembering):
    """A candidate begins with the velocities of the one before it."""

    def begun(self, net: Any, params: Any, limited: Any, index: int) -> TrainState:
        begun = super().begun(net, params, limited, index)
        return begun._replace(optimizer=self.last.optimizer) if index else begun


@_mutant(limited_scores(momentum=0.9))
class at_rest_before_each_pass(OneByOne):
    """Velocities are 0 again where a pass begins."""

    def before_a_pass(self, state: TrainState, begun: TrainState, epoch: int) -> TrainState:
        return state._replace(optimizer=begun.optimizer)


@_mutant(limited_scores())
class one_step_too_few(OneByOne):
    """The last step is not taken."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        return super().passes(_with_steps(limited, limited.steps - 1), index)


@_mutant(limited_scores())
class one_step_too_many(OneByOne):
    """A step is taken after the last one."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        return super().passes(_with_steps(limited, limited.steps + 1), index)


@_mutant(limited_scores())
class last_pass_not_cut_short(OneByOne):
    """Passes over the split are whole."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        return super().passes(limited._replace(steps=limited.plan.config.epochs * limited.plan.steps), index)


@_mutant(limited_scores())
class last_pass_drawn_anew(OneByOne):
    """Of a pass that is cut short, the order is drawn as that of a smaller split."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        for epoch, leg in enumerate(super().passes(limited, index)):
            if leg.plan.steps == limited.plan.steps:
                yield leg
            else:
                x, y = limited.examples
                batches = epoch_batches([limited.key], epoch, leg.plan)
                yield Pass(leg.plan, x[: leg.plan.examples], y[: leg.plan.examples], batches)


@_mutant(limited_scores())
class every_pass_as_the_first(OneByOne):
    """Each pass has the order of the first."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        plan, (x, y) = limited.plan, limited.examples
        for epoch in range(plan.config.epochs):
            yield cut(Pass(plan, x, y, epoch_batches([limited.key], 0, plan)), limited.steps - epoch * plan.steps)


@_mutant(limited_scores())
class examples_in_their_own_order(OneByOne):
    """A pass shows the examples in the order in which they lie in the split."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        x, y = limited.examples
        for leg in super().passes(limited, index):
            yield leg._replace(x=x[: len(leg.x)], y=y[: len(leg.y)])


@_mutant(limited_scores())
class a_key_for_each_candidate(OneByOne):
    """Each candidate is shown other examples."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        return super().passes(limited._replace(key=fold_in(limited.key, index)), index)


@_mutant(limited_scores(IMAGES, augmentation="crop_flip"))
class limited_to_the_crops_of_a_step(OneByOne):
    """All steps of a pass crop images as the first one does."""

    def passes(self, limited: Any, index: int) -> Iterator[Pass]:
        for leg in super().passes(limited, index):
            crops = leg.batches.crops
            same = None if crops is None else np.repeat(crops[:, :1], crops.shape[1], axis=1)
            yield leg._replace(batches=leg.batches._replace(crops=same))


@_mutant(limited_scores(weight_decay=0.2))
class limited_without_decay(OneByOne):
    """Weights do not decay."""

    def after_a_pass(self, net: Any, leg: Pass, state: TrainState, mask: Any) -> TrainState:
        config = replace(leg.plan.config, weight_decay=0.0, decayed="weights")
        return super().after_a_pass(net, leg._replace(plan=leg.plan._replace(config=config)), state, mask)


@_mutant(limited_scores())
class rate_falls_over_the_steps(OneByOne):
    """The learning rate falls to 0 over the passes."""

    def after_a_pass(self, net: Any, leg: Pass, state: TrainState, mask: Any) -> TrainState:
        config = replace(leg.plan.config, schedule="cosine")
        return super().after_a_pass(net, leg._replace(plan=leg.plan._replace(config=config)), state, mask)


@_mutant(limited_scores())
class steps_without_masks(OneByOne):
    """The parent is trained, and the mask is applied when it is scored."""

    def after_a_pass(self, net: Any, leg: Pass, state: TrainState, mask: Any) -> TrainState:
        return super().after_a_pass(net, leg, state, None)


@_mutant(limited_scores(NET))
class steps_without_masks_of_weights(OneByOne):
    """Weights that a mask removes take part in the steps."""

    def after_a_pass(self, net: Any, leg: Pass, state: TrainState, mask: Any) -> TrainState:
        ones = map_tree(lambda value: self.by.asarray(np.ones(value.shape, bool)), mask)
        nodes = {site: ones[site] if site in state.params else value for site, value in mask.items()}
        return super().after_a_pass(net, leg, state, nodes)


@_mutant(limited_scores())
class scored_without_masks(OneByOne):
    """The mask is applied in the steps, and not when the candidate is scored."""

    def fitness(self, net: Any, trained: Trained, mask: Any, asked: Asked) -> np.ndarray:
        return super().fitness(net, trained, None, asked)


@_mutant(limited_scores())
class scored_before_the_steps(OneByOne):
    """The fitness is that of the initial weights."""

    def fitness(self, net: Any, trained: Trained, mask: Any, asked: Asked) -> np.ndarray:
        return super().fitness(net, trained._replace(ended=trained.begun), mask, asked)


@_mutant(limited_scores())
class scored_on_the_split(OneByOne):
    """The fitness is that on the examples of the steps."""

    def fitness(self, net: Any, trained: Trained, mask: Any, asked: Asked) -> np.ndarray:
        x, y = map(self.by.asarray, asked.limited.examples)
        return super().fitness(net, trained, mask, asked._replace(batch=asked.batch._replace(x=x, y=y)))


@_mutant(limited_scores(IMAGES))
class statistics_not_carried(OneByOne):
    """The fitness takes the running statistics from before the steps."""

    def fitness(self, net: Any, trained: Trained, mask: Any, asked: Asked) -> np.ndarray:
        before = trained.ended._replace(statistics=trained.begun.statistics)
        return super().fitness(net, trained._replace(ended=before), mask, asked)


@_mutant(limited_scores(IMAGES))
class statistics_of_the_last_pass(OneByOne):
    """Running statistics begin anew with each pass."""

    def before_a_pass(self, state: TrainState, begun: TrainState, epoch: int) -> TrainState:
        return state._replace(statistics=begun.statistics)


@_mutant(limited_scores(FLAT, own=True))
class weights_of_the_first_candidate(OneByOne):
    """Candidates that draw weights of their own all begin with those of the first."""

    def initial(self, params: Any, population: Any, index: int) -> Mapping[str, Any]:
        return super().initial(params, population, 0)


@_mutant(limited_scores())
class a_candidate_short(OneByOne):
    """Of the last group of candidates, if it is not full, the first one's fitness stands for all."""

    def __call__(self, net: Any, params: Any, population: Any, batch: Any, scoring: Any, limited: Any) -> Any:
        found = super().__call__(net, params, population, batch, scoring, limited)
        whole = population.size // scoring.chunk * scoring.chunk
        return np.concatenate([found[:whole], np.repeat(found[whole : whole + 1], len(found) - whole)])


@_mutant(limited_scores(fitness="accuracy"))
class always_the_cross_entropy(OneByOne):
    """Accuracy is asked for, and the negative cross-entropy is given."""

    def fitness(self, net: Any, trained: Trained, mask: Any, asked: Asked) -> np.ndarray:
        named = asked.scoring._replace(fitness="negative_cross_entropy")
        return super().fitness(net, trained, mask, asked._replace(scoring=named))
