"""What is timed of ours: a generation of the search, an epoch of training, data and weights on the device."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

import weedout_core as wc
from benchmarks.peer import Peer
from benchmarks.task import Task
from benchmarks.timing import wait
from benchmarks.work import Work


def our_search(backend: wc.backend.Backend, task: Task, precision: Literal["highest", "default"] = "highest") -> Peer:
    """What a generation of the search calls, data and weights on the device."""
    params = {path: backend.asarray(value) for path, value in task.params.items()}
    batch = wc.backend.ScoredBatch(backend.asarray(task.x), backend.asarray(task.y))
    scoring = wc.backend.Scoring("negative_cross_entropy", precision, task.population.size)

    def scores() -> np.ndarray:
        return backend.to_numpy(backend.score_population(task.net, params, task.population, batch, scoring))

    return Peer(scores)


def our_epoch(
    backend: wc.backend.Backend, task: Work, sparsity: float | None, compacted: bool
) -> Callable[[], np.ndarray]:
    """An epoch from the initial weights: the losses of its steps."""
    net, params, masks, statistics = task.net, task.params, None, wc.nn.initial_statistics(task.net)
    if sparsity is not None:
        plan = wc.mask_plan(wc.mask_space(net), sparsity)
        drawn = {
            site: mask[0] for site, mask in wc.backend.masks_from_keys(wc.random.split(wc.key(1), 1), plan).items()
        }
        masks = drawn
        if compacted:
            small, indices = wc.compact(net, plan.counts), wc.backend.kept_indices(drawn)
            params, statistics = small.gather(params, indices), small.gather(statistics, indices)
            net, masks = small.net, small.gather_masks(drawn, indices) or None
    x, y = backend.asarray(task.x), backend.asarray(task.y)
    state = backend.train_init(
        net, task.plan, np.stack([wc.key(0)]), _stacked(backend, params), _stacked(backend, statistics)
    )
    placed = None if masks is None else _stacked(backend, masks)
    batches = wc.backend.Batches(task.order, None)

    def epoch() -> np.ndarray:
        after, result = backend.train_epoch(net, task.plan, state, placed, x, y, batches)
        wait(next(iter(after.params.values())))
        return backend.to_numpy(result.loss)[0]

    return epoch


def _stacked(backend: wc.backend.Backend, tree: Any) -> dict[str, Any]:
    return {path: backend.asarray(np.asarray(value)[None]) for path, value in tree.items()}
