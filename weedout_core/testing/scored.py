"""Helpers of the checks of scoring: problems on a device, and bounds on fitness."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from weedout_core._contract.record import Backend
from weedout_core.testing.problems import Problem
from weedout_core.testing.tolerances import bound


def on_device(backend: Backend, tree: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A tree of arrays on the backend's device."""
    return {path: backend.asarray(value) for path, value in tree.items()}


def on_host(backend: Backend, tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A tree of arrays from the backend's device, as NumPy arrays."""
    return {path: backend.to_numpy(value) for path, value in tree.items()}


def scored(backend: Backend, problem: Problem, candidates: Any, **options: Any) -> np.ndarray:
    """The fitness of candidates with a problem's weights: a NumPy array ``(m,)``."""
    params = on_device(backend, problem.params)
    return backend.to_numpy(backend.score(problem.net, params, candidates, problem.x, problem.y, **options))


def normalised(problem: Problem, kind: str) -> dict[str, Any]:
    """The arguments of ``Backend.score`` for a kind of batch normalisation; {} takes the statistics of the batch."""
    return {
        "batch": {},
        "running": {"statistics": problem.statistics},
        "recalibrated": {"calibration": problem.x[:-9:-1]},
    }[kind]


def fitness_error(problem: Problem, fitness: str = "negative_cross_entropy", **norm: Any) -> np.ndarray:
    """A bound on the error of each candidate's fitness, ``(6,)``; ``norm`` is from :func:`normalised`."""
    candidates = [problem.one(index) for index in range(len(problem.keys))]
    logits = [bound("apply")(problem.net, problem.params, masks, problem.x, **norm) for masks in candidates]
    return np.array([bound(fitness)(*pair) for pair in logits])


def within(name: str, got: np.ndarray, wanted: np.ndarray, most: np.ndarray | float) -> None:
    """Assert that arrays agree within a bound: one for all elements, or one for each."""
    assert got.shape == wanted.shape, f"{name}: shape {got.shape}, the reference has {wanted.shape}"
    off = np.abs(got.astype(np.float64) - wanted)
    if not (off <= most).all():  # so that NaN is not within
        with np.errstate(divide="ignore", invalid="ignore"):
            worst = np.max(off / most)
        raise AssertionError(f"{name}: off by {worst:.3g} times the bound; got {got}, the reference has {wanted}")
