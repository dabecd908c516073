"""The sections on accuracies: the sentences first, then what they are made of."""

from collections.abc import Sequence

from weedout_core.lab.report.accuracies import arm_means, epoch_means
from weedout_core.lab.report.differences import PairedMean, pair_rows, paired_means
from weedout_core.lab.report.result_figures import (
    appendix_panels,
    differences_figure,
    figure2_panels,
    sparsity_figure,
)
from weedout_core.lab.report.section import Section, Table, as_csv
from weedout_core.lab.report.sentences import confidence, of_family
from weedout_core.lab.report.source import Source
from weedout_core.lab.report.texts import NOTHING, count, number, pairs, points, where
from weedout_core.lab.verdict.cautions import cautions
from weedout_core.lab.verdict.verdicts import percent

_SEEDS = (
    "They speak of seeds: of other initial weights and other orders of the same data. They say nothing of another "
    "split or another dataset."
)


def verdict_section(source: Source) -> Section:
    """The sentences of the last look with what they promise; for the paper's experiment one for each sparsity."""
    scope = source.scope
    looks = f"{', '.join(map(str, scope.looks[:-1]))} and {scope.looks[-1]}" if scope.looks[1:] else str(scope.looks[0])
    if scope.margin is None:
        means = paired_means(source.results, source.left_out, source.verdicts, scope)
        text = (
            "Differences of test accuracy in points of percent, repeat by repeat, with plain 95 % intervals.",
            _SEEDS,
        )
        return Section("verdict", "What this run says", text, [_sentence(mean) for mean in means], own=["results.csv"])
    promise = (
        f"Results are looked at after {looks} repeats. If differences are normal, all sentences"
        f"{of_family(scope.family) or ' of a run'} are right together with probability at least 95 %. {_SEEDS}"
    )
    notes = [f"Note that {one}" for one in cautions(scope.looks[0], scope.margin, source.examples["test"])]
    if scope.look is None:
        return Section("verdict", "The verdict", (f"There was no look at the results yet. {promise}", *notes))
    last = [row for row in source.verdicts if row.look == scope.look]
    undecided = sum(row.verdict == "undecided" for row in last)
    state = f"{undecided} of {count(len(last), 'comparison')} undecided" if undecided else "every comparison decided"
    said = f"After {scope.look} repeats, with {state}. {promise}"
    text = said, confidence(last[0].alpha), *notes
    return Section("verdict", "The verdict", text, [row.sentence for row in last], own=["verdict.csv"])


def _sentence(mean: PairedMean) -> str:
    compared = f"{mean.first} − {mean.second} at {where(mean.sparsity)}"
    said = points(mean)
    if said == mean.why or not mean.pairs:
        return f"{compared}: {said}."
    return f"{compared}: {said.replace(' [', ' points [') if '[' in said else f'{said} points'}, {pairs(mean)}."


def differences_section(source: Source) -> Section:
    """Paired differences of all comparisons."""
    scope = source.scope
    rows = pair_rows(source.results, source.left_out, scope)
    means = paired_means(source.results, source.left_out, source.verdicts, scope)
    if not rows:
        return Section("differences", "Paired differences", ("No pair is done yet.",))
    later = scope.look is not None and any(row.repeat >= scope.look for row in source.results)
    text = ["Repeats beyond the last look are left out here until the next look is due."] if later else []
    table = Table(
        "Paired differences of test accuracy, points",
        ("comparison", "sparsity (%)", "mean [interval]", "confidence (%)", "pairs", "diverged", "note"),
        [
            (
                f"{mean.first} − {mean.second}",
                percent(mean.sparsity),
                points(mean._replace(why="")),
                f"{100 * mean.level:.4g}" if mean.pairs > 1 else NOTHING,
                str(mean.pairs),
                str(mean.diverged),
                mean.why,
            )
            for mean in means
        ],
        left=("note",),
    )
    files = {"differences.csv": as_csv(rows), "differences_means.csv": as_csv(means)}
    figure = differences_figure(scope, rows, means)
    return Section("differences", "Paired differences", text, drawings=[figure], tables=[table], files=files)


def sparsity_section(source: Source) -> Section:
    """Test accuracy of all arms against sparsity."""
    scope = source.scope
    means = arm_means(scope.config, source.results)
    if not means:
        return Section("sparsity", "Accuracy against sparsity", ("No network is done yet.",))
    table = Table(
        "Test accuracy (%), mean [95 % interval]",
        ("arm", "sparsity (%)", "test accuracy (%)", "runs", "diverged"),
        [
            (
                mean.arm,
                percent(mean.sparsity),
                f"{number(100 * mean.mean)} [{number(100 * mean.low)}, {number(100 * mean.high)}]",
                str(mean.runs),
                str(mean.diverged),
            )
            for mean in means
        ],
    )
    return Section(
        "sparsity",
        "Accuracy against sparsity",
        (*_diverged(source), *_left_out(source)),
        drawings=[sparsity_figure(scope, means)],
        tables=[table],
        files={"sparsity.csv": as_csv(means)},
        own=["results.csv"],
    )


def _diverged(source: Source) -> Sequence[str]:
    lost = sum(row.diverged for row in source.results)
    if not lost:
        return ()
    return (
        f"{lost} of {count(len(source.results), 'training')} diverged: they have no accuracy, are counted in the "
        "table, and enter no mean.",
    )


def _left_out(source: Source) -> Sequence[str]:
    """Which arms were not trained, and why: one sentence, each arm once for each reason."""
    reasons = dict.fromkeys((row.arm, row.same_as, row.why) for row in source.left_out)
    if not reasons:
        return ()
    said = [f"{arm} ({f'as {same}: ' if same else ''}{why})" for arm, same, why in reasons]
    return (f"Not trained at some sparsity, because nothing new would be learnt: {'; '.join(said)}.",)


def epoch_sections(source: Source) -> list[Section]:
    """Figure 2 of the paper, and the panels of its appendix."""
    scope = source.scope
    means = epoch_means(scope.config, source.curves)
    titles = "Figure 2: accuracy by epoch", "Appendix: accuracy by epoch at each sparsity"
    if not means:
        said = "No epoch is done yet." if scope.config.train.epochs else "No epoch was trained."
        return [Section("figure2", titles[0], (said,)), Section("epochs", titles[1], (said,))]
    return [
        Section("figure2", titles[0], _crosses(source), drawings=[figure2_panels(scope, means)], own=["curves.csv"]),
        Section(
            "epochs",
            titles[1],
            _crosses(source),
            drawings=[appendix_panels(scope, means)],
            files={"epochs.csv": as_csv(means)},
            own=["curves.csv"],
        ),
    ]


def _crosses(source: Source) -> Sequence[str]:
    lost = {(row.sparsity, row.arm, row.repeat) for row in source.curves if row.diverged}
    if not lost:
        return ()
    return (
        f"{count(len(lost), 'training')} diverged. A cross at the foot marks the epoch; from then on it is in no mean.",
    )


def sections(source: Source) -> list[Section]:
    """All sections on accuracies, in order."""
    return [
        verdict_section(source),
        differences_section(source),
        sparsity_section(source),
        *epoch_sections(source),
    ]
