"""The page of a comparison: the sentences first, then what they are made of."""

from collections.abc import Sequence

from weedout_core.lab.files import sha256
from weedout_core.lab.report import compared_sentences as say
from weedout_core.lab.report.compared import Run, cell_means, cell_rows, run_means, verdicts_of
from weedout_core.lab.report.compared_facts import ABSENT, Cost, costs, differing, facts
from weedout_core.lab.report.compared_figures import accuracy_figure, cells_figure, figure2_of
from weedout_core.lab.report.compared_masks import mask_counts, mask_rows
from weedout_core.lab.report.page import Links, Report, Subtitle, made_of
from weedout_core.lab.report.section import Section, Table, as_csv
from weedout_core.lab.report.texts import NOTHING, number, within
from weedout_core.lab.verdict.verdicts import percent

PAGE = "comparison.html"


def comparison(runs: Sequence[Run]) -> tuple[Report, list[str]]:
    """The page of a comparison with the files beside it, and its sentences.

    Args:
        runs: two or more, each under a name of its own. The first is what each other one is compared with.
    """
    parts = [
        _what_was_run(runs), _masks(runs), _accuracies(runs), _cells(runs), _verdicts(runs), _costs(runs),
        _figures2(runs),
    ]  # fmt: skip
    sentences = [sentence for section in parts for sentence in section.items]
    first = Section("says", "What these runs say", items=sentences)
    title, state = f"{say.listed(runs)} compared", _state(runs)
    sections = [first, *(section._replace(items=()) for section in parts)]
    said = [f"{state.noticed} {state.said}"] if state.noticed else []
    return made_of(title, state, sections, mark_of(runs), Links("", "")), [*said, *sentences]


def mark_of(runs: Sequence[Run]) -> str:
    """What tells a comparison of these runs from one of others."""
    return sha256(*(f"{run.name}\n{run.source.record['digest']}\n".encode() for run in runs))


def _state(runs: Sequence[Run]) -> Subtitle:
    open_runs = [run for run in runs if not run.source.finished]
    if not open_runs:
        return Subtitle("", "All of these runs are finished.")
    done = ", ".join(f"{run.name} has {len(run.source.done)} of {len(run.source.planned)} groups" for run in open_runs)
    return Subtitle("Not all runs are finished.", f"{done}; only what is done is compared. Compare again when more is.")


def _what_was_run(runs: Sequence[Run]) -> Section:
    found = facts(runs)
    unlike = differing(found)
    values = {(fact.part, fact.field): [] for fact in unlike}
    for fact in unlike:
        values[fact.part, fact.field].append(fact.value)
    table = Table(
        "Fields in which the runs differ",
        ("field", "part", *(run.name for run in runs)),
        [(field, part, *texts) for (part, field), texts in values.items()],
        left=("part", *(run.name for run in runs)),
    )
    text = (
        "The identity decides the results. Versions and the device may change floats in their last bits, and so may "
        "what was decided when a run began. Digests are shown by their first 12 characters.",
    )
    items = [*say.what_differs(runs, found), *say.pairing(runs)]
    return Section(
        "run", "What differs in what was run", text, items, tables=[table] if values else [],
        files={"facts.csv": as_csv(found)},
    )  # fmt: skip


def _masks(runs: Sequence[Run]) -> Section:
    title = "Which networks were chosen"
    rows = mask_rows(runs)
    if not rows:
        return Section("masks", title, items=["No cell with masks can be compared."])
    counts = mask_counts(rows)
    table = Table(
        f"Masks that are equal, bit for bit, to those of {runs[0].name}",
        ("arm and run", "sparsity (%)", "equal", "nodes that differ, at most", "close calls among those that differ"),
        [
            (
                f"{one.arm}, {one.run}",
                percent(one.sparsity),
                f"{one.equal} of {one.masks}",
                f"{one.most} of {one.nodes}",
                f"{one.close} of {one.searched}" if one.searched else NOTHING,
            )
            for one in counts
        ],
    )
    text = (
        "A close call is a search that was decided by fitness that differs by less than rounding may change it, so "
        "that another backend may elect another winner.",
    )
    files = {"masks.csv": as_csv(rows), "masks_counts.csv": as_csv(counts)}
    return Section("masks", title, text, say.masks(counts), tables=[table], files=files)


def _accuracies(runs: Sequence[Run]) -> Section:
    title = "Accuracy against sparsity"
    means = run_means(runs)
    if not means:
        return Section("accuracy", title, ("No network is done yet.",))
    shown = {
        (mean.sparsity, mean.arm, mean.run): f"{number(100 * mean.mean)} [{number(100 * mean.low)}, "
        f"{number(100 * mean.high)}], {mean.runs - mean.diverged} of {mean.runs}"
        for mean in means
    }
    table = Table(
        "Test accuracy (%), mean [95 % interval], and over how many of the repeats that are done",
        ("arm and sparsity", *(run.name for run in runs)),
        [
            (f"{arm} at {percent(sparsity)} %", *(shown.get((sparsity, arm, run.name), ABSENT) for run in runs))
            for sparsity, arm in dict.fromkeys((mean.sparsity, mean.arm) for mean in means)
        ],
    )
    figure = accuracy_figure(runs, means)
    return Section("accuracy", title, drawings=[figure], tables=[table], files={"accuracy.csv": as_csv(means)})


def _cells(runs: Sequence[Run]) -> Section:
    title = "Differences between runs, cell by cell"
    rows = cell_rows(runs)
    if not rows:
        said = "There is no pair: no cell is done in two runs with the same seed, data and network."
        return Section("cells", title, (said,))
    means = cell_means(runs, rows)
    table = Table(
        f"Test accuracy of a run − that of {runs[0].name}, repeat by repeat, points",
        ("arm and run", "sparsity (%)", "mean [plain 95 % interval]", "largest of a cell", "pairs", "diverged"),
        [
            (
                f"{mean.arm}, {mean.run}",
                percent(mean.sparsity),
                within(100 * mean.mean, 100 * mean.low, 100 * mean.high),
                number(100 * mean.largest),
                str(mean.pairs),
                str(mean.diverged),
            )
            for mean in means
        ],
    )
    files = {"cells.csv": as_csv(rows), "cells_means.csv": as_csv(means)}
    text = ("Differences that are all equal have no interval: they do not show how far the mean may be off.",)
    drawn = [cells_figure(runs, rows, means)]
    return Section("cells", title, text, say.accuracies(rows, means), drawings=drawn, tables=[table], files=files)


def _verdicts(runs: Sequence[Run]) -> Section:
    title = "Verdicts"
    rows = verdicts_of(runs)
    if not rows:
        return Section("verdicts", title, ("No run has a verdict.",))
    shown = {(row[:3], row.run): f"{row.verdict}, after {row.look}" for row in rows}
    table = Table(
        "Verdicts at the last look of each run, and after how many repeats",
        ("method against baseline", "sparsity (%)", *(run.name for run in runs)),
        [
            (
                f"{place[1]} against {place[2]}",
                percent(place[0]),
                *(shown.get((place, run.name), ABSENT) for run in runs),
            )
            for place in dict.fromkeys(row[:3] for row in rows)
        ],
        left=[run.name for run in runs],
    )
    return Section("verdicts", title, (), say.verdicts(rows), tables=[table], files={"verdicts.csv": as_csv(rows)})


def _costs(runs: Sequence[Run]) -> Section:
    found = costs(runs)
    of = {(one.what, one.run): one for one in found}
    devices = [run.source.record["environment"].get("device", ABSENT) for run in runs]
    table = Table(
        "What each run cost as far as it is done",
        ("what", *(run.name for run in runs)),
        [
            ("device", *devices),
            *(
                (what, *(_value(of.get((what, run.name))) for run in runs))
                for what in dict.fromkeys(one.what for one in found)
            ),
        ],
    )
    return Section(
        "cost", "What they cost", (), [say.cost(runs, found)], tables=[table], files={"costs.csv": as_csv(found)}
    )


def _value(cost: Cost | None) -> str:
    if cost is None:
        return ABSENT
    if cost.what.endswith("(s)"):
        return number(cost.value)
    if "share" in cost.what:
        return f"{100 * cost.value:.3g} %"
    return f"{cost.value:.3e}" if cost.value >= 1e6 else f"{cost.value:,.0f}"


def _figures2(runs: Sequence[Run]) -> Section:
    drawn = [figure for place, run in enumerate(runs, 1) if (figure := figure2_of(place, run)) is not None]
    text = () if drawn else ("No epoch is done yet.",)
    return Section("figure2", "Figure 2 of each run", text, drawings=drawn)
