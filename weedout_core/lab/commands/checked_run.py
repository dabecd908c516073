"""A run as reports are made from it: read from its folder, with verdicts that its results imply."""

import math
from collections.abc import Sequence
from pathlib import Path

from weedout_core.errors import RunError
from weedout_core.lab.experiment.rows import VerdictRow
from weedout_core.lab.report.findings import Rules, look_at, verdict_rows
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.reading import read_run


def source_of(path: Path) -> Source:
    """What is done of the run in a folder, with the verdicts of all looks whose groups are done.

    Raises:
        RunError: as ``read_run``; or the verdicts in its folder are not those of the results.
        WeedoutWarning: as ``read_run``.
    """
    found = Source(*read_run(path))
    undone = min((group.end for group in found.planned if group not in found.done), default=math.inf)
    implied = _implied(found, undone)
    for look in dict.fromkeys(row.look for row in found.verdicts if row.look < undone):
        there, wanted = ([row for row in rows if row.look == look] for rows in (found.verdicts, implied))
        if not _are_equal(there, wanted):
            raise RunError(
                f"{path / 'verdict.csv'} must have the verdicts that the results imply, and does not at the look at "
                f"{look} repeats. Restore it, or delete it: the command of the run writes it again."
            )
    return found._replace(verdicts=implied)


def _implied(run: Source, undone: float) -> list[VerdictRow]:
    """The rows of all looks before repeats that are not done, up to the first look that decides everything."""
    scope, rows = run.scope, list[VerdictRow]()
    if scope.margin is None:
        return rows
    rules = Rules(scope.methods, scope.baseline, scope.looks, scope.margin, scope.family)
    for look in (look for look in rules.looks if look < undone):
        decision = look_at(run.results, rules, look)
        rows += verdict_rows(decision)
        if decision.next_look is None:
            break
    return rows


def _are_equal(rows: Sequence[VerdictRow], others: Sequence[VerdictRow]) -> bool:
    """Whether rows are equal but for the last bits of numbers, which another version of a library may change."""
    return len(rows) == len(others) and all(
        one == other or (isinstance(one, float) and isinstance(other, float) and _are_close(one, other))
        for pair in zip(rows, others, strict=True)
        for one, other in zip(*pair, strict=True)
    )


def _are_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9) or (math.isnan(one) and math.isnan(other))
