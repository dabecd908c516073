"""Checks of the learning phase and of whole searches."""

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weedout_core._backend import Backend, TrainPlan, TrainState, stack
from weedout_core._config import SearchConfig, TrainConfig
from weedout_core._population import Origin
from weedout_core._random import key as make_key
from weedout_core._random import split
from weedout_core._train import epoch_order
from weedout_core._weedout import search
from weedout_core.testing import tolerances
from weedout_core.testing.draws import equal, heavy
from weedout_core.testing.scores import fitness_error
from weedout_core.testing.strategies import Problem, problems

#: Every switch of SGD, each where its absence shows: a decay that moves weights visibly, rates that fall.
CONFIGS = (
    TrainConfig(epochs=2, batch_size=8, learning_rate=0.1, weight_decay=0.1),
    TrainConfig(epochs=2, batch_size=8, learning_rate=0.1, weight_decay=0.1, decayed="all", nesterov=False),
    TrainConfig(epochs=2, batch_size=8, momentum=0.5, schedule="step", step_epochs=(1,), weight_decay=0.0),
)


def _trained(
    backend: Backend, problem: Problem, config: TrainConfig, cells: list[int]
) -> tuple[TrainState, np.ndarray]:
    """Two epochs of some candidates together: the state and the losses ``(R, steps)``."""
    plan = TrainPlan(config, len(problem.y), config.batch_size, None)
    keys = split(problem.keys[0], 6)[cells]
    masks = stack(backend, [problem.one(cell) for cell in cells])
    state = backend.train_init(problem.net, plan, keys, stack(backend, [problem.params] * len(cells)), {})
    losses: list[np.ndarray] = []
    for epoch in range(config.epochs):
        order = np.stack([epoch_order(key, epoch, plan) for key in keys])
        x, y = backend.asarray(problem.x), backend.asarray(problem.y)
        before = {path: backend.to_numpy(value).copy() for path, value in state.params.items()}
        after, result = backend.train_epoch(problem.net, plan, state, masks, x, y, order)
        for path, value in before.items():
            equal(f"the state handed in, {path},", backend.to_numpy(state.params[path]), value)
        assert after.epoch == epoch + 1, f"epoch {epoch} leads to epoch {after.epoch}"
        losses.append(backend.to_numpy(result.loss))
        correct = backend.to_numpy(result.correct)
        assert ((correct >= 0) & (correct <= config.batch_size)).all(), f"correct is a count; got {correct}"
        state = after
    return state, np.concatenate(losses, axis=1)


def _compare(name: str, problem: Problem, steps: int, got: Any, wanted: Any) -> None:
    terms = 8 + sum(value.shape[-1] for value in problem.params.values())
    for path, start in problem.params.items():
        moved = float(np.abs(wanted[path] - start).max())
        bound = tolerances.trained_error(moved, float(np.abs(wanted[path]).max()), terms, steps)
        off = float(np.abs(got[path] - wanted[path]).max())
        assert off <= bound, f"{name}: {path} is off by {off:.3g}, more than {bound:.3g} (it moved by {moved:.3g})"


def epoch_agrees(backend: Backend, reference: Backend) -> None:
    """Losses and weights of two epochs agree, with momentum, Nesterov's, decay and each schedule."""

    @heavy
    @given(problems(), st.sampled_from(CONFIGS))
    def agree(problem: Problem, config: TrainConfig) -> None:
        got, losses = _trained(backend, problem, config, [0, 1])
        wanted, true = _trained(reference, problem, config, [0, 1])
        assert losses.shape == true.shape, f"losses have shape {losses.shape}"
        # A loss of order 1 after at most 6 updates: the first within the forward pass's bound, the later ones
        # moved by weights that are off by trained_error, through at most ``terms`` of them.
        np.testing.assert_allclose(losses, true, rtol=1e-4, err_msg="losses")
        for path, value in got.params.items():
            assert backend.to_numpy(value).shape == reference.to_numpy(wanted.params[path]).shape, path
        _compare(
            "train_epoch",
            problem,
            losses.shape[1],
            {path: backend.to_numpy(value) for path, value in got.params.items()},
            {path: reference.to_numpy(value) for path, value in wanted.params.items()},
        )

    agree()


def networks_are_independent(backend: Backend, reference: Backend) -> None:
    """A network learns the same whether it is trained alone or beside another."""
    del reference

    @heavy
    @given(problems())
    def holds(problem: Problem) -> None:
        together, _ = _trained(backend, problem, CONFIGS[0], [0, 1])
        alone, losses = _trained(backend, problem, CONFIGS[0], [1])
        _compare(
            "together and alone",
            problem,
            2 * losses.shape[1],
            {path: backend.to_numpy(value)[1] for path, value in together.params.items()},
            {path: backend.to_numpy(value)[0] for path, value in alone.params.items()},
        )

    holds()


def search_agrees(backend: Backend, reference: Backend) -> None:
    """A whole search draws the same candidates and finds the same winner, unless two are too close to call."""

    @heavy
    @given(problems(), st.sampled_from(["shared", "per_candidate"]))
    def agree(problem: Problem, weights: str) -> None:
        config = SearchConfig(sparsity=0.5, population=6, generations=3, weights=weights, batch=16)
        data = (problem.x, problem.y)
        got = search(problem.net, data, config, backend=backend, key=problem.keys[0])
        wanted = search(problem.net, data, config, backend=reference, key=problem.keys[0])
        # He-normal weights are off by WEIGHTS of themselves, so each logit, a sum of products over at most
        # three layers, by about three times that; fitness moves by twice the largest logit error.
        bound = 6 * tolerances.WEIGHTS * 10 + fitness_error(reference, problem, "negative_cross_entropy").max()
        for one, two in zip(got.history, wanted.history, strict=True):
            top = np.sort(two.fitness)[-2:]
            np.testing.assert_allclose(one.fitness, two.fitness, rtol=0, atol=bound, err_msg="fitness in a search")
            if top[1] - top[0] <= 2 * bound:
                return  # from here on the two may rightly go different ways
            assert one.elite == two.elite, f"generation {one.generation} elects {one.elite}, not {two.elite}"
        assert got.origin == wanted.origin, f"the winner is {got.origin}, not {wanted.origin}"
        for site, mask in wanted.mask.items():
            equal(f"the winner's mask of {site!r}", got.mask[site], mask)

    agree()


def elite_never_worsens(backend: Backend, reference: Backend) -> None:
    """On a fixed batch the best fitness never falls, and each elite is a candidate of its generation or before."""
    del reference

    @heavy
    @given(problems(), st.integers(0, 2**32 - 1))
    def holds(problem: Problem, seed: int) -> None:
        config = SearchConfig(sparsity=0.5, population=4, generations=4, batch_policy="fixed", batch=16)
        history = search(problem.net, (problem.x, problem.y), config, backend=backend, key=make_key(seed)).history
        best = [generation.best for generation in history]
        # Equal to the bit where candidates are mapped; a rounding apart where a backend batches them.
        slack = 64 * tolerances.UNIT_ROUNDOFF * max(map(abs, best))
        assert all(later >= earlier - slack for earlier, later in itertools.pairwise(best)), f"best: {best}"
        for generation in history:
            origin: Origin = generation.elite
            assert origin.generation <= generation.generation, (
                f"{origin} is elite of generation {generation.generation}"
            )

    holds()
