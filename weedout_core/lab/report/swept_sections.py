"""The page of a sweep: its sentences first, then what they are made of, and a link to the report of each point."""

from collections import Counter
from collections.abc import Sequence

from weedout_core.lab.report.accuracies import ArmMean
from weedout_core.lab.report.page import Links, Report, Subtitle, made_of
from weedout_core.lab.report.run_page import PAGE as REPORT
from weedout_core.lab.report.section import Section, Table, csv_of
from weedout_core.lab.report.swept import COLUMNS, Comparison, Swept, Work, as_row, comparisons, parent_size
from weedout_core.lab.report.swept_figures import accuracy_figure, differences_figure
from weedout_core.lab.report.texts import NOTHING, count, number, within
from weedout_core.lab.verdict.cautions import cautions
from weedout_core.lab.verdict.verdicts import percent

PAGE, NUMBERS = "sweep.html", "sweep.csv"


def sweep_page(points: Sequence[Swept], mark: str) -> tuple[Report, list[str]]:
    """The page of a sweep with the files beside it, and its sentences.

    Args:
        points: at least one, all of them finished, in order.
        mark: stands in the page: the digest of the sweep.
    """
    found = comparisons(points)
    scope, dataset = points[0].source.scope, points[0].source.record["identity"]["dataset"]
    title = f"{', '.join(scope.methods)} against {scope.baseline} on {dataset}, over {_listed(points)}"
    sections = [_says(points, found), _accuracy(found), _differences(found), _cost(points, found), _points(points)]
    state = Subtitle("", f"All {count(len(points), 'point')} of this sweep are done.")
    said = [*sections[0].items, *sections[0].text]
    return made_of(title, state, sections, mark, Links("", "")), said


def _listed(points: Sequence[Swept]) -> str:
    return " and ".join(points[0].values)


def _says(points: Sequence[Swept], found: Sequence[Comparison]) -> Section:
    times = Counter(one.verdict.verdict for one in found)
    made = ", ".join(f"{number} {verdict}" for verdict, number in times.items())
    sentences = [f"{one.point}: {one.verdict.sentence}" for one in found]
    counted = f"Of {count(len(found), 'comparison')}: {made}."
    return Section("says", "What this sweep says", _promise(points, found), [counted, *sentences])


def _promise(points: Sequence[Swept], found: Sequence[Comparison]) -> list[str]:
    scope = points[0].source.scope
    family, alpha = scope.family or len(found), found[0].verdict.alpha
    made = f"the {count(len(found), 'comparison')} of this sweep"
    others = f", and {family - len(found):,} of other runs" if family > len(found) else ""
    every = sorted({note for point in points for note in _notes(point)})
    return [
        f"The error of 5 % is divided over a family of {count(family, 'comparison')}: {made}{others}, one for each "
        "point, method and sparsity. If differences are normal, all of these sentences are right together with "
        f"probability at least 95 %; for that the intervals of differences are {100 * (1 - alpha):.4g} % intervals, at "
        f"each of the planned looks (after {', '.join(map(str, scope.looks))} repeats). Each point ends at the first "
        "look at which all of its own comparisons are decided.",
        "No point is compared with another: which value is best, and whether a difference grows, is not tested. The "
        "sentences speak of other initial weights and orders of this data, and of no other data.",
        *(f"Note that {note}" for note in every),
    ]


def _notes(point: Swept) -> list[str]:
    scope = point.source.scope
    return [] if scope.margin is None else cautions(scope.looks[0], scope.margin, point.source.examples["test"])


def _accuracy(found: Sequence[Comparison]) -> Section:
    baseline = found[0].verdict.baseline
    table = Table(
        "Test accuracy (%), mean [plain 95 % interval]",
        ("point", "sparsity (%)", "method", "of the method", f"of {baseline}"),
        [
            (
                str(one.point),
                percent(one.verdict.sparsity),
                one.verdict.method,
                _mean(one.method),
                _mean(one.baseline),
            )
            for one in found
        ],
        left=("method",),
    )
    lost = sum(row.diverged for point in {one.point.folder: one.point for one in found}.values() for row in
               point.source.results)  # fmt: skip
    text = [f"{count(lost, 'training')} diverged, and {'is' if lost == 1 else 'are'} in no mean."] if lost else []
    header = (*found[0].point.values, *COLUMNS)
    files = {NUMBERS: csv_of(header, [as_row(one) for one in found])}
    return Section("accuracy", "Accuracy", text, drawings=[accuracy_figure(found)], tables=[table], files=files)


def _mean(mean: ArmMean) -> str:
    return f"{number(100 * mean.mean)} [{number(100 * mean.low)}, {number(100 * mean.high)}]"


def _differences(found: Sequence[Comparison]) -> Section:
    table = Table(
        f"Paired differences of test accuracy from {found[0].verdict.baseline}, points, and verdicts",
        ("point", "sparsity (%)", "method", "mean [interval]", "verdict", "repeats", "pairs", "diverged"),
        [
            (
                str(one.point),
                percent(one.verdict.sparsity),
                one.verdict.method,
                within(100 * one.verdict.mean, 100 * one.verdict.low, 100 * one.verdict.high),
                one.verdict.verdict,
                str(one.verdict.look),
                str(one.verdict.pairs),
                str(one.verdict.diverged),
            )
            for one in found
        ],
        left=("method", "verdict"),
    )
    return Section("differences", "Differences", drawings=[differences_figure(found)], tables=[table])


def _cost(points: Sequence[Swept], found: Sequence[Comparison]) -> Section:
    size = {point.folder: parent_size(point) for point in points}
    rows = [
        (str(one.point), percent(one.verdict.sparsity), mean.arm, f"{size[one.point.folder]:,}", *_work(work))
        for one in found
        for mean, work in ((one.method, one.method_work), (one.baseline, one.baseline_work))
    ]
    table = Table(
        "Counted work, all repeats together",
        (
            "point", "sparsity (%)", "arm", "parameters of the parent", "candidates scored",
            "multiply-adds of choosing", "multiply-adds of training", "weights of a network, mean (bytes)",
        ),
        list(dict.fromkeys(rows)),
        left=("arm",),
    )  # fmt: skip
    text = ("Multiply-adds are those of the networks that are really computed. Points may have ended after different "
            "numbers of repeats.",)  # fmt: skip
    return Section("cost", "What it cost", text, tables=[table])


def _work(work: Work) -> tuple[str, ...]:
    macs = (f"{value:.3e}" if value else NOTHING for value in (work.choosing, work.training))
    return f"{work.candidates:,}", *macs, f"{work.weights:,.0f}"


def _points(points: Sequence[Swept]) -> Section:
    text = (
        "Each point is a run of weedout judge in a folder of its own, with a report that has all of its figures, "
        "tables and choices. Its config.json has the command that continues it alone.",
    )
    links = {f"{point}: the report of {point.folder}": f"{point.folder}/{REPORT}" for point in points}
    return Section("points", "The points", text, links=links)
