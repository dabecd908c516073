"""A search to be timed: a parent with its weights, candidates with their masks, a batch."""

from typing import NamedTuple

import numpy as np

import weedout_core as wc


class Task(NamedTuple):
    """What every candidate of a comparison is handed, in NumPy.

    Attributes:
        net, params: the parent and its initial weights.
        population: the candidates, as keys.
        plan: of their masks.
        masks: the same masks as arrays, {site: bool ``(m, *shape)``}.
        x, y: the batch.
    """

    net: wc.Network
    params: dict[str, np.ndarray]
    population: wc.backend.Population
    plan: wc.backend.MaskPlan
    masks: dict[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray


def search_task(
    net: wc.Network, sparsity: float, population: int, batch: int, params: dict[str, np.ndarray] | None = None
) -> Task:
    """Standard normal inputs and random labels: what they are changes no time. No weights given: the reference's."""
    config = wc.SearchConfig(population=population, validation_batch=batch)
    plan = wc.mask_plan(wc.mask_space(net), sparsity)
    asked = wc.ask_tell.ask(wc.ask_tell.init(wc.key(0), wc.mask_space(net), sparsity, config))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, *net.input_shape)).astype(np.float32)
    y = rng.integers(0, net.output_shape[0], batch).astype(np.int64)
    weights = initial_weights(net) if params is None else params
    return Task(net, weights, asked, plan, wc.backend.masks_from_keys(asked.mask_keys, plan), x, y)


def first(task: Task, count: int) -> Task:
    """The same task for so many of its first candidates."""
    keys = task.population.mask_keys
    some = task.population._replace(size=count, mask_keys=None if keys is None else keys[:count])
    return task._replace(population=some, masks={site: mask[:count] for site, mask in task.masks.items()})


def initial_weights(net: wc.Network) -> dict[str, np.ndarray]:
    """The parent's weights, drawn by the reference: float32."""
    drawn = wc.load_backend("numpy").initialise(net, wc.key(0))
    return {path: np.asarray(value, dtype=np.float32) for path, value in drawn.items()}
