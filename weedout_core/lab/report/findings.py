"""What is said of judged methods: verdicts from the rows of a run, and the table of their sanity checks."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table

from weedout_core.errors import WeedoutWarning
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import ResultRow, VerdictRow
from weedout_core.lab.report.differences import PairedMean
from weedout_core.lab.report.texts import points
from weedout_core.lab.verdict.decisions import Decision, Finding, Pairs, decide

Rows = Sequence[ResultRow]


class Rules(NamedTuple):
    """By what methods are judged, chosen before the run.

    Attributes:
        methods: the judged arms.
        baseline: the arm that each is compared with.
        looks: the planned numbers of repeats.
        margin: the smallest difference that matters, as a fraction of 1.
        family: the number of comparisons whose sentences are to be right together; None means those of the run.
    """

    methods: tuple[str, ...]
    baseline: str
    looks: tuple[int, ...]
    margin: float
    family: int | None = None


def look_at(rows: Rows, rules: Rules, look: int) -> Decision:
    """The verdicts on all methods at all sparsities after some repeats."""
    sparsities = sorted({row.sparsity for row in rows})
    comparisons = [
        Pairs(
            method,
            rules.baseline,
            sparsity,
            accuracies(rows, sparsity, method)[:look],
            accuracies(rows, sparsity, rules.baseline)[:look],
        )
        for sparsity in sparsities
        for method in rules.methods
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # given when the margin was chosen
        return decide(comparisons, look, rules.looks, rules.margin, family=rules.family)


def accuracies(rows: Rows, sparsity: float, arm: str) -> list[float]:
    """An arm's test accuracies at a sparsity, in the order of the repeats; NaN where a training diverged."""
    found = {row.repeat: row.test_accuracy for row in rows if row.sparsity == sparsity and row.arm == arm}
    return [found[repeat] for repeat in sorted(found)]


def verdict_rows(decision: Decision) -> list[VerdictRow]:
    """The rows of a look in verdict.csv."""
    return [_row(decision, finding) for finding in decision.findings]


def _row(decision: Decision, finding: Finding) -> VerdictRow:
    paired = finding.paired
    return VerdictRow(
        decision.look, finding.sparsity, finding.method, finding.baseline, finding.verdict, paired.pairs,
        paired.diverged, paired.mean, paired.low, paired.high, decision.alpha, paired.deviation, paired.cohens_d,
        paired.hedges_g, paired.correlation, paired.power, paired.repeats_needed, finding.sentence,
    )  # fmt: skip


def checks_table(found: Sequence[PairedMean]) -> Table:
    """Methods against their sanity checks, as a table to print."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title="Sanity checks: method − check, points of test accuracy [plain 95 % interval]",
    )
    for name in ("sparsity", "method", "check", "difference"):
        table.add_column(name, justify="right" if name == "sparsity" else "left", overflow="fold")
    for one in found:
        table.add_row(named(one.sparsity), one.first, one.second.removeprefix(f"{one.first}."), _shown(one))
    return table


def _shown(mean: PairedMean) -> str:
    return f"{points(mean)} ({mean.why})" if mean.pairs and mean.why else points(mean)
