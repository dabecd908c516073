"""One group of the experiment, from search to test accuracy: a pure function apart from the events it reports."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from weedout_core import (
    Evaluation,
    Generation,
    Network,
    SearchResult,
    Trained,
    draw_control,
    evaluate_together,
    search,
    train_together,
)
from weedout_core._random.keys import of_repeat
from weedout_core.backend import Backend, Examples, best_overall
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.configuration import Decided, ExperimentConfig, network
from weedout_core.lab.experiment.events import EpochTrained, Event, GenerationScored, GroupFinished, PhaseStarted
from weedout_core.lab.experiment.rows import (
    ARMS,
    Cell,
    CurveRow,
    ResultRow,
    SearchRow,
    curve_row,
    result_row,
    search_rows,
)
from weedout_core.lab.experiment.slices import Checkpoint, slices, train_slices
from weedout_core.lab.experiment.so_far import NOTHING, Fetch, GroupProgress, Scored
from weedout_core.random import Key

OnEvent = Callable[[Event], None]


Offer = Callable[[Fetch, int | None], None]


class GroupResult(NamedTuple):
    """The results of a group.

    Attributes:
        sparsity: the group's sparsity.
        results: a row for each cell.
        curves: a row for each cell and epoch.
        searches: a row for each generation of each search.
        masks: {"arm/repeat/site": bool ``shape``}, True where a node is kept.
        parameters: {"arm/repeat/path": float ``shape``}, the trained weights and the running statistics.
    """

    sparsity: float
    results: tuple[ResultRow, ...]
    curves: tuple[CurveRow, ...]
    searches: tuple[SearchRow, ...]
    masks: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]


class _Group(NamedTuple):
    """What stays the same during a group."""

    config: ExperimentConfig
    decided: Decided
    sparsity: float
    dataset: Dataset
    net: Network
    backend: Backend
    on_event: OnEvent
    resume: GroupProgress
    offer: Offer


def run_group(
    config: ExperimentConfig,
    decided: Decided,
    sparsity: float,
    dataset: Dataset,
    backend: Backend,
    on_event: OnEvent,
    resume: GroupProgress = NOTHING,
    offer: Offer = lambda fetch, epoch: None,
) -> GroupResult:
    """Search, draw controls, train all cells (``decided.together`` at a time), and measure them.

    Args:
        config: the experiment.
        decided: what was decided when the run began.
        sparsity: one of ``config.sparsity``.
        dataset: from ``load_dataset``.
        backend: from ``wc.load_backend``.
        on_event: called with each event as it happens.
        resume: the progress from which the group goes on.
        offer: called after each generation and each epoch with a function that fetches the progress so far, and with
            the number of epochs done (None while searching).
    """
    task = _Group(config, decided, sparsity, dataset, network(config, dataset), backend, on_event, resume, offer)
    # Both arms of a repeat have the same key, so they share the parent and the order of the data, and form a pair.
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
    scores = [_evaluate(task, trained, split) for split in (dataset.train, dataset.test)]
    on_event(GroupFinished(sparsity))
    return GroupResult(
        sparsity,
        tuple(result_row(sparsity, *cell) for cell in zip(cells, trained, *scores, strict=True)),
        tuple(
            curve_row(sparsity, cell, epoch) for cell, one in zip(cells, trained, strict=True) for epoch in one.history
        ),
        tuple(row for repeat, found in enumerate(searches) for row in search_rows(sparsity, repeat, found)),
        {
            f"{cell.arm}/{cell.repeat}/{site}": mask
            for cell in cells
            for site, mask in (cell.network.mask or {}).items()
        },
        {
            f"{cell.arm}/{cell.repeat}/{path}": value
            for cell, one in zip(cells, trained, strict=True)
            for path, value in {**one.network.params, **one.network.moving}.items()
        },
    )


def _scored(searches: Sequence[SearchResult]) -> Scored:
    return tuple(found.history for found in searches)


def _search(task: _Group, key: Key, repeat: int, before: Scored) -> SearchResult:
    task.on_event(PhaseStarted(task.sparsity, "search", repeat))
    earlier = task.resume.scored[repeat] if repeat < len(task.resume.scored) else ()
    scored = list(earlier)

    def on_generation(generation: Generation) -> None:
        scored.append(generation)
        progress = GroupProgress((*before, tuple(scored)), ())
        task.offer(lambda: progress, None)
        task.on_event(GenerationScored(task.sparsity, repeat, generation))

    return search(
        task.net,
        task.dataset.validation,
        sparsity=task.sparsity,
        backend=task.backend,
        key=key,
        config=replace(task.config.search, chunk=task.decided.chunk),
        on_generation=on_generation,
        scored=earlier,
    )


def _winner(found: SearchResult, key: Key, repeat: int) -> Cell:
    mean = {
        "last_generation": found.history[-1].mean,
        "best_overall": best_overall(found.history).mean,
        "rescored": None,  # measured on one more batch, which the population never saw
    }[found.config.winner]
    return Cell(
        "weedout", repeat, key, found.network, found.origin, found.fitness, mean,
        found.evaluations, found.stopped, found.validation_batch,
    )  # fmt: skip


def _control(task: _Group, found: SearchResult, key: Key, repeat: int) -> Cell:
    kind = task.config.control
    drawn = draw_control(
        task.net, sparsity=task.sparsity, backend=task.backend, key=key, config=found.config, control=kind
    )
    first, origin = found.history[0], drawn.origin
    return Cell(
        "control", repeat, key, drawn.network, origin,
        None if origin is None else float(first.fitness[origin.candidate]),
        None if origin is None else first.mean,
        0, None, None if origin is None else found.validation_batch,
    )  # fmt: skip


def _train(task: _Group, cells: Sequence[Cell], scored: Scored) -> tuple[Trained, ...]:
    task.on_event(PhaseStarted(task.sparsity, "train", None))

    def train(some: slice, resume: tuple[Trained, ...] | None, checkpoint: Checkpoint) -> tuple[Trained, ...]:
        return train_together(
            [cell.network for cell in cells[some]],
            task.dataset.train,
            backend=task.backend,
            keys=[cell.key for cell in cells[some]],
            config=task.config.train,
            test=task.dataset.test,
            on_epoch=lambda epochs: task.on_event(EpochTrained(task.sparsity, epochs, some.start, len(cells))),
            resume=resume,
            checkpoint=checkpoint,
        )

    return train_slices(
        slices(len(cells), task.decided.together),
        task.config.train.epochs,
        train,
        task.resume.trained,
        lambda epoch, fetch: task.offer(lambda: GroupProgress(scored, fetch()), epoch),
    )


def _evaluate(task: _Group, trained: Sequence[Trained], split: Examples) -> list[Evaluation]:
    """Evaluate every cell on a whole split, as many cells at once as are trained together."""
    return [
        evaluation
        for some in slices(len(trained), task.decided.together)
        for evaluation in evaluate_together([one.network for one in trained[some]], split, backend=task.backend)
    ]
