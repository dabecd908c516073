"""Checks of fitness."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.population import Population
from weedout_core._contract.calls import ScoredBatch, Scoring, Specs
from weedout_core._contract.record import Backend
from weedout_core._masks.plan import MaskPlan, mask_plan, masks_from_keys
from weedout_core._networks.initial import he_normal
from weedout_core._networks.network import Network, initial_statistics, mask_space
from weedout_core._random.stream import split
from weedout_core.testing.cases import each_once
from weedout_core.testing.comparing import within
from weedout_core.testing.networks import COMPACTABLE, COMPACTED_SPARSITY, ROUNDED, masked, networks
from weedout_core.testing.precision import BFLOAT16
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across, combined
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device, on_host


class Asked(NamedTuple):
    """How the candidates of a problem are scored.

    Attributes:
        fitness: the name of the fitness function.
        weights: "shared", or "per_candidate" for those that each draws.
        candidates: "exact", "bernoulli" or "global" for masks that are drawn from keys; "masks" for given ones, or
            "host masks" where these are NumPy's.
        chunk: the most candidates at a time. Of six, 3 are a divisor and 4 are not; 9 are more than there are.
        statistics: of batch normalisation, "batch", "running" or "recalibrated".
        precision: of products, "highest", or "default" where a device may round their operands.
        scored: the share of the examples that are scored; the others are left for calibration. Nine of 24 are so few
            that a biased variance shows.
    """

    fitness: Any = "negative_cross_entropy"
    weights: str = "shared"
    candidates: Any = "exact"
    chunk: int = 3
    statistics: str = "batch"
    precision: Any = "highest"
    scored: float = 3 / 8


_OPTIONS = (sorted(FITNESS, reverse=True), ("shared", "per_candidate"), ("exact", "bernoulli", "masks"), (3, 4, 1))
_STATISTICS, _PRECISIONS = ("batch", "running", "recalibrated"), ("highest", "default")


def score_agrees(backend: Backend, reference: Backend) -> None:
    """Fitness agrees, however a population is given and scored: each two options meet, and each with each network."""
    nets = masked((*networks(backend), *networks(backend, COMPACTABLE)))
    normed = _normed(nets)
    plain = [net for net in nets if net not in normed]
    rows: list[tuple[Any, ...]] = [
        *combined(plain, *_OPTIONS, ("batch",), _PRECISIONS),
        *combined(normed, *_OPTIONS, _STATISTICS),
        # Of a rounded batch, normalisation has a bound only where its ε is large.
        *_each(_normed(networks(backend, ROUNDED)), *_OPTIONS, _STATISTICS, ("default",)),
        *((net, "accuracy", "shared", "exact", 9) for net in nets[:1]),
        *((net, "negative_cross_entropy", "shared", "global", 4) for net in (*nets[:1], *nets[-1:])),
        *((net, "accuracy", "per_candidate", "global", 3) for net in nets[1:2]),
    ]
    cases = [
        st.tuples(problem(net, COMPACTED_SPARSITY if net in COMPACTABLE else None), st.just(Asked(*how)))
        for net, *how in rows
    ]

    @across(cases)
    def agree(case: tuple[Problem, Asked]) -> None:
        fitness_agrees(backend, reference, *case)

    agree()


def _each(*factors: Sequence[Any]) -> list[tuple[Any, ...]]:
    return each_once(*factors) if all(factors) else []


def _normed(nets: Iterable[Network]) -> list[Network]:
    return [net for net in nets if initial_statistics(net)]


def fitness_agrees(backend: Backend, reference: Backend, problem: Problem, asked: Asked, rounds: bool = True) -> None:
    """Assert that a backend gives the candidates of a problem the fitness that the reference gives to their masks.

    The masks are drawn here, so that the reference scores them as given ones. With ``rounds`` the precision "default"
    may round the operands of products to bfloat16; else they have so few bits that this changes none.
    """
    plan, masks = candidates_of(problem, asked)
    given = population(backend, problem, plan, masks, asked)
    wanted = population(reference, problem, plan, masks, asked._replace(candidates="masks"))
    got, true = _scored(backend, problem, given, asked), _scored(reference, problem, wanted, asked)
    operands = BFLOAT16 if rounds and asked.precision == "default" else 0.0
    within(f"score as {asked}", got, true, _most(reference, problem, masks, asked, operands))


def candidates_of(problem: Problem, asked: Asked) -> tuple[MaskPlan, dict[str, np.ndarray]]:
    """The plan by which the candidates are drawn, and their masks; those that are handed in are of no plan."""
    plan = problem.plan
    if asked.candidates == "bernoulli":
        plan = mask_plan(mask_space(problem.net), problem.sparsity, "bernoulli")
    elif asked.candidates == "global":
        plan = mask_plan(mask_space(problem.net), COMPACTED_SPARSITY, "exact", "global")
    return plan, problem.uneven() if "masks" in asked.candidates else masks_from_keys(problem.keys, plan)


def population(
    backend: Backend, problem: Problem, plan: MaskPlan, masks: dict[str, np.ndarray], asked: Asked
) -> Population:
    """The candidates, as they are given."""
    size = len(problem.keys)
    own = _weight_keys(problem) if asked.weights == "per_candidate" else None
    if "masks" in asked.candidates:
        there = masks if asked.candidates == "host masks" else on_device(backend, masks)
        return Population(size, None, None, own, there)
    return Population(size, plan, problem.keys, own, None)


def _number_scored(problem: Problem, asked: Asked) -> int:
    return int(len(problem.y) * asked.scored)


def own_specs(net: Network) -> Specs:
    """How a candidate draws its own weights: kernels wider than He-normal, biases not all 0, and γ not 1."""
    wider = [replace(spec, std=1.25 * spec.std, value=0.9 * spec.value) for spec in he_normal(net)]
    return tuple(replace(spec, std=spec.std if spec.std or spec.value else 0.2) for spec in wider)


def _weight_keys(problem: Problem) -> np.ndarray:
    """Keys of which two are equal, if there are as many: two candidates of other masks have the same weights."""
    keys = split(problem.keys[0], len(problem.keys))
    return np.concatenate([keys[:2], keys[1:-1]])[: len(keys)]


def _norm(problem: Problem, asked: Asked) -> dict[str, Any]:
    """The statistics, and the inputs for calibration: more than are scored."""
    running, recalibrated = asked.statistics == "running", asked.statistics == "recalibrated"
    others = problem.x[_number_scored(problem, asked) :]
    larger = np.linspace(1, 3, len(others), dtype=np.float32)  # no part of them is like the whole
    return {
        "statistics": problem.statistics if running else None,
        "calibration": (others.T * larger).T if recalibrated else None,
    }


def _scored(by: Backend, problem: Problem, population: Population, asked: Asked) -> np.ndarray:
    statistics, calibration = _norm(problem, asked).values()
    batch = ScoredBatch(
        by.asarray(problem.x[: _number_scored(problem, asked)]),
        by.asarray(problem.y[: _number_scored(problem, asked)]),
        None if statistics is None else on_device(by, statistics),
        None if calibration is None else by.asarray(calibration),
    )
    params = own_specs(problem.net) if population.weight_keys is not None else on_device(by, problem.params)
    scoring = Scoring(asked.fitness, asked.precision, asked.chunk)
    return by.to_numpy(by.score_population(problem.net, params, population, batch, scoring))


def _most(
    reference: Backend, problem: Problem, masks: dict[str, np.ndarray], asked: Asked, operands: float = 0.0
) -> np.ndarray:
    """A bound on the error of each candidate's fitness, ``(6,)``."""
    most: list[float] = []
    for index, own in enumerate(_weight_keys(problem)):
        params, off = problem.params, None
        if asked.weights == "per_candidate":
            params = on_host(reference, reference.draw_parameters(own, own_specs(problem.net)))
            off = bound("draw_parameters")(params)
        mask = {site: value[index] for site, value in masks.items()}
        logits = bound("apply")(
            problem.net, params, mask, problem.x[: _number_scored(problem, asked)], off,
            **_norm(problem, asked), operands=operands,
        )  # fmt: skip
        most.append(bound(asked.fitness)(*logits))
    return np.array(most)


def permuted_candidates(backend: Backend, reference: Backend) -> None:
    """Permuting the candidates permutes their fitness."""
    del reference
    few = [problem(net) for net in masked(networks(backend))[::3]]

    @across(few, [st.permutations(range(6))])
    def holds(problem: Problem, order: list[int]) -> None:
        plan, masks, asked = problem.plan, problem.masks, Asked(candidates="masks")
        shuffled = {site: mask[order] for site, mask in masks.items()}
        got, true = (
            _scored(backend, problem, population(backend, problem, plan, given, asked), asked)
            for given in (shuffled, masks)
        )
        # The same program on the same numbers: what a candidate shares with its neighbours moves its last bits.
        within("permuted", got, true[order], 2 * _most(backend, problem, masks, asked)[order])

    holds()
