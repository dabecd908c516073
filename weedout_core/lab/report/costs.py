"""What a run cost, by phase and arm: counted work, and measured time."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from weedout_core.lab.experiment.events import EVALUATE, TRAIN
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import TimingRow

CHOOSE = "choose"
PHASES = (CHOOSE, TRAIN, EVALUATE)


class CostRow(NamedTuple):
    """What one phase of one arm cost at one sparsity, all repeats together.

    Attributes:
        sparsity: None for all sparsities together.
        phase, arm: what it is the cost of.
        networks: how many networks were chosen, trained or evaluated.
        candidates_scored, training_steps: counted.
        dense_multiply_adds, active_multiply_adds, computed_multiply_adds: counted, as in ledger.csv.
        weights_bytes_per_network: of the weights that are computed with, in float32, mean over the networks.
        share_of_training: computed multiply-adds of this phase over those of the arm's training; NaN without any.
    """

    sparsity: float | None
    phase: str
    arm: str
    networks: int
    candidates_scored: int
    training_steps: int
    dense_multiply_adds: int
    active_multiply_adds: int
    computed_multiply_adds: int
    weights_bytes_per_network: float
    share_of_training: float


class TimeRow(NamedTuple):
    """How long one phase took, over all sparsities and repeats.

    Attributes:
        phase: "choose", "train" or "evaluate".
        arm: the arm that chose; "" for a phase in which all arms are computed together.
        wall_seconds: from its beginning to its end.
        compile_seconds: the part of these seconds that was compilation; NaN if the backend compiles nothing.
    """

    phase: str
    arm: str
    wall_seconds: float
    compile_seconds: float


def cost_rows(rows: Sequence[LedgerRow], by_sparsity: bool) -> list[CostRow]:
    """The sums of the ledger by phase and arm, in the order of the arms; for each sparsity alone, or all together."""
    cells: dict[tuple[float | None, str, str], list[LedgerRow]] = {}
    for row in rows:
        cells.setdefault((row.sparsity if by_sparsity else None, row.phase, row.arm), []).append(row)
    places = sorted(cells, key=lambda cell: (cell[0] or 0.0, PHASES.index(cell[1])))
    return [_cost(place, cells[place], cells.get((place[0], TRAIN, place[2]), [])) for place in places]


def _cost(place: tuple[float | None, str, str], rows: Sequence[LedgerRow], training: Sequence[LedgerRow]) -> CostRow:
    computed, trained = (sum(row.computed_macs for row in some) for some in (rows, training))
    return CostRow(
        *place,
        len(rows),
        sum(row.candidates for row in rows),
        sum(row.steps for row in rows),
        sum(row.dense_macs for row in rows),
        sum(row.active_macs for row in rows),
        computed,
        sum(row.bytes for row in rows) / len(rows),
        computed / trained if trained else math.nan,
    )


def time_rows(rows: Sequence[TimingRow]) -> list[TimeRow]:
    """The seconds of each phase, all sparsities and repeats together, in the order in which they first came."""
    cells: dict[str, list[TimingRow]] = {}
    for row in rows:
        cells.setdefault(row.phase, []).append(row)
    return [_time(phase, some) for phase, some in cells.items()]


def _time(phase: str, rows: Sequence[TimingRow]) -> TimeRow:
    compiling = [row.compile_seconds for row in rows if row.compile_seconds is not None]
    shared = phase in (TRAIN, EVALUATE)
    return TimeRow(
        phase if shared else CHOOSE,
        "" if shared else phase,
        sum(row.seconds for row in rows),
        sum(compiling) if compiling else math.nan,
    )
