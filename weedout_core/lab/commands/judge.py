"""``weedout judge``: methods against the baseline, look by look, until every comparison is decided."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Annotated, NamedTuple

from rich.console import Console

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import ANYTHING
from weedout_core.errors import ConfigError
from weedout_core.lab.arms.judged import JudgeConfig, Method, judged
from weedout_core.lab.code.functions import Function
from weedout_core.lab.commands.computing import run_missing
from weedout_core.lab.commands.fields import options_named
from weedout_core.lab.commands.options import JudgeOptions, RunOptions
from weedout_core.lab.commands.progress import warn, warnings_said, write_line
from weedout_core.lab.commands.running import Loaded, Running, how_to_report, load, opened, with_functions
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.experiment.arms import Arm
from weedout_core.lab.experiment.configuration import ExperimentConfig, network
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.own_functions import with_own
from weedout_core.lab.experiment.rows import CurveRow, LeftOutRow, ResultRow, TimingRow, VerdictRow, to_csv
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.experiment.timings import timing_line
from weedout_core.lab.files import write_file
from weedout_core.lab.report.differences import PairedMean, paired_means
from weedout_core.lab.report.figures import figure2
from weedout_core.lab.report.findings import Rules, checks_table, look_at, verdict_rows
from weedout_core.lab.report.scope import scope_of
from weedout_core.lab.report.sentences import confidence, diverged_cells, drawn_among_equals, near_thresholds, of_family
from weedout_core.lab.verdict.cautions import cautions
from weedout_core.lab.verdict.decisions import Decision


class Judgement(NamedTuple):
    """What a judged run says.

    Attributes:
        decision: the verdicts at the last look that was taken.
        checks: each method − each of its sanity checks, at each sparsity.
        results: a row for each cell.
        thresholds: a row for each site of each cell whose masks were made of scores: how many of its nodes were
            drawn among equal scores, and how many another backend may keep or remove instead.
        timings: how long each phase took.
        folder: the run's folder, which has these and more as tables.
    """

    decision: Decision
    checks: tuple[PairedMean, ...]
    results: tuple[ResultRow, ...]
    thresholds: tuple[ThresholdRow, ...]
    timings: tuple[TimingRow, ...]
    folder: Path


@guarded
def judge(
    methods: Annotated[Method | Sequence[Method], ANYTHING],
    config: ExperimentConfig = ExperimentConfig(),
    judging: JudgeConfig = JudgeConfig(),
    run: RunOptions = RunOptions(),
    *,
    model: Function | None = None,
    dataset: Function | None = None,
    executor: Annotated[Executor | None, ANYTHING] = None,
) -> Judgement:
    """Is the network that a method chooses better, worse or equivalent to the baseline's when both are trained?

    Progress is shown on standard error. The same call continues a run that was interrupted.

    Args:
        methods: one or more: a function of a :class:`weedout_core.lab.experiment.arms.Task` that returns masks or
            scores {site: array ``shape``} or a ``wc.Subnetwork``; a name, such as "snip"; a folder of masks, a path.
        config: the data, the network, the search and the training. Sparsities and repeats are those of ``judging``;
            with an ``initial_sparsity`` give the sparsities here too.
        judging: the baseline, the sparsities, the looks, the margin.
        run: where the run is stored.
        model: a function of a seed that returns a network, in place of ``config.network``.
        dataset: a function that returns a training and a test split, in place of ``config.dataset``.
        executor: what computes the groups of the run, such as ``dask.distributed.Client().get_executor()``; its workers
            are processes that can import this library. None computes as ``run`` says.
    Raises:
        WeedoutError: an argument, a method, the data, the backend or the run folder are refused, before anything is
            written; an arm or a worker failed, or a file cannot be written later.
        KeyboardInterrupt: the user interrupted; it says what is kept.
    """
    if run.coordinator is not None:  # JAX would abort the caller's process where another one is lost
        raise ConfigError(
            f"a coordinator is for the command weedout judge, on each host; got {run.coordinator!r}. Leave it out here."
        )
    several = methods if isinstance(methods, Sequence) and not isinstance(methods, str | Arm) else (methods,)
    config, functions = with_functions(config, model, dataset)
    options, err = JudgeOptions(tuple(several), judging, run, config), Console(stderr=True)
    return carried_out(prepared(options, err, functions), (), err, executor)


def run_judge(options: JudgeOptions, arguments: Sequence[str], out: Console, err: Console) -> int:
    """Judge methods, print what the run says, and return the exit code, 0.

    Args:
        options: the options, from ``parse``.
        arguments: the command line, which is recorded.
        out: the console for the sentences.
        err: the console for progress and warnings.
    Raises:
        WeedoutError: as :func:`judge`.
        KeyboardInterrupt: as :func:`judge`.
    """
    with options_named(JudgeConfig):
        judgement = carried_out(prepared(options, err), arguments, err)
    _print(judgement, options.judging, out)
    return 0


class Prepared(NamedTuple):
    """A judgement: its data and backend, its experiment, the rules of it, and what is to be said before it begins."""

    run: RunOptions
    loaded: Loaded
    experiment: Experiment
    rules: Rules
    notes: tuple[str, ...]


def prepared(
    options: JudgeOptions,
    err: Console,
    functions: Mapping[str, Function] = {},
    read: Callable[..., Dataset] = load_dataset,
) -> Prepared:
    """Load what a judgement needs, and make its experiment. Functions and ``read`` are as for ``load``.

    Raises:
        WeedoutError: the methods, the data, the network or the backend are refused.
    """
    options = options._replace(config=with_own(options.config))
    with warnings_said(err):
        loaded = load(options.config, options.run, err, functions, read)
    net = network(options.config, loaded.dataset, loaded.model)
    experiment, methods = judged(options.methods, options.config, options.judging, net)
    judging, experiment = options.judging, experiment._replace(model=loaded.model)
    rules = Rules(methods, judging.baseline, experiment.looks, judging.margin, judging.family)
    notes = cautions(rules.looks[0], rules.margin, len(loaded.dataset.test.y))
    return Prepared(options.run, loaded, experiment, rules, tuple(notes))


def carried_out(work: Prepared, arguments: Sequence[str], err: Console, executor: Executor | None = None) -> Judgement:
    """Begin a judgement in its folder or continue it there, until everything is decided. Arguments as elsewhere here.

    Raises:
        WeedoutError, KeyboardInterrupt: as :func:`judge`.
    """
    with opened(work.experiment, work.run, work.loaded, arguments, err, executor) as running:
        for sentence in work.notes:
            warn(err, sentence)
        return _judgement(running, _until_decided(running, work.rules))


def _until_decided(running: Running, rules: Rules) -> Decision:
    """Compute look by look, and stop at the first at which everything is decided."""
    decisions: list[Decision] = []
    for look in rules.looks:
        run_missing(running, [group for group in running.folder.groups if group.end <= look])
        running.folder.assemble()  # a process may have been killed between a commit and the tables
        decisions.append(look_at(running.folder.rows("results.csv", ResultRow), rules, look))
        rows = [row for decision in decisions for row in verdict_rows(decision)]
        write_file(running.folder.path / "verdict.csv", to_csv(VerdictRow, rows).encode())
        if decisions[-1].next_look is None:
            break
        undecided = sum(finding.verdict == "undecided" for finding in decisions[-1].findings)
        write_line(
            running.err, f"look at {look} repeats: {undecided} of {len(decisions[-1].findings)} comparisons undecided"
        )
    return decisions[-1]


def _judgement(running: Running, decision: Decision) -> Judgement:
    folder, config = running.folder, running.experiment.config
    if curves := folder.rows("curves.csv", CurveRow):
        write_file(folder.path / "figure2.png", figure2(config, curves))
    results, left_out = folder.rows("results.csv", ResultRow), folder.rows("left_out.csv", LeftOutRow)
    verdicts = verdict_rows(decision)
    scope = scope_of(config, folder.record.identity, verdicts)
    found = [mean for mean in paired_means(results, left_out, verdicts, scope) if mean.check]
    thresholds, timings = folder.rows("thresholds.csv", ThresholdRow), folder.rows("timings.csv", TimingRow)
    return Judgement(decision, tuple(found), tuple(results), tuple(thresholds), tuple(timings), folder.path)


def _print(judgement: Judgement, judging: JudgeConfig, out: Console) -> None:
    for finding in judgement.decision.findings:
        write_line(out, finding.sentence)
    write_line(out, confidence(judgement.decision.alpha))
    write_line(out, _ended(judging, judgement.decision))
    if judgement.checks:
        out.print(checks_table(judgement.checks))
    rated = judgement.thresholds
    for sentence in (diverged_cells(judgement.results), drawn_among_equals(rated), near_thresholds(rated)):
        if sentence is not None:
            write_line(out, sentence)
    write_line(out, f"{timing_line(judgement.timings)}.")
    write_line(out, f"{judgement.folder}: every comparison in verdict.csv, every cell in results.csv.")
    write_line(out, how_to_report(judgement.folder))


def _ended(judging: JudgeConfig, decision: Decision) -> str:
    """How far the run went, and what its sentences promise."""
    comparisons = f"{len(decision.findings)} comparison{'s' if len(decision.findings) > 1 else ''}"
    where = f"{decision.look} of at most {judging.repeats[-1]} repeats"
    state = "all are decided" if decision.decided else "what is undecided stays so: this was the last look"
    return (
        f"{comparisons} with {judging.baseline} after {where}; {state}. If differences are normal, all sentences"
        f"{of_family(judging.family)} are right together with probability at least 95 %. They speak of other initial "
        "weights and orders of this data."
    )
