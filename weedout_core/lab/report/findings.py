"""What is said of judged methods: verdicts from the rows of a run, and what their sanity checks show."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import LeftOutRow, ResultRow, VerdictRow
from weedout_core.lab.statistics import Interval, student_t_interval
from weedout_core.lab.verdict.decisions import Decision, Finding, Pairs, decide

Rows = Sequence[ResultRow]


class Rules(NamedTuple):
    """By what methods are judged, chosen before the run.

    Attributes:
        methods: the judged arms.
        baseline: the arm that each is compared with.
        looks: the planned numbers of repeats.
        margin: the smallest difference that matters, as a fraction of 1.
    """

    methods: tuple[str, ...]
    baseline: str
    looks: tuple[int, ...]
    margin: float


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
    return decide(comparisons, look, rules.looks, rules.margin)


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


class Check(NamedTuple):
    """A method against one of its sanity checks at one sparsity.

    Attributes:
        sparsity, method, check: what is compared.
        difference: method − check, mean and plain 95 % interval over the pairs in which neither diverged. Where the
            check is the same as another arm, it is that arm's; None if there is no such pair.
        left_out: why the check was not trained; "" if it was.
    """

    sparsity: float
    method: str
    check: str
    difference: Interval | None
    left_out: str


def checks(rows: Rows, left_out: Sequence[LeftOutRow], rules: Rules, arms: Sequence[str]) -> list[Check]:
    """Each method against its sanity checks, in the order of the run's arms."""
    reasons = {(row.sparsity, row.arm): row for row in left_out}
    found: list[Check] = []
    for sparsity in sorted({row.sparsity for row in rows}):
        for method in rules.methods:
            for arm in (arm for arm in arms if arm.startswith(f"{method}.")):
                row = reasons.get((sparsity, arm))
                trained, why = (arm, "") if row is None else (row.same_as, row.why)
                difference = _difference(rows, sparsity, method, trained) if trained not in ("", method) else None
                found.append(Check(sparsity, method, arm.removeprefix(f"{method}."), difference, why))
    return found


def _difference(rows: Rows, sparsity: float, first: str, second: str) -> Interval | None:
    both = np.array([accuracies(rows, sparsity, arm) for arm in (first, second)])
    differences = both[0] - both[1]
    known = differences[~np.isnan(differences)]
    return student_t_interval(known.tolist()) if len(known) else None


def checks_table(found: Sequence[Check]) -> Table:
    """The sanity checks as a table to print."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title="Sanity checks: method − check, points of test accuracy [plain 95 % interval]",
    )
    for name in ("sparsity", "method", "check", "difference"):
        table.add_column(name, justify="right" if name == "sparsity" else "left", overflow="fold")
    for one in found:
        table.add_row(named(one.sparsity), one.method, one.check, _shown(one))
    return table


def _shown(check: Check) -> str:
    if check.difference is None:
        return check.left_out or "no pair"
    mean, low, high = (100 * value for value in check.difference)
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" + (f" ({check.left_out})" if check.left_out else "")
