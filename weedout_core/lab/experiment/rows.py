"""The rows of the tables in a run folder: what they hold, how they are made, and their conversion to CSV and back.

Floats are written as their shortest exact text and rows in a fixed order, so that equal runs give equal bytes. None is
written as an empty field.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar, get_type_hints

from weedout_core import Epoch, Evaluation, Trained
from weedout_core.errors import RunError
from weedout_core.lab.experiment.arms import Cell
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.thresholds import ThresholdRow


class ResultRow(NamedTuple):
    """The results of one cell (one sparsity × arm × repeat).

    Attributes:
        sparsity, arm, repeat: the cell; repeats are counted from 0.
        origin_generation, origin_candidate: the generation and the candidate as which its network was drawn, counted
            from 0; None if it is no candidate of a search.
        fitness: the fitness for which a winner was chosen, or that of a member of the first generation; None if the
            network was not scored.
        population_mean_fitness: the mean fitness of the generation in which ``fitness`` was measured, on the same
            batch; None if ``fitness`` is None, or was measured on a batch that the generation was not scored on.
        achieved_sparsity: the fraction of nodes removed, over all sites.
        parameters, active_parameters, macs, active_macs: see ``wc.costs``.
        train_accuracy, train_loss, test_accuracy, test_loss: after training; accuracy in [0, 1], loss in nats. All four
            are NaN if the training diverged or a measured logit is not finite.
        evaluations: the number of candidates scored to find the network.
        stopped: what ended the search that found it; None if none did.
        validation_batch: the number of examples on which ``fitness`` was measured; None if it was not measured.
    """

    sparsity: float
    arm: str
    repeat: int
    origin_generation: int | None
    origin_candidate: int | None
    fitness: float | None
    population_mean_fitness: float | None
    achieved_sparsity: float
    parameters: int
    active_parameters: int
    macs: int
    active_macs: int
    train_accuracy: float
    train_loss: float
    test_accuracy: float
    test_loss: float
    evaluations: int
    stopped: str | None
    validation_batch: int | None

    @property
    def diverged(self) -> bool:
        """Whether the cell has no accuracy and no loss, because its training or its logits were not finite."""
        return math.isnan(self.test_accuracy)


class CurveRow(NamedTuple):
    """One epoch of one cell; the fields are those of ``wc.Epoch``.

    The loss (nats) and the train accuracy are means over the batches during the epoch; the test accuracy is measured
    after it.
    """

    sparsity: float
    arm: str
    repeat: int
    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float
    not_finite: int

    @property
    def diverged(self) -> bool:
        """Whether the cell had diverged at the end of this epoch."""
        return math.isnan(self.loss) or math.isnan(self.test_accuracy)


class SearchRow(NamedTuple):
    """One generation of one search; the fields are those of ``wc.Generation``.

    ``margin`` is the fitness of the fittest candidate minus that of the second; None if no other fitness is finite.
    ``final_margin`` is in the last row of a search only: the margin by which its winner was chosen, see
    ``wc.SearchResult``.
    """

    sparsity: float
    repeat: int
    generation: int
    best: float
    mean: float
    worst: float
    margin: float | None
    not_finite: int
    evaluations: int
    final_margin: float | None


class TimingRow(NamedTuple):
    """How long one phase of a group took.

    Attributes:
        sparsity, phase: the phase of the group.
        repeat: counted from 0; None for a phase that all repeats share.
        seconds: the seconds from the beginning of the phase to its end.
        compile_seconds: the part of these seconds that was spent on compilation; None if the backend compiles nothing.
    """

    sparsity: float
    phase: str
    repeat: int | None
    seconds: float
    compile_seconds: float | None


class LeftOutRow(NamedTuple):
    """A cell that was not trained.

    Attributes:
        sparsity, arm, repeat: the cell.
        same_as: the arm whose results it would have, by construction or in law; empty if the arm is not defined here.
        why: a clause that says so.
    """

    sparsity: float
    arm: str
    repeat: int
    same_as: str
    why: str


class VerdictRow(NamedTuple):
    """One comparison at one look, as it stands in verdict.csv: the fields of ``Finding`` and ``Paired``."""

    look: int
    sparsity: float
    method: str
    baseline: str
    verdict: str
    pairs: int
    diverged: int
    mean: float
    low: float
    high: float
    alpha: float
    deviation: float
    cohens_d: float
    hedges_g: float
    correlation: float
    power: float
    repeats_needed: int | None
    sentence: str


AnyRow = ResultRow | CurveRow | SearchRow | TimingRow | LedgerRow | LeftOutRow | ThresholdRow | VerdictRow


Row = TypeVar("Row", bound=AnyRow)


def result_row(sparsity: float, cell: Cell, trained: Trained, train: Evaluation, test: Evaluation) -> ResultRow:
    """The cell's row in results.csv. If the training diverged, all four results are NaN, finite ones too."""
    start, cost = cell.start, cell.start.network.costs
    diverged = trained.diverged or train.not_finite + test.not_finite > 0
    measured = (train.accuracy, train.loss, test.accuracy, test.loss)
    train_accuracy, train_loss, test_accuracy, test_loss = (math.nan,) * 4 if diverged else measured
    return ResultRow(
        sparsity=sparsity,
        arm=cell.arm,
        repeat=cell.repeat,
        origin_generation=None if start.origin is None else start.origin.generation,
        origin_candidate=None if start.origin is None else start.origin.candidate,
        fitness=start.fitness,
        population_mean_fitness=start.population_mean,
        achieved_sparsity=start.network.sparsity,
        parameters=cost.parameters,
        active_parameters=cost.active_parameters,
        macs=cost.macs,
        active_macs=cost.active_macs,
        train_accuracy=train_accuracy,
        train_loss=train_loss,
        test_accuracy=test_accuracy,
        test_loss=test_loss,
        evaluations=start.evaluations,
        stopped=start.stopped,
        validation_batch=start.batch,
    )


def curve_row(sparsity: float, cell: Cell, epoch: Epoch) -> CurveRow:
    """The cell's row of an epoch in curves.csv."""
    return CurveRow(
        sparsity, cell.arm, cell.repeat, epoch.epoch, epoch.loss, epoch.train_accuracy, epoch.test_accuracy,
        epoch.not_finite,
    )  # fmt: skip


def search_rows(sparsity: float, cell: Cell) -> list[SearchRow]:
    """The rows of a cell's search in search.csv, one for each generation; none if it was not searched."""
    history = cell.start.history
    return [
        SearchRow(
            sparsity, cell.repeat, one.generation, one.best, one.mean, one.worst, one.margin,
            one.not_finite, one.evaluations, cell.start.margin if one is history[-1] else None,
        )
        for one in history
    ]  # fmt: skip


def to_csv(kind: type[Row], rows: Iterable[Row]) -> str:
    """Rows of one kind as CSV text with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(get_type_hints(kind))
    writer.writerows(rows)
    return text.getvalue()


def from_csv(kind: type[Row], text: str, source: str) -> list[Row]:
    """Rows from the text of :func:`to_csv`. Raises RunError, naming the source, for any other text."""
    hints = get_type_hints(kind)
    try:
        header, *lines = csv.reader(io.StringIO(text)) if text else [[]]
        if header == list(hints):
            readers = [_reader(hint) for hint in hints.values()]
            return [kind(*(read(cell) for read, cell in zip(readers, line, strict=True))) for line in lines]
    except (ValueError, csv.Error) as error:
        raise RunError(f"{source} holds a row that cannot be read ({error}). Restore it.") from error
    raise RunError(f"{source} must have the columns {','.join(hints)}; got {','.join(header)}. Restore it.")


def _reader(hint: Any) -> Callable[[str], Any]:
    """What makes a value of a field's type from its text."""
    if hint in (int, float, str):
        return hint
    kind = next(one for one in (int, float, str) if hint == one | None)
    return lambda cell: None if cell == "" else kind(cell)
