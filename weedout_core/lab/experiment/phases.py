"""The phases of a group: what is handed to the library's own phases, and what is told of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from weedout_core import Evaluation, Generation, Network, Trained, evaluate_together, train_together
from weedout_core._configs.going_on import without_search
from weedout_core.backend import Backend, Examples, MaskPlan
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.arms import Cell
from weedout_core.lab.experiment.choosing import Choosing, read_only
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.decided import Decided
from weedout_core.lab.experiment.events import (
    TRAIN,
    ChoiceTrained,
    EpochTrained,
    Event,
    GenerationScored,
    ModelStarted,
    PhaseStarted,
)
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.model import Model
from weedout_core.lab.experiment.searched import found_before, keep_as_many
from weedout_core.lab.experiment.slices import Checkpoint, slices, train_slices
from weedout_core.lab.experiment.so_far import NOTHING, Fetch, GroupProgress

OnEvent = Callable[[Event], None]
Offer = Callable[[Fetch, int | None], None]


class GroupWork(NamedTuple):
    """What stays the same during a group."""

    config: ExperimentConfig
    decided: Decided
    group: Group
    dataset: Dataset
    net: Network
    plan: MaskPlan
    backend: Backend
    on_event: OnEvent = lambda event: None
    resume: GroupProgress = NOTHING
    offer: Offer = lambda fetch, epoch: None


def choosing(work: GroupWork, model: Model | None) -> Choosing:
    """What the arms of a group choose with."""
    return Choosing(
        work.config,
        replace(work.config.search, chunk=work.decided.chunk),
        work.group,
        work.net,
        work.plan,
        read_only(work.dataset.train),
        read_only(work.dataset.validation),
        work.backend,
        on_arm=lambda arm, repeat: work.on_event(PhaseStarted(work.group, arm, repeat)),
        on_generation=lambda repeat, found: work.on_event(GenerationScored(work.group, repeat, found)),
        on_epoch=lambda arm, repeat, epoch: work.on_event(ChoiceTrained(work.group, arm, repeat, epoch)),
        offer=lambda progress: work.offer(lambda: progress, None),
        model=model,
        on_model=lambda repeat: work.on_event(ModelStarted(work.group, repeat)),
    )


def train_cells(work: GroupWork, cells: Sequence[Cell], chosen: GroupProgress) -> tuple[Trained, ...]:
    """Train what the arms have chosen. The masks of cells that are ``searched`` are searched again on the way."""
    work.on_event(PhaseStarted(work.group, TRAIN, None))

    def train(some: slice, resume: tuple[Trained, ...] | None, checkpoint: Checkpoint) -> tuple[Trained, ...]:
        return train_together(
            [cell.start.network for cell in cells[some]],
            work.dataset.train,
            backend=work.backend,
            keys=[cell.key for cell in cells[some]],
            test=work.dataset.test,
            on_epoch=lambda epochs: work.on_event(EpochTrained(work.group, epochs, some.start, len(cells))),
            resume=resume,
            checkpoint=checkpoint,
            **_how(work, cells[some]),
        )

    return train_slices(
        slices(cells, work.decided.together, work.plan),
        work.config.train.epochs,
        train,
        work.resume.trained,
        lambda epoch, fetch: work.offer(lambda: chosen._replace(trained=fetch()), epoch),
    )


def _how(work: GroupWork, cells: Sequence[Cell]) -> dict[str, Any]:
    """How some cells are trained, either all of them with a search or none."""
    if not cells[0].searched:
        return {"config": without_search(work.config.train)}

    def on_generation(generations: tuple[Generation, ...]) -> None:
        for cell, generation in zip(cells, generations, strict=True):
            work.on_event(GenerationScored(work.group, cell.repeat, generation))

    search, train = work.config.search, work.config.train
    alike = keep_as_many(work.net, work.group.sparsity, search)
    return {
        "config": replace(train, compaction=train.compaction and alike),
        "found": [found_before(cell, search) for cell in cells],
        "validation": work.dataset.validation,
        "sparsity": work.group.sparsity,
        "on_generation": on_generation,
    }


def evaluate_cells(
    work: GroupWork, cells: Sequence[Cell], trained: Sequence[Trained], split: Examples
) -> list[Evaluation]:
    """Evaluate every cell on a whole split, as many cells at once as are trained together."""
    return [
        evaluation
        for some in slices(cells, work.decided.together, work.plan)
        for evaluation in evaluate_together([one.network for one in trained[some]], split, backend=work.backend)
    ]
