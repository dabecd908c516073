"""What the table cannot show, in a sentence each: searches that were too close to call, trainings that diverged."""

from collections.abc import Sequence
from itertools import accumulate

from weedout_core._algorithm.agreement import too_close
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import ResultRow, SearchRow
from weedout_core.lab.report.tables import identical_sparsities

_NAMED = 3  # of searches and of cells, at most so many are named; the tables have all


def close_calls(config: ExperimentConfig, rows: Sequence[SearchRow], results: Sequence[ResultRow]) -> str | None:
    """A sentence on the searches in which another backend may elect another winner, or None where there are none."""
    limit, same = too_close(config.search.fitness), identical_sparsities(config, results)
    searches: dict[tuple[float, int], list[SearchRow]] = {}
    for row in rows:
        searches.setdefault((row.sparsity, row.repeat), []).append(row)
    close = [
        search
        for search, generations in searches.items()
        if search[0] not in same and any(gap < limit for gap in _gaps(config, generations))
    ]
    if not close:
        return None
    which = [f"sparsity {named(sparsity)} repeat {repeat}" for sparsity, repeat in sorted(close)]
    return (
        f"{len(close)} of {len(searches)} searches {'was' if len(close) == 1 else 'were'} decided by fitness that "
        f"differs by less than {limit:g}: another backend may elect another winner there "
        f"({_first(which)}; see margin and final_margin in search.csv)."
    )


def _gaps(config: ExperimentConfig, search: Sequence[SearchRow]) -> list[float]:
    """By how much each choice of a search was decided: of each elite, of the winner, and of when to stop."""
    margins = [margin for row in search for margin in (row.margin, row.final_margin) if margin is not None]
    return margins if config.search.patience is None else margins + _improvements(search)


def _improvements(search: Sequence[SearchRow]) -> list[float]:
    """By how much each generation's best differs from the best before it, which patience compares.

    Where they are equal they are the same candidate on the same batch, and no choice: another candidate would have
    been in the same generation, where its margin counts.
    """
    best = [row.best for row in search]
    gaps = [abs(one - before) for one, before in zip(best[1:], accumulate(best, max), strict=False)]
    return [gap for gap in gaps if gap > 0]


def diverged_cells(rows: Sequence[ResultRow]) -> str | None:
    """A sentence on the cells whose training diverged and what to do, or None where there are none."""
    diverged = [row for row in rows if row.diverged]
    if not diverged:
        return None
    which = [f"{row.arm} sparsity {named(row.sparsity)} repeat {row.repeat}" for row in diverged]
    return (
        f"{len(diverged)} of {len(rows)} trainings diverged: a loss, a logit, a weight or a statistic became NaN or "
        f"infinite. What diverged is in no mean. Lower --learning-rate ({_first(which)}; see nan in results.csv)."
    )


def _first(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}"
