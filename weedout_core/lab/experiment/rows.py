"""The rows of the tables in a run folder, and their way to CSV text and back.

Floats are written as their shortest exact text, rows in a fixed order: equal runs give equal bytes. None is an
empty cell.
"""

import csv
import io
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeVar, get_type_hints

from weedout_core.errors import RunError

Arm = Literal["weedout", "control"]

#: The arms, in the order of the tables.
ARMS: tuple[Arm, ...] = ("weedout", "control")


class ResultRow(NamedTuple):
    """One cell.

    Attributes:
        sparsity, arm, repeat: the cell.
        origin_generation, origin_candidate: where its network was drawn; None for an independent control.
        fitness: what the winner was chosen for; a control's in the first generation; None where it was not scored.
        population_mean_fitness: of the generation in which ``fitness`` was measured, on the same batch; None
            where ``fitness`` is, or where it was measured on a batch of its own.
        achieved_sparsity: the fraction of nodes removed, over all sites.
        parameters, active_parameters, macs, active_macs: see ``wc.costs``.
        train_accuracy, train_loss, test_accuracy, test_loss: after training; accuracy in [0, 1], loss in nats.
        evaluations: candidates scored to find it: 0 for a control.
        stopped: what ended the search; None for a control.
        validation_batch: examples on which ``fitness`` was measured; None where it was not.
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


class CurveRow(NamedTuple):
    """One epoch of one cell: loss (nats) and train accuracy of the batches as they passed, test accuracy after it."""

    sparsity: float
    arm: str
    repeat: int
    epoch: int
    loss: float
    train_accuracy: float
    test_accuracy: float


class SearchRow(NamedTuple):
    """One generation of one search: see ``wc.Generation``.

    ``margin`` is by how much the fittest candidate leads the second; None where no other has a finite fitness.
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


class TimingRow(NamedTuple):
    """How long one phase of a group took.

    Attributes:
        sparsity, phase: the phase.
        repeat: None for what repeats share.
        seconds: from its beginning to its end.
        compile_seconds: of these, those spent on compilation; None where the backend compiles nothing.
    """

    sparsity: float
    phase: str
    repeat: int | None
    seconds: float
    compile_seconds: float | None


AnyRow = ResultRow | CurveRow | SearchRow | TimingRow
Row = TypeVar("Row", bound=AnyRow)


def to_csv(kind: type[Row], rows: Iterable[Row]) -> str:
    """Rows as CSV text with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(get_type_hints(kind))
    writer.writerows(rows)
    return text.getvalue()


def from_csv(kind: type[Row], text: str, source: str) -> list[Row]:
    """Rows from :func:`to_csv`. Raises RunError, naming the source, for text that is not such."""
    hints = get_type_hints(kind)
    header, *lines = csv.reader(io.StringIO(text)) if text else [[]]
    if header != list(hints):
        raise RunError(f"{source} must have the columns {','.join(hints)}; got {','.join(header)}.")
    try:
        return [kind(*(_value(hint, cell) for hint, cell in zip(hints.values(), line, strict=True))) for line in lines]
    except ValueError as error:
        raise RunError(f"{source} holds a row that cannot be read ({error}).") from error


def _value(hint: Any, cell: str) -> Any:
    if hint in (int, float, str):
        return hint(cell)
    return None if cell == "" else next(kind for kind in (int, float, str) if hint == kind | None)(cell)
