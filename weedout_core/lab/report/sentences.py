"""Sentences on what the table cannot show: what was too close to call, and trainings that diverged."""

from collections.abc import Sequence
from itertools import accumulate

from weedout_core._algorithm.agreement import too_close
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import ResultRow, SearchRow
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.report.tables import identical_sparsities

_NAMED = 3  # at most this many searches or cells are named in a sentence; the tables hold all of them


def close_calls(config: ExperimentConfig, rows: Sequence[SearchRow], results: Sequence[ResultRow]) -> str | None:
    """A sentence on the searches in which another backend may choose another winner; None if there are none."""
    close = close_searches(config, rows, results)
    if not close:
        return None
    which = [f"sparsity {named(sparsity)} repeat {repeat}" for sparsity, repeat in close]
    searches = len({(row.sparsity, row.repeat) for row in rows})
    return (
        f"{len(close)} of {searches} searches {'was' if len(close) == 1 else 'were'} decided by fitness that "
        f"differs by less than {too_close(config.search.fitness):g}: another backend may elect another winner there "
        f"({_first(which)}; see margin and final_margin in search.csv)."
    )


def close_searches(
    config: ExperimentConfig, rows: Sequence[SearchRow], results: Sequence[ResultRow]
) -> list[tuple[float, int]]:
    """The searches in which another backend may choose another winner, each by its sparsity and repeat, in order."""
    limit, same = too_close(config.search.fitness), identical_sparsities(config, results)
    searches: dict[tuple[float, int], list[SearchRow]] = {}
    for row in rows:
        searches.setdefault((row.sparsity, row.repeat), []).append(row)
    return sorted(
        search
        for search, generations in searches.items()
        if search[0] not in same and any(gap < limit for gap in _gaps(config, generations))
    )


def _gaps(config: ExperimentConfig, search: Sequence[SearchRow]) -> list[float]:
    """The margin of each decision in a search: the choice of each elite, of the winner, and of when to stop.

    Where it goes on in training, when to stop was decided before; and if nothing is removed before, it is of one.
    """
    before = len(search) - config.train.generations
    alike = config.initial_sparsity == 0 and config.search.weights == "shared"
    elected = search[before:] if alike else search
    margins = [margin for row in elected for margin in (row.margin, row.final_margin) if margin is not None]
    return margins if config.search.patience is None else margins + _improvements(search[:before])


def _improvements(search: Sequence[SearchRow]) -> list[float]:
    """The differences between each generation's best fitness and the best before it, which patience compares.

    Equal values are left out: they come from the same candidate on the same batch, so that nothing was decided between
    them. Two candidates with equal fitness are compared within a generation, whose margin is counted.
    """
    best = [row.best for row in search]
    gaps = [abs(one - before) for one, before in zip(best[1:], accumulate(best, max), strict=False)]
    return [gap for gap in gaps if gap > 0]


def near_thresholds(rows: Sequence[ThresholdRow]) -> str | None:
    """A sentence on the scores so near the threshold that another backend may decide otherwise; None without any."""
    counted = [row for row in rows if row.near_threshold is not None]
    near = [row for row in counted if row.near_threshold]
    count, nodes = sum(row.near_threshold or 0 for row in near), sum(row.nodes for row in counted)
    if not near:
        return None
    return (
        f"{count:,} of {nodes:,} scores {'is' if count == 1 else 'are'} so near the threshold that another backend may "
        f"keep others there ({_first(_cells(near))}; see near_threshold in thresholds.csv)."
    )


def drawn_among_equals(rows: Sequence[ThresholdRow]) -> str | None:
    """A sentence on the scores that stand on both sides of the threshold, so that chance decided; None without any."""
    drawn = [row for row in rows if row.drawn]
    if not drawn:
        return None
    count, nodes = sum(row.drawn for row in drawn), sum(row.nodes for row in rows)
    return (
        f"{count:,} of {nodes:,} scores are equal to others on the other side of the threshold: what was kept of these "
        f"was drawn at random ({_first(_cells(drawn))}; see drawn in thresholds.csv)."
    )


def confidence(alpha: float) -> str:
    """A sentence on how wide the intervals in verdicts are. ``alpha`` is their two-sided significance level, < 1."""
    wider = ": wider than plain 95 % intervals, because all sentences are to be right together" if alpha < 0.05 else ""
    return f"The intervals in these sentences are {100 * (1 - alpha):.4g} % intervals{wider}."


def of_family(family: int | None) -> str:
    """Which sentences besides those of a run are to be right together with them; "" for none."""
    return "" if family is None else f" of a family of {family:,} comparisons, this run's and others',"


def diverged_cells(rows: Sequence[ResultRow]) -> str | None:
    """A sentence on the cells whose training diverged, with what to do; None if there are none."""
    diverged = [row for row in rows if row.diverged]
    if not diverged:
        return None
    return (
        f"{len(diverged)} of {len(rows)} trainings diverged: a loss, a logit, a weight or a statistic became NaN or "
        f"infinite. These enter no mean. Lower --learning-rate ({_first(_cells(diverged))}; see nan in results.csv)."
    )


def _cells(rows: Sequence[ThresholdRow] | Sequence[ResultRow]) -> list[str]:
    return list(dict.fromkeys(f"{row.arm} sparsity {named(row.sparsity)} repeat {row.repeat}" for row in rows))


def _first(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}"
