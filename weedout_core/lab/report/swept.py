"""The points of a sweep side by side: what each comparison says there, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from weedout_core import costs
from weedout_core.lab.experiment.events import TRAIN
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import VerdictRow
from weedout_core.lab.report.accuracies import ArmMean, arm_means
from weedout_core.lab.report.costs import CHOOSE
from weedout_core.lab.report.source import Source


class Swept(NamedTuple):
    """A point of a sweep.

    Attributes:
        values: of the options that are varied, as they are typed.
        folder: of its run, in that of the sweep.
        source: the run, which is finished.
    """

    values: Mapping[str, str]
    folder: str
    source: Source

    def __str__(self) -> str:
        return ", ".join(f"{option} {value}" for option, value in self.values.items())


class Work(NamedTuple):
    """What an arm cost at a sparsity, all repeats together: counted, as in ledger.csv.

    Attributes:
        candidates: that were scored in order to choose.
        choosing, training: computed multiply-adds.
        weights: bytes of the weights that are trained, mean over the networks.
    """

    candidates: int
    choosing: int
    training: int
    weights: float


class Comparison(NamedTuple):
    """A method against the baseline at a point and a sparsity.

    Attributes:
        point: where.
        verdict: at the last look, with the difference.
        method, baseline: the test accuracies of both.
        method_work, baseline_work: what both cost.
    """

    point: Swept
    verdict: VerdictRow
    method: ArmMean
    baseline: ArmMean
    method_work: Work
    baseline_work: Work


def comparisons(points: Sequence[Swept]) -> list[Comparison]:
    """All comparisons of a sweep: by point, then as in its verdicts."""
    return [one for point in points for one in _of(point)]


def _of(point: Swept) -> list[Comparison]:
    source = point.source
    means = {(mean.sparsity, mean.arm): mean for mean in arm_means(source.config, source.results)}
    return [
        Comparison(
            point,
            row,
            means[row.sparsity, row.method],
            means[row.sparsity, row.baseline],
            _work(source.ledger, row.sparsity, row.method),
            _work(source.ledger, row.sparsity, row.baseline),
        )
        for row in source.verdicts
        if row.look == source.scope.look
    ]


def _work(rows: Sequence[LedgerRow], sparsity: float, arm: str) -> Work:
    here = [row for row in rows if (row.sparsity, row.arm) == (sparsity, arm)]
    choosing, training = ([row for row in here if row.phase == phase] for phase in (CHOOSE, TRAIN))
    return Work(
        sum(row.candidates for row in choosing),
        sum(row.computed_macs for row in choosing),
        sum(row.computed_macs for row in training),
        sum(row.bytes for row in training) / len(training),
    )


def parent_size(point: Swept) -> int:
    """The number of parameters of a point's parent."""
    return costs(point.source.net).parameters


#: The columns of sweep.csv after those of the options that are varied.
COLUMNS = (
    "folder", "parent_parameters", "sparsity", "method", "baseline", "verdict", "look", "pairs", "diverged",
    "difference", "difference_low", "difference_high", "alpha", "accuracy", "accuracy_low", "accuracy_high",
    "baseline_accuracy", "baseline_accuracy_low", "baseline_accuracy_high", "candidates_scored",
    "choosing_multiply_adds", "training_multiply_adds", "weights_bytes_per_network", "baseline_candidates_scored",
    "baseline_choosing_multiply_adds", "baseline_training_multiply_adds", "baseline_weights_bytes_per_network",
)  # fmt: skip


def as_row(one: Comparison) -> tuple[object, ...]:
    """A comparison as a row of sweep.csv."""
    said = one.verdict
    return (
        *one.point.values.values(), one.point.folder, parent_size(one.point), said.sparsity, said.method, said.baseline,
        said.verdict, said.look, said.pairs, said.diverged, said.mean, said.low, said.high, said.alpha,
        one.method.mean, one.method.low, one.method.high, one.baseline.mean, one.baseline.low, one.baseline.high,
        *one.method_work, *one.baseline_work,
    )  # fmt: skip
