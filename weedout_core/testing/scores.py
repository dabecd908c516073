"""Checks of the forward pass and of fitness."""

import itertools
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.population import Population
from weedout_core._contract.record import Backend, stack
from weedout_core._networks.initial import he_normal
from weedout_core._networks.network import initial_statistics
from weedout_core._random.stream import split
from weedout_core.testing.draws import across, each, equal
from weedout_core.testing.problems import Problem, normed_problems, problems
from weedout_core.testing.scored import fitness_error, normalised, on_device, scored, within
from weedout_core.testing.tolerances import bound


def apply_agrees(backend: Backend, reference: Backend) -> None:
    """Logits agree, with masks and without."""

    @across(problems(backend), each(True, False))
    def agree(problem: Problem, masked: bool) -> None:
        masks = problem.one() if masked else None
        params, running = on_device(backend, problem.params), problem.statistics
        got = backend.apply(problem.net, params, problem.x, masks and on_device(backend, masks), running)
        wanted = reference.apply(problem.net, on_device(reference, problem.params), problem.x, masks, running)
        _, most = bound("apply")(problem.net, problem.params, masks, problem.x, statistics=running)
        within("apply", backend.to_numpy(got), reference.to_numpy(wanted), most)

    agree()


def predict_together(backend: Backend, reference: Backend) -> None:
    """Several networks in one call predict, each with its own weights, statistics and masks."""

    @across(problems(backend))
    def agree(problem: Problem) -> None:
        params = [problem.params, {path: np.flip(value).copy() for path, value in problem.params.items()}]
        moving = [problem.statistics, {path: value + np.float32(0.5) for path, value in problem.statistics.items()}]
        masks = [problem.one(0), problem.one(1)]

        def predicted(by: Backend) -> np.ndarray:
            trees = stack(by, params), stack(by, moving), stack(by, masks)
            return by.to_numpy(by.predict(problem.net, *trees, by.asarray(problem.x)))

        most = [
            bound("apply")(problem.net, params[r], masks[r], problem.x, statistics=moving[r])[1]
            for r in range(len(params))
        ]
        within("predict", predicted(backend), predicted(reference), np.stack(most))

    agree()


def full_mask_is_parent(backend: Backend, reference: Backend) -> None:
    """A mask that keeps every node gives the parent's logits within the bound (rescaling by 1 included)."""
    del reference

    @across(problems(backend))
    def holds(problem: Problem) -> None:
        params, initial = on_device(backend, problem.params), initial_statistics(problem.net)
        full = on_device(backend, {site: np.ones_like(mask) for site, mask in problem.one().items()})
        parent = backend.to_numpy(backend.apply(problem.net, params, problem.x, None, initial))
        masked = backend.to_numpy(backend.apply(problem.net, params, problem.x, full, initial))
        _, most = bound("apply")(problem.net, problem.params, None, problem.x, statistics=initial)
        within("apply with a full mask", masked, parent, 2 * most)

    holds()


def score_masks(backend: Backend, reference: Backend) -> None:
    """The fitness of explicit masks agrees, for each fitness function."""

    @across(problems(backend), each(*sorted(FITNESS)))
    def agree(problem: Problem, fitness: str) -> None:
        got = scored(backend, problem, on_device(backend, problem.masks), fitness=fitness)
        wanted = scored(reference, problem, problem.masks, fitness=fitness)
        within(f"score ({fitness})", got, wanted, fitness_error(problem, fitness))

    agree()


def score_population(backend: Backend, reference: Backend) -> None:
    """A population given by keys has the fitness of the masks that are drawn from these keys."""

    @across(problems(backend))
    def agree(problem: Problem) -> None:
        population = Population(len(problem.keys), problem.plan, problem.keys, None, None)
        wanted = scored(reference, problem, problem.masks)
        within("score of keys", scored(backend, problem, population), wanted, fitness_error(problem))

    agree()


def score_norms(backend: Backend, reference: Backend) -> None:
    """Batch normalisation takes the statistics of the batch, given ones, or a candidate's own on other inputs."""

    # Masks and keys in turn, so that each is there with each network and with each kind of statistics.
    cases = [
        st.tuples(strategy, st.just(kind), st.just(("masks", "keys")[(place + step) % 2]))
        for place, strategy in enumerate(normed_problems(backend))
        for step, kind in enumerate(("batch", "running", "recalibrated"))
    ]

    @across(cases)
    def agree(case: tuple[Problem, str, str]) -> None:
        problem, kind, given = case
        # Few examples: their statistics differ most from those of other inputs, and biased from unbiased variance.
        few = problem._replace(x=problem.x[:4], y=problem.y[:4])
        norm = normalised(problem, kind)
        drawn = Population(len(problem.keys), problem.plan, problem.keys, None, None)
        candidates: Any = on_device(backend, problem.masks) if given == "masks" else drawn
        got = scored(backend, few, candidates, **norm)
        wanted = scored(reference, few, problem.masks, **norm)
        within(f"score of {given} with {kind} statistics", got, wanted, fitness_error(few, **norm))

    agree()


def score_own_weights(backend: Backend, reference: Backend) -> None:
    """Candidates with weight keys are scored with the weights that ``draw_parameters`` gives for them."""
    del reference

    @across(problems(backend))
    def agree(problem: Problem) -> None:
        specs = he_normal(problem.net)
        own = split(problem.keys[0], len(problem.keys))
        population = Population(len(own), problem.plan, problem.keys, own, None)
        got = backend.to_numpy(backend.score(problem.net, specs, population, problem.x, problem.y))
        for index, key in enumerate(own):
            params = backend.draw_parameters(key, specs)
            drawn = problem._replace(params={path: backend.to_numpy(value) for path, value in params.items()})
            # All masks, as in the other checks, whose program this is.
            wanted = scored(backend, drawn, on_device(backend, problem.masks))[index : index + 1]
            within("score with own weights", got[index : index + 1], wanted, 2 * fitness_error(drawn)[index])

    agree()


def permuted_candidates(backend: Backend, reference: Backend) -> None:
    """Permuting the candidates permutes their fitness."""

    @across(problems(backend), [st.permutations(range(6))])
    def holds(problem: Problem, order: list[int]) -> None:
        shuffled = {site: mask[order] for site, mask in problem.masks.items()}
        most = 2 * fitness_error(problem)[order]
        got = scored(backend, problem, on_device(backend, shuffled))
        within("permuted", got, scored(backend, problem, on_device(backend, problem.masks))[order], most)

    holds()


def chunks_change_nothing(backend: Backend, reference: Backend) -> None:
    """The fitness does not depend on the chunk of masks that exist at once, nor on the number of candidates."""

    # Four divides neither number; one at a time for two networks, because each number is a program to compile.
    cases = [
        st.tuples(*pair) for pair in zip(problems(backend), map(st.just, itertools.cycle((4, 1, 4))), strict=False)
    ]

    @across(cases)
    def holds(case: tuple[Problem, int]) -> None:
        problem, chunk = case
        population = Population(len(problem.keys), problem.plan, problem.keys, None, None)
        wanted = scored(reference, problem, problem.masks)
        most = fitness_error(problem)
        within(f"chunks of {chunk}", scored(backend, problem, population, chunk=chunk), wanted, most)
        fewer = population._replace(size=5, mask_keys=problem.keys[:5])
        within("fewer candidates", scored(backend, problem, fewer, chunk=chunk), wanted[:5], most[:5])

    holds()


def tied_logits(backend: Backend, reference: Backend) -> None:
    """If logits tie, the lowest class is predicted: with all weights 0 that is class 0 for every example."""
    del reference

    @across(problems(backend))
    def holds(problem: Problem) -> None:
        silent = problem._replace(params={path: np.zeros_like(value) for path, value in problem.params.items()})
        got = scored(backend, silent, on_device(backend, problem.masks), fitness="accuracy")
        wanted = np.full(len(problem.keys), np.mean(problem.y == 0))
        # All logits are exactly 0, so that no example is too close to call: only the mean is rounded.
        apart = np.array([[1.0, 0.0]] * len(problem.y))
        within("accuracy of ties", got, wanted, bound("accuracy")(apart, 0 * apart))

    holds()


def not_finite_stays(backend: Backend, reference: Backend) -> None:
    """Weights that are NaN or infinite give a fitness that is not finite, for each fitness function."""
    del reference

    @across(problems(backend), each(*sorted(FITNESS)), each(np.nan, np.inf))
    def holds(problem: Problem, fitness: str, value: float) -> None:
        path = list(problem.params)[-1]
        broken = problem._replace(params=problem.params | {path: np.full_like(problem.params[path], value)})
        got = scored(backend, broken, on_device(backend, problem.masks), fitness=fitness)
        assert not np.isfinite(got).any(), f"weights of {value} have {fitness} {got}"

    holds()


def _aligned(kind: type[np.generic]) -> np.ndarray:
    """An array of ones, aligned so that a framework can share its memory: JAX on a CPU needs 64 bytes."""
    size, place = 1024, 64
    room = np.zeros(size * np.dtype(kind).itemsize + place, np.uint8)
    start = -room.ctypes.data % place
    array = room[start : start + size * np.dtype(kind).itemsize].view(kind)
    array[...] = 1
    return array


def pure(backend: Backend, reference: Backend) -> None:
    """The same call twice gives the same bits, no input is changed, and ``asarray`` copies."""
    del reference
    for kind in (np.float64, np.float32, np.int32, np.uint32, np.bool_):
        source = _aligned(kind)
        placed = backend.asarray(source)
        source[...] = 0
        assert backend.to_numpy(placed).all(), f"asarray of {kind.__name__} shares the memory that it was given"

    @across(problems(backend))
    def holds(problem: Problem) -> None:
        arrays = [problem.x, problem.y, problem.keys, *problem.params.values(), *problem.masks.values()]
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.setflags(write=False)
        population = Population(len(problem.keys), problem.plan, problem.keys, None, None)
        first = scored(backend, problem, population), scored(backend, problem, problem.masks)
        again = scored(backend, problem, population), scored(backend, problem, problem.masks)
        for one, two in zip(first, again, strict=True):
            equal("the same call", two, one)
        for now, then in zip(arrays, before, strict=True):
            equal("an input", now, then)

    holds()
