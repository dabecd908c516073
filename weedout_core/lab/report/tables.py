"""The table at the end of a run: two arms and their difference, sparsity by sparsity."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich import box
from rich.table import Table

from weedout_core._random.keys import of_intervals
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.names import fitness_named, named, trained_before
from weedout_core.lab.experiment.rows import ResultRow
from weedout_core.lab.statistics import Interval, mean_interval, paired_difference
from weedout_core.random import Key

_METHODS = {"student_t": "Student t", "normal": "normal", "bootstrap": "bootstrap"}


class Mean(NamedTuple):
    """A mean over the runs, or pairs of runs, that did not diverge.

    Attributes:
        interval: the mean and its interval; None if all diverged.
        runs: the number of all runs or pairs, diverged ones included.
        diverged: the number of those that diverged; a pair counts if one or both of its runs diverged.
    """

    interval: Interval | None
    runs: int
    diverged: int


class Comparison(NamedTuple):
    """Two arms at one sparsity.

    Attributes:
        sparsity: the sparsity of both arms, in [0, 1).
        first, second: the arm's test accuracy in [0, 1].
        difference: first − second, repeat by repeat; None if the arms are the same network.
        fitness: the first arm's fitness, mean over the repeats.
        population_fitness: the mean fitness of the population that it was chosen from, mean over the repeats; NaN where
            a population was not measured on the same batch.
    """

    sparsity: float
    first: Mean
    second: Mean
    difference: Mean | None
    fitness: float
    population_fitness: float


def interval_key(config: ExperimentConfig) -> Key:
    """The key of the bootstrap, uint32 ``(2,)``: it differs from the keys of all repeats."""
    return of_intervals(config.seed)


def compare(config: ExperimentConfig, rows: Sequence[ResultRow]) -> list[Comparison]:
    """Compare the two arms of a run at each sparsity that has results, in ascending order."""
    return [
        _comparison(config, sparsity, [row for row in rows if row.sparsity == sparsity])
        for sparsity in sorted({row.sparsity for row in rows})
    ]


def _comparison(config: ExperimentConfig, sparsity: float, rows: Sequence[ResultRow]) -> Comparison:
    first, second = arms(rows)
    chosen = [row for row in rows if row.arm == first]
    partners = {row.repeat: row for row in rows if row.arm == second}
    pairs = [(row.test_accuracy, partners[row.repeat].test_accuracy) for row in chosen]
    same = sparsity in identical_sparsities(config, rows)
    return Comparison(
        sparsity,
        _finite_mean(config, [one for one, _ in pairs]),
        _finite_mean(config, [other for _, other in pairs]),
        None if same else _finite_difference(config, pairs),
        _mean([row.fitness for row in chosen]),
        _mean([row.population_mean_fitness for row in chosen]),
    )


def arms(rows: Sequence[ResultRow]) -> list[str]:
    """The arms that rows are of, in order."""
    return list(dict.fromkeys(row.arm for row in rows))


def _finite_mean(config: ExperimentConfig, values: Sequence[float]) -> Mean:
    known = [value for value in values if not math.isnan(value)]
    interval = mean_interval(known, config.interval, interval_key(config)) if known else None
    return Mean(interval, len(values), len(values) - len(known))


def _finite_difference(config: ExperimentConfig, pairs: Sequence[tuple[float, float]]) -> Mean:
    known = [pair for pair in pairs if not any(map(math.isnan, pair))]
    first, second = [one for one, _ in known], [other for _, other in known]
    interval = paired_difference(first, second, config.interval, interval_key(config)) if known else None
    return Mean(interval, len(pairs), len(pairs) - len(known))


def identical_sparsities(config: ExperimentConfig, rows: Sequence[ResultRow]) -> set[float]:
    """The sparsities at which all arms are the same network whatever a search finds.

    There nothing is removed and all candidates share one parent. With exact sampling the number of removed nodes may
    round to 0 at a sparsity above 0 too. With Bernoulli sampling above 0, removing nothing would be chance.
    """
    if config.search.weights != "shared":
        return set()
    possible = {row.sparsity for row in rows if row.sparsity == 0 or config.search.sampling == "exact"}
    return possible - {row.sparsity for row in rows if row.achieved_sparsity > 0}


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else math.nan


def results_table(config: ExperimentConfig, rows: Sequence[ResultRow]) -> Table:
    """The comparison of a run's two arms as a table to print."""
    first, second = arms(rows)
    runs = "1 run" if config.repeats == 1 else f"{config.repeats} runs"
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),  # so that it fits a terminal of 80 columns
        title=f"Test accuracy in %, {config.dataset}: mean of {runs} ± 95 % interval ({_METHODS[config.interval]})",
        caption=f"Sparsity is the fraction removed. Difference: {first} − {second}, repeat by repeat. "
        f"Fitness ({fitness_named(config.search)}), {trained_before(config.search, config.train)}: {first}'s, and its "
        "population's mean.",
    )
    for name in ("sparsity", second, first, "difference", "fitness", "mean"):
        table.add_column(name, justify="right", overflow="fold")
    for row in compare(config, rows):
        table.add_row(
            named(row.sparsity),
            _accuracy(row.second),
            _accuracy(row.first),
            _difference(row.difference),
            _number(row.fitness),
            _number(row.population_fitness),
        )
    return table


def _accuracy(mean: Mean) -> str:
    if mean.interval is None:
        return f"all {mean.runs} diverged"
    return _plus_minus(mean.interval) + (f"\n{mean.diverged} of {mean.runs} diverged" if mean.diverged else "")


def _difference(mean: Mean | None) -> str:
    if mean is None:
        return "identical by construction"
    pairs = f"over {mean.runs - mean.diverged} of {mean.runs} pairs"
    if mean.interval is None:
        return pairs
    return _with_ends(mean.interval) + (f"\n{pairs}" if mean.diverged else "")


def _plus_minus(interval: Interval) -> str:
    half_width = 100 * interval.half_width
    return f"{100 * interval.mean:.2f} ± {'–' if math.isnan(half_width) else f'{half_width:.2f}'}"


def _with_ends(interval: Interval) -> str:
    if math.isnan(interval.half_width):
        return f"{100 * interval.mean:+.2f} [–]"
    return f"{100 * interval.mean:+.2f} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
