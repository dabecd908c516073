"""An arm is one way to choose a sparse network: a pure function from a task to a start.

The paper has two arms, the winner of a search and a random control. Any number of them can be compared: every arm of a
repeat is handed the same task, and what it chooses is trained with the same data in the same order.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from weedout_core import Epoch, Generation, Network, SearchConfig, Subnetwork, TrainConfig
from weedout_core._guard.by_content import by_content
from weedout_core.backend import Backend, Examples, MaskPlan, Origin
from weedout_core.lab.experiment.model import Parent
from weedout_core.random import Key


class Task(NamedTuple):
    """What an arm chooses a sparse network from, in one repeat at one sparsity. Its arrays are read-only.

    Attributes:
        net: the dense parent.
        params: the parent's initial weights in this repeat, {path: float ``shape``}.
        sparsity: the fraction of nodes to remove, in [0, 1).
        searched_at: that of a search. It is another one where the search goes on while the sparsity rises.
        plan: how many nodes each site keeps at this sparsity, for ``wc.masks_from_scores``.
        train, validation: the splits ``(x, y)``. The test split is for the comparison alone.
        key: what the arm may draw from, uint32 ``(2,)``: its own, another one in each repeat.
        repeat: the number of the repeat, from 0.
        backend: what computes.
        search: the configuration of the search.
        learning: the configuration of training, without a search in it.
        found: what the arms that this one reads have chosen in this repeat, by their names.
        fresh: gives the parent with other initial weights, as a key draws them.
        root: the key of the repeat, from which the initial weights, the search and the order of the data are drawn.
        scored: the generations of this arm's search that were scored before the run was interrupted.
        on_generation: to be called with each further one.
        on_epoch: to be called with each epoch of a training as in ``learning``, which is shown.
    """

    net: Network
    params: Mapping[str, np.ndarray]
    sparsity: float
    searched_at: float
    plan: MaskPlan
    train: Examples
    validation: Examples
    key: Key
    repeat: int
    backend: Backend
    search: SearchConfig
    learning: TrainConfig
    found: Mapping[str, "Start | LeftOut"]
    fresh: Callable[[Key], Parent]
    root: Key
    scored: tuple[Generation, ...]
    on_generation: Callable[[Generation], None]
    on_epoch: Callable[[Epoch], None]


class Work(NamedTuple):
    """Work that was counted.

    Attributes:
        candidates: scored.
        steps: of training.
        dense_macs, active_macs, computed_macs: multiply-adds, see :mod:`weedout_core.lab.experiment.ledger`.
    """

    candidates: int = 0
    steps: int = 0
    dense_macs: int = 0
    active_macs: int = 0
    computed_macs: int = 0

    def plus(self, more: "Work") -> "Work":
        """The sum of both."""
        return Work(*(one + other for one, other in zip(self, more, strict=True)))


@by_content
class Start(NamedTuple):
    """What an arm has chosen: the network that is trained, and what is recorded about the choice.

    Attributes:
        network: before training.
        scores: of the nodes, {site: float ``shape``}, if its masks were made of them.
        origin: the generation and candidate as which it was drawn, if it is a candidate of a search.
        fitness, population_mean: its fitness, and the mean of its generation's on the same batch, if it has them.
        evaluations: how many candidates were scored to find it.
        stopped: what ended the search that found it.
        batch: the number of examples on which ``fitness`` was measured.
        history: the generations of the search that found it.
        margin: by how much that search's winner led.
        spent: the work of choosing it, which is counted for it.
    """

    network: Subnetwork
    scores: Mapping[str, np.ndarray] | None = None
    origin: Origin | None = None
    fitness: float | None = None
    population_mean: float | None = None
    evaluations: int = 0
    stopped: str | None = None
    batch: int | None = None
    history: tuple[Generation, ...] = ()
    margin: float | None = None
    spent: Work = Work()


class LeftOut(NamedTuple):
    """A cell that is not trained.

    Attributes:
        same_as: the arm whose results it would have, by construction or in law; "" if the arm is not defined here.
        why: a clause that says so.
    """

    same_as: str
    why: str


class Arm(NamedTuple):
    """One way to choose a sparse network.

    Attributes:
        name: unique in a run; it stands in every table.
        choose: the function. It must give the same for the same task.
        reads: the names of arms, before it in the run, whose choices it is handed in ``Task.found``.
        source: what tells this function from another one of the same name: "" for the library's own, else the SHA-256
            of its source or of its files. It is part of the run's identity.
        files: whether what it chooses was made elsewhere and is read from files, so that no other data change it.
    """

    name: str
    choose: Callable[[Task], Start | LeftOut]
    reads: tuple[str, ...] = ()
    source: str = ""
    files: bool = False


class Cell(NamedTuple):
    """One arm in one repeat.

    Attributes:
        arm, repeat: which.
        key: by which it is trained.
        start: what it has chosen.
        searched: whether the search that found it goes on while it trains.
    """

    arm: str
    repeat: int
    key: Key
    start: Start
    searched: bool = False
