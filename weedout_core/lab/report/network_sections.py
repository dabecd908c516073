"""The sections on the networks: which nodes they keep, and how fast they converge."""

from collections.abc import Mapping, Sequence

from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.report.convergence import SpeedRow, reach_rows, speed_rows
from weedout_core.lab.report.kept import kept_rows, shown_masks
from weedout_core.lab.report.mask_figures import maps_figure, nodes_figure, sites_figure
from weedout_core.lab.report.section import Section, Table, as_csv
from weedout_core.lab.report.sentences import drawn_among_equals, near_thresholds
from weedout_core.lab.report.source import Source
from weedout_core.lab.report.texts import NOTHING, where, within
from weedout_core.lab.verdict.verdicts import percent


def masks_section(source: Source) -> Section:
    """Which nodes are kept: of two networks at the largest sparsity, and by site for all arms."""
    title = "Figure 1: which nodes are kept"
    scope, sites = source.scope, source.sites
    rows = kept_rows(((group, source.masks(group)) for group in source.done), scope.arms, sites)
    if not rows:
        return Section("masks", title, ("No mask is there yet.",))
    sparsity = max(row.sparsity for row in rows)
    group = next(group for group in source.done if group.sparsity == sparsity)
    arms = list(dict.fromkeys([*scope.methods[:1], scope.baseline, *scope.main]))
    places = {arm: scope.place(arm) for arm in scope.main}
    shown = shown_masks(group, source.masks(group), arms, sites)
    drawings = [
        figure
        for figure in (nodes_figure(shown, places), sites_figure(rows, sparsity, places), maps_figure(shown))
        if figure is not None
    ]
    files = {"kept.csv": as_csv(rows)}
    if not source.thresholds:
        return Section("masks", title, drawings=drawings, files=files)
    table = _thresholds_table(source.thresholds)
    text = [said for say in (drawn_among_equals, near_thresholds) if (said := say(source.thresholds)) is not None]
    return Section("masks", title, text, drawings=drawings, tables=[table], files=files, own=["thresholds.csv"])


def _thresholds_table(rows: Sequence[ThresholdRow]) -> Table:
    """For each sparsity and arm with scores, those at and near the threshold, over all sites and repeats."""
    cells: dict[tuple[float, str], list[ThresholdRow]] = {}
    for row in rows:
        cells.setdefault((row.sparsity, row.arm), []).append(row)
    return Table(
        "Scores with which some are kept and some removed, so that these were drawn at random; and scores so near the "
        "threshold that another backend may decide otherwise. A dash: a network was trained before it was scored, and "
        "how far trainings drift apart is not known.",
        ("arm", "sparsity (%)", "scores", "kept", "drawn", "near the threshold"),
        [
            (
                arm,
                percent(sparsity),
                f"{sum(row.nodes for row in found):,}",
                f"{sum(row.kept for row in found):,}",
                f"{sum(row.drawn for row in found):,}",
                _summed([row.near_threshold for row in found]),
            )
            for (sparsity, arm), found in sorted(cells.items(), key=lambda item: item[0][0])
        ],
    )


def _summed(counts: Sequence[int | None]) -> str:
    known = [count for count in counts if count is not None]
    return f"{sum(known):,}" if known else NOTHING


def convergence_section(source: Source) -> Section:
    """Epochs to given test accuracies, and their differences."""
    title = "How fast networks converge"
    scope = source.scope
    reached = reach_rows(source.curves)
    rows = speed_rows(reached, scope)
    if not rows:
        said = "No accuracy that is asked for tells networks apart: none has it, or all have it after the first epoch."
        return Section("convergence", title, (said,))
    cells = {(row.sparsity, row.accuracy, row.first): row for row in rows}
    arms = [arm for arm in scope.others if any(row.first == arm for row in rows)]
    table = Table(
        f"Epochs to a test accuracy, an arm − {scope.baseline}: mean [plain 95 % interval], over the pairs in which "
        "both reach it. Fewer are faster.",
        ("test accuracy and sparsity", *(f"{arm} − {scope.baseline} (epochs)" for arm in arms)),
        [
            (
                f"{percent(accuracy)} % at {where(sparsity)}",
                *(_cell(cells, sparsity, accuracy, arm) for arm in arms),
            )
            for sparsity, accuracy in dict.fromkeys((row.sparsity, row.accuracy) for row in rows if _reached(row))
        ],
    )
    files = {"epochs_to_accuracy.csv": as_csv(reached), "epochs_differences.csv": as_csv(rows)}
    text = ("The first epoch after which a network has a test accuracy. The accuracies are the same in every run.",)
    return Section("convergence", title, text, tables=[table], files=files)


def _reached(row: SpeedRow) -> bool:
    return row.pairs + row.first_never + row.second_never > 0


def _cell(cells: Mapping[tuple[float, float, str], SpeedRow], sparsity: float, accuracy: float, arm: str) -> str:
    row = cells.get((sparsity, accuracy, arm))
    return "" if row is None else _speed(row)


def _speed(row: SpeedRow) -> str:
    never: Sequence[str] = [
        f"{times} {who} never"
        for times, who in (
            (row.first_never, f"{row.first} alone"),
            (row.second_never, f"{row.second} alone"),
            (row.neither, "both"),
        )
        if times
    ]
    pairs = f"{row.pairs} pair{'' if row.pairs == 1 else 's'}"
    measured = within(row.mean, row.low, row.high) + ", " if row.pairs else ""
    return "; ".join([f"{measured}{pairs}", *never])
