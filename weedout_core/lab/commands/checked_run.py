"""A run as reports are made from it: read from its folder, with verdicts that its results imply."""

import math
from collections.abc import Sequence
from pathlib import Path

from weedout_core.errors import ConfigError, RunError
from weedout_core.lab.experiment.rows import VerdictRow
from weedout_core.lab.report.findings import Rules, look_at, verdict_rows
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.reading import read_run


def source_of(path: Path) -> Source:
    """What is done of the run in a folder.

    Of looks whose groups are not all there, because one was removed, there are no verdicts.

    Raises:
        RunError: as ``read_run``; or the verdicts are not those of the results.
        WeedoutWarning: as ``read_run``.
    """
    found = Source(*read_run(path))
    undone = min((group.end for group in found.planned if group not in found.done), default=math.inf)
    verdicts = [row for row in found.verdicts if row.look < undone]
    for look in dict.fromkeys(row.look for row in verdicts):
        if not _are_equal([row for row in verdicts if row.look == look], _implied(found, look)):
            raise RunError(
                f"{path / 'verdict.csv'} must have the verdicts that the results imply, and does not at the look at "
                f"{look} repeats. Restore it, or delete it: the command of the run writes it again."
            )
    return found._replace(verdicts=verdicts)


def _implied(run: Source, look: int) -> Sequence[VerdictRow]:
    """The rows of a look; none if it is none that was planned."""
    scope = run.scope
    if scope.margin is None:
        return ()
    try:
        return verdict_rows(look_at(run.results, Rules(scope.methods, scope.baseline, scope.looks, scope.margin), look))
    except ConfigError:
        return ()


def _are_equal(rows: Sequence[VerdictRow], others: Sequence[VerdictRow]) -> bool:
    """Whether rows are equal but for the last bits of numbers, which another version of a library may change."""
    return len(rows) == len(others) and all(
        one == other or (isinstance(one, float) and isinstance(other, float) and _are_close(one, other))
        for pair in zip(rows, others, strict=True)
        for one, other in zip(*pair, strict=True)
    )


def _are_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9) or (math.isnan(one) and math.isnan(other))
