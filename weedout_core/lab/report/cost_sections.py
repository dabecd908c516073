"""The sections on the searches and on what the run cost."""

import math
from collections.abc import Sequence

from weedout_core.lab.experiment.names import fitness_named, trained_before
from weedout_core.lab.report.costs import CHOOSE, CostRow, TimeRow, cost_rows, time_rows
from weedout_core.lab.report.generations import generation_means, spreads
from weedout_core.lab.report.in_training import rising_table, said_of_training
from weedout_core.lab.report.search_figures import generations_figure
from weedout_core.lab.report.section import Section, Table, as_csv
from weedout_core.lab.report.source import Source
from weedout_core.lab.report.texts import NOTHING, count, number
from weedout_core.lab.verdict.verdicts import percent


def generations_section(source: Source) -> Section:
    """Fitness by generation."""
    title = "Fitness by generation"
    means = generation_means(source.searches)
    if not means:
        return Section("generations", title, ("No search is done yet, or no arm of this run searches.",))
    search = source.config.search
    lost = sum(mean.not_finite for mean in means)
    text = (
        [f"{count(lost, 'candidate')} had no finite fitness; these are never chosen and enter no mean."] if lost else []
    )
    if said := said_of_training(source.config):
        text.append(said)
    rising = rising_table(source.config, sorted({mean.sparsity for mean in means}))
    trained = trained_before(search, source.config.train)
    figure = generations_figure(fitness_named(search), trained, search.batch_policy == "fresh", means)
    return Section(
        "generations",
        title,
        text,
        drawings=[figure],
        tables=[*rising, _spread(source)],
        files={"generations.csv": as_csv(means)},
        own=["search.csv"],
    )


def _spread(source: Source) -> Table:
    initial = source.config.initial_sparsity
    at = "" if initial is None else f", which is of sparsity {percent(initial)} % in each search"
    return Table(
        f"How far fitness spreads in the first generation{at}. A run keeps no fitness of single candidates, so that "
        "the variance cannot be divided between initial weights and masks.",
        ("sparsity (%)", "searches", "best − worst of a generation, mean", "standard deviation of generations' means"),
        [
            (percent(one.sparsity), str(one.searches), number(one.within, 4), number(one.between, 4))
            for one in spreads(source.searches)
        ],
    )


def ledger_section(source: Source) -> Section:
    """What choosing, training and evaluating cost."""
    title = "What it cost"
    everything = cost_rows(source.ledger, by_sparsity=False)
    if not everything:
        return Section("ledger", title, ("Nothing is done yet.",))
    times = time_rows(source.timings)
    text = (
        "Multiply-adds are counted as if nothing were removed (dense), as those that can change a logit under the "
        "masks (active), and as those of the network that is really computed. All sparsities and repeats together.",
        *_shares(everything),
    )
    files = {"costs.csv": as_csv(cost_rows(source.ledger, by_sparsity=True))}
    files |= {"times.csv": as_csv(times)} if times else {}
    tables = [_costs(everything), *([_times(times)] if times else [])]
    return Section("ledger", title, text, tables=tables, files=files, own=["ledger.csv", "timings.csv"])


def _shares(rows: Sequence[CostRow]) -> list[str]:
    spent = [row for row in rows if row.phase == CHOOSE and row.computed_multiply_adds and row.share_of_training > 0]
    if not spent:
        return []
    shares = ", ".join(f"{row.arm} {_share(row.share_of_training)}" for row in spent)
    return [f"To choose took, as a share of the computed multiply-adds of the same arm's training: {shares}."]


def _share(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{100 * value:.3g} %"


def _costs(rows: Sequence[CostRow]) -> Table:
    return Table(
        "Counted work by phase and arm",
        (
            "phase and arm", "networks", "candidates scored", "training steps", "dense multiply-adds",
            "active multiply-adds", "computed multiply-adds", "weights of a network, mean (bytes)", "share of training",
        ),
        [
            (
                f"{row.phase}: {row.arm}",
                f"{row.networks:,}",
                f"{row.candidates_scored:,}",
                f"{row.training_steps:,}",
                *(
                    f"{value:.3e}" if value else "0"
                    for value in (row.dense_multiply_adds, row.active_multiply_adds, row.computed_multiply_adds)
                ),
                f"{row.weights_bytes_per_network:,.0f}",
                _share(row.share_of_training) if row.phase == CHOOSE else NOTHING,
            )
            for row in rows
        ],
    )  # fmt: skip


def _times(rows: Sequence[TimeRow]) -> Table:
    return Table(
        "Measured time by phase. All arms are trained and evaluated together, so that their time cannot be told apart.",
        ("phase and arm", "wall time (s)", "of it compilation (s)"),
        [
            (f"{row.phase}: {row.arm or 'all arms'}", number(row.wall_seconds), number(row.compile_seconds))
            for row in rows
        ],
    )
