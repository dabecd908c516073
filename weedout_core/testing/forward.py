"""Checks of the forward pass."""

import numpy as np

from weedout_core._contract.record import Backend, stack
from weedout_core._networks.network import initial_statistics
from weedout_core.testing.comparing import within
from weedout_core.testing.problems import Problem, compacted, compacted_problems, drawn_weights, problems
from weedout_core.testing.properties import across, each
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device


def apply_agrees(backend: Backend, reference: Backend) -> None:
    """Logits agree, with masks and without."""

    @across(problems(backend), each(True, False))
    def agree(problem: Problem, masked: bool) -> None:
        masks = problem.one() if masked or problem.gathers else None
        params, running = on_device(backend, problem.params), problem.statistics
        got = backend.apply(problem.net, params, problem.x, masks and on_device(backend, masks), running)
        wanted = reference.apply(problem.net, on_device(reference, problem.params), problem.x, masks, running)
        _, most = bound("apply")(problem.net, problem.params, masks, problem.x, statistics=running)
        within("apply", backend.to_numpy(got), reference.to_numpy(wanted), most)

    agree()


def predict_together(backend: Backend, reference: Backend) -> None:
    """Several networks in one call predict, each with its own weights, statistics and masks; a single example too."""

    @across(problems(backend))
    def agree(problem: Problem) -> None:
        for x in (problem.x, problem.x[:1]):
            predicted_alike(backend, reference, problem._replace(x=x), 2)

    agree()


def predicted_alike(backend: Backend, reference: Backend, one: Problem, count: int, masked: bool = True) -> None:
    """Assert that so many networks predict alike, of which each has weights, statistics and masks of its own."""
    rng = np.random.default_rng(one.keys[-1])
    params = [one.params, *(drawn_weights(rng, one.net) for _ in range(count - 1))]
    moving = [{path: value + np.float32(0.5 * row) for path, value in one.statistics.items()} for row in range(count)]
    masks = [{site: mask[row] for site, mask in one.uneven().items()} for row in range(count)]

    def predicted(by: Backend) -> np.ndarray:
        together = stack(by, masks) if masked else None
        return by.to_numpy(by.predict(one.net, stack(by, params), stack(by, moving), together, by.asarray(one.x)))

    most = [bound("apply")(one.net, params[row], masks[row], one.x, statistics=moving[row])[1] for row in range(count)]
    name = f"predict of {count} networks for {len(one.x)} examples"
    within(name, predicted(backend), predicted(reference), np.stack(most))


def full_mask_is_parent(backend: Backend, reference: Backend) -> None:
    """A mask that keeps every node gives the parent's logits within the bound (rescaling by 1 included)."""
    del reference

    @across(problems(backend))
    def holds(problem: Problem) -> None:
        params, initial = on_device(backend, problem.params), initial_statistics(problem.net)
        if problem.gathers:
            return  # without its indices it computes nothing
        full = on_device(backend, {site: np.ones_like(mask) for site, mask in problem.one().items()})
        parent = backend.to_numpy(backend.apply(problem.net, params, problem.x, None, initial))
        masked = backend.to_numpy(backend.apply(problem.net, params, problem.x, full, initial))
        _, most = bound("apply")(problem.net, problem.params, None, problem.x, statistics=initial)
        within("apply with a full mask", masked, parent, 2 * most)

    holds()


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
