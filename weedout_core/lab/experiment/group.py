"""One group of the experiment, from search to test accuracy: a pure function but for the events it tells."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from weedout_core import (
    Epoch,
    Evaluation,
    Generation,
    Network,
    SearchResult,
    Trained,
    costs,
    draw_control,
    evaluate_together,
    search,
    train_together,
)
from weedout_core._random.keys import of_repeat
from weedout_core.backend import Backend, Examples, Origin, best_overall
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.configuration import ExperimentConfig, network
from weedout_core.lab.experiment.events import EpochTrained, Event, GenerationScored, GroupFinished, PhaseStarted
from weedout_core.lab.experiment.rows import ARMS, Arm, CurveRow, ResultRow, SearchRow
from weedout_core.lab.experiment.slices import Checkpoint, slices, train_slices
from weedout_core.lab.experiment.so_far import NOTHING, Fetch, GroupProgress, Scored
from weedout_core.random import Key

OnEvent = Callable[[Event], None]
Offer = Callable[[Fetch, int | None], None]


class GroupResult(NamedTuple):
    """All that a group leaves behind.

    Attributes:
        sparsity: the group's.
        results: a row for each cell.
        curves: a row for each cell and epoch.
        searches: a row for each generation of each search.
        masks: {"arm/repeat/site": bool ``shape``}, True where a node is kept.
        parameters: {"arm/repeat/path": float ``shape``}, trained weights and running statistics.
    """

    sparsity: float
    results: tuple[ResultRow, ...]
    curves: tuple[CurveRow, ...]
    searches: tuple[SearchRow, ...]
    masks: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]


class _Contestant(NamedTuple):
    """What a cell starts from, and what the search knows of it."""

    arm: Arm
    repeat: int
    key: Key
    mask: dict[str, np.ndarray]
    params: dict[str, np.ndarray]
    origin: Origin | None
    fitness: float | None
    population_mean: float | None
    achieved_sparsity: float
    evaluations: int
    stopped: str | None
    batch: int | None


class _Task(NamedTuple):
    """What stays the same during a group."""

    config: ExperimentConfig
    sparsity: float
    dataset: Dataset
    net: Network
    backend: Backend
    on_event: OnEvent
    resume: GroupProgress
    offer: Offer


def run_group(
    config: ExperimentConfig,
    sparsity: float,
    dataset: Dataset,
    backend: Backend,
    on_event: OnEvent,
    resume: GroupProgress = NOTHING,
    offer: Offer = lambda fetch, epoch: None,
) -> GroupResult:
    """Search, draw controls, train all cells, ``config.together`` at a time, and measure them.

    Args:
        config: the experiment, its search chunk decided, and how many networks are trained at once (None: all).
        sparsity: one of ``config.sparsity``.
        dataset: from ``load_dataset``.
        backend: from ``wc.load_backend``.
        on_event: told what happens as it happens.
        resume: how far this group came before.
        offer: called after each generation and each epoch with what fetches the progress, and the epochs done (None
            while searching).
    """
    task = _Task(config, sparsity, dataset, network(config, dataset), backend, on_event, resume, offer)
    # Both arms of a repeat have its key: one parent, one order of the data. So they can be compared in pairs.
    keys = [of_repeat(config.seed, repeat) for repeat in range(config.repeats)]
    searches: list[SearchResult] = []
    for repeat, key_of_repeat in enumerate(keys):
        searches.append(_search(task, key_of_repeat, repeat, _scored(searches)))
    on_event(PhaseStarted(sparsity, "control", None))
    arms = {
        "weedout": [_winner(found, keys[repeat], repeat) for repeat, found in enumerate(searches)],
        "control": [_control(task, found, keys[repeat], repeat) for repeat, found in enumerate(searches)],
    }
    cells = [cell for arm in ARMS for cell in arms[arm]]
    trained = _train(task, cells, _scored(searches))
    on_event(PhaseStarted(sparsity, "evaluate", None))
    scores = [_evaluate(task, trained, cells, split) for split in (dataset.train, dataset.test)]
    on_event(GroupFinished(sparsity))
    return GroupResult(
        sparsity,
        tuple(_result_row(task, *cell) for cell in zip(cells, *scores, strict=True)),
        tuple(_curve_row(sparsity, cell, i, epoch) for i, cell in enumerate(cells) for epoch in trained.history),
        tuple(_search_row(sparsity, repeat, item) for repeat, found in enumerate(searches) for item in found.history),
        {f"{cell.arm}/{cell.repeat}/{site}": mask for cell in cells for site, mask in cell.mask.items()},
        {
            f"{cell.arm}/{cell.repeat}/{path}": value
            for index, cell in enumerate(cells)
            for path, value in {**trained.one(index).params, **trained.one(index).statistics}.items()
        },
    )


def _scored(searches: Sequence[SearchResult]) -> Scored:
    return tuple(tuple(generation.fitness for generation in found.history) for found in searches)


def _search(task: _Task, key: Key, repeat: int, before: Scored) -> SearchResult:
    task.on_event(PhaseStarted(task.sparsity, "search", repeat))
    earlier = task.resume.scored[repeat] if repeat < len(task.resume.scored) else ()
    scored = list(earlier)

    def on_generation(generation: Generation) -> None:
        scored.append(generation.fitness)
        progress = GroupProgress((*before, tuple(scored)), ())
        task.offer(lambda: progress, None)
        task.on_event(GenerationScored(task.sparsity, repeat, generation))

    return search(
        task.net,
        task.dataset.validation,
        task.config.search_at(task.sparsity),
        backend=task.backend,
        key=key,
        on_generation=on_generation,
        scored=earlier,
    )


def _winner(found: SearchResult, key: Key, repeat: int) -> _Contestant:
    mean = {
        "last_generation": found.history[-1].mean,
        "best_overall": best_overall(found.history).mean,
        "rescored": None,  # measured on one more batch, which the population never saw
    }[found.config.winner]
    return _Contestant(
        "weedout", repeat, key, found.mask, found.params, found.origin, found.fitness, mean,
        found.sparsity, found.evaluations, found.stopped, found.batch,
    )  # fmt: skip


def _control(task: _Task, found: SearchResult, key: Key, repeat: int) -> _Contestant:
    kind = task.config.control
    drawn = draw_control(task.net, found.config, backend=task.backend, key=key, control=kind)
    first, origin = found.history[0], drawn.origin
    return _Contestant(
        "control", repeat, key, drawn.mask, drawn.params, origin,
        None if origin is None else float(first.fitness[origin.candidate]),
        None if origin is None else first.mean,
        drawn.sparsity, 0, None, None if origin is None else found.batch,
    )  # fmt: skip


def _train(task: _Task, cells: Sequence[_Contestant], scored: Scored) -> Trained:
    task.on_event(PhaseStarted(task.sparsity, "train", None))

    def train(some: slice, resume: Trained | None, checkpoint: Checkpoint) -> Trained:
        return train_together(
            task.net,
            [cell.params for cell in cells[some]],
            [cell.mask for cell in cells[some]],
            task.dataset.train,
            task.config.train,
            backend=task.backend,
            keys=[cell.key for cell in cells[some]],
            test=task.dataset.test,
            on_epoch=lambda epoch: task.on_event(EpochTrained(task.sparsity, epoch, some.start, len(cells))),
            resume=resume,
            checkpoint=checkpoint,
        )

    return train_slices(
        _slices(task, cells),
        task.config.train.epochs,
        train,
        task.resume.trained,
        lambda epoch, fetch: task.offer(lambda: GroupProgress(scored, fetch()), epoch),
    )


def _slices(task: _Task, cells: Sequence[_Contestant]) -> list[slice]:
    return slices(len(cells), task.config.together or len(cells))


def _evaluate(task: _Task, trained: Trained, cells: Sequence[_Contestant], split: Examples) -> list[Evaluation]:
    """Every cell on a whole split, as many at once as are trained together."""
    networks = [trained.one(index) for index in range(len(cells))]
    return [
        evaluation
        for some in _slices(task, cells)
        for evaluation in evaluate_together(
            task.net,
            [network.params for network in networks[some]],
            [cell.mask for cell in cells[some]],
            split,
            backend=task.backend,
            statistics=[network.statistics for network in networks[some]],
        )
    ]


def _result_row(task: _Task, cell: _Contestant, train: Evaluation, test: Evaluation) -> ResultRow:
    cost = costs(task.net, cell.mask)
    return ResultRow(
        sparsity=task.sparsity,
        arm=cell.arm,
        repeat=cell.repeat,
        origin_generation=None if cell.origin is None else cell.origin.generation,
        origin_candidate=None if cell.origin is None else cell.origin.candidate,
        fitness=cell.fitness,
        population_mean_fitness=cell.population_mean,
        achieved_sparsity=cell.achieved_sparsity,
        parameters=cost.parameters,
        active_parameters=cost.active_parameters,
        macs=cost.macs,
        active_macs=cost.active_macs,
        train_accuracy=train.accuracy,
        train_loss=train.loss,
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        evaluations=cell.evaluations,
        stopped=cell.stopped,
        validation_batch=cell.batch,
    )


def _curve_row(sparsity: float, cell: _Contestant, index: int, epoch: Epoch) -> CurveRow:
    return CurveRow(
        sparsity, cell.arm, cell.repeat, epoch.epoch,
        float(epoch.loss[index]), float(epoch.train_accuracy[index]), float(epoch.test_accuracy[index]),
    )  # fmt: skip


def _search_row(sparsity: float, repeat: int, found: Generation) -> SearchRow:
    return SearchRow(
        sparsity, repeat, found.generation, found.best, found.mean, found.worst, margin(found.fitness),
        found.not_finite, found.evaluations,
    )  # fmt: skip


def margin(fitness: np.ndarray) -> float | None:
    """Best minus second best of the finite fitness ``(m,)``; None where fewer than two are finite."""
    ranked = np.sort(fitness[np.isfinite(fitness)])
    return float(ranked[-1] - ranked[-2]) if len(ranked) > 1 else None
