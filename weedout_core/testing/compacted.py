"""Checks of compacted networks, which equal their masked parents."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.population import Population
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.record import Backend, stack
from weedout_core._masks.plan import Sampling, mask_plan, masks_from_keys
from weedout_core._networks.initial import he_normal
from weedout_core._networks.network import mask_space
from weedout_core._random.stream import split
from weedout_core.testing.draws import across, each
from weedout_core.testing.problems import (
    COMPACTED_SPARSITY,
    Problem,
    compactable_problems,
    compacted,
    compacted_problems,
)
from weedout_core.testing.scored import normalised, on_device, on_host, within
from weedout_core.testing.tolerances import bound
from weedout_core.testing.training import CONFIGS, epochs_agree


def predict_compacted(backend: Backend, reference: Backend) -> None:
    """Several compacted networks in one call predict what their masked parent predicts under each mask."""

    @across(compacted_problems(backend))
    def agree(parent: Problem) -> None:
        small = compacted(parent)[:2]

        def predicted(by: Backend, problems: list[Problem]) -> np.ndarray:
            params, statistics = (
                stack(by, [getattr(one, name) for one in problems]) for name in ("params", "statistics")
            )
            masks = stack(by, [one.one(index) for index, one in enumerate(problems)])
            return by.to_numpy(by.predict(problems[0].net, params, statistics, masks, by.asarray(parent.x)))

        most = np.stack(
            [
                bound("apply")(one.net, one.params, one.one(index), one.x, statistics=one.statistics)[1]
                for index, one in enumerate(small)
            ]
        )
        got = predicted(backend, small)
        within("predict of a compacted network", got, predicted(reference, small), most)
        within("predict of a compacted network, as of its parent,", got, predicted(reference, [parent] * 2), most)

    agree()


#: How candidates of each compactable network are scored: whose weights, which statistics, which sampling.
SCORINGS = (
    (("per_candidate", "running", "exact"), ("shared", "batch", "bernoulli")),
    (("shared", "running", "exact"), ("shared", "recalibrated", "exact")),
)


def score_compacted(backend: Backend, reference: Backend) -> None:
    """A population given by keys, which a backend may compact, has the fitness of its masks, with own weights too."""

    networks = zip(compactable_problems(backend), SCORINGS, strict=False)
    cases = [st.tuples(one, st.just(how)) for one, hows in networks for how in hows]

    @across(cases)
    def agree(case: tuple[Problem, tuple[str, str, Sampling]]) -> None:
        problem, how = case
        weights, kind, sampling = how
        norm = normalised(problem, kind)
        plan = mask_plan(mask_space(problem.net), COMPACTED_SPARSITY, sampling)
        masks = masks_from_keys(problem.keys, plan)
        specs, own = he_normal(problem.net), None
        if weights == "per_candidate":
            own = split(problem.keys[0], len(problem.keys))
        most: list[float] = []
        for index in range(len(problem.keys)):
            drawn = problem.params if own is None else on_host(reference, reference.draw_parameters(own[index], specs))
            off = None if own is None else bound("draw_parameters")(drawn)
            one = {site: mask[index] for site, mask in masks.items()}
            logits = bound("apply")(problem.net, drawn, one, problem.x, off, **norm)
            most.append(bound("negative_cross_entropy")(*logits))

        def fitness(by: Backend, population: Population) -> np.ndarray:
            params = on_device(by, problem.params) if own is None else specs
            scored = by.score(problem.net, params, population, problem.x, problem.y, chunk=2, **norm)
            return by.to_numpy(scored)

        keyed = Population(len(problem.keys), plan, problem.keys, own, None)
        wanted = fitness(reference, keyed._replace(plan=None, mask_keys=None, masks=masks))
        within(f"score of {', '.join(how)}", fitness(backend, keyed), wanted, np.array(most))

    agree()


def compacted_epoch_agrees(backend: Backend, reference: Backend) -> None:
    """Compacted networks, with their gathering and scaling layers, are trained as by the reference."""

    # Without crops: some would show nothing of the smallest images, and batch normalisation would have no variance.
    @across(compacted_problems(backend), each(replace(CONFIGS[-1], augmentation="none")))
    def agree(problem: Problem, config: TrainConfig) -> None:
        epochs_agree(backend, reference, compacted(problem)[0], config)

    agree()
