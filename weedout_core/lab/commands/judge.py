"""``weedout judge``: methods against the baseline, look by look, until every comparison is decided."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from weedout_core.lab.arms.judged import judged
from weedout_core.lab.commands.options import JudgeOptions
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.commands.running import INTERRUPTED, Running, interrupted, load, opened, run_missing
from weedout_core.lab.experiment.configuration import network
from weedout_core.lab.experiment.rows import CurveRow, LeftOutRow, ResultRow, TimingRow, VerdictRow, to_csv
from weedout_core.lab.experiment.timings import timing_line
from weedout_core.lab.files import write_file
from weedout_core.lab.report.figures import figure2
from weedout_core.lab.report.findings import Rules, checks, checks_table, look_at, verdict_rows
from weedout_core.lab.report.sentences import diverged_cells
from weedout_core.lab.verdict.decisions import Decision


class Judgement(NamedTuple):
    """What a judged run says.

    Attributes:
        decision: at the last look that was taken.
        folder: the run's folder.
    """

    decision: Decision
    folder: Path


def run_judge(options: JudgeOptions, arguments: Sequence[str], out: Console, err: Console) -> int:
    """Judge methods, or go on where the run was interrupted.

    Args:
        options: the options, from ``parse``.
        arguments: the command line, which is recorded.
        out: the console for the sentences.
        err: the console for progress and warnings.
    Returns:
        the exit code: 0, or 130 if the user interrupted.
    Raises:
        WeedoutError: as :func:`judge_methods`.
    """
    return INTERRUPTED if judge_methods(options, arguments, out, err) is None else 0


def judge_methods(options: JudgeOptions, arguments: Sequence[str], out: Console, err: Console) -> Judgement | None:
    """Judge methods. Returns None if the user interrupted.

    Raises:
        WeedoutError: the options, a method, the data, the backend or the run folder are refused, before anything is
            written; an arm failed, or a file cannot be written later.
    """
    loaded = load(options.config, options.run)
    net = network(options.config, loaded.dataset)
    experiment, methods = judged(options.methods, options.config, options.judging, net)
    rules = Rules(methods, options.judging.baseline, experiment.looks, options.judging.margin)
    with opened(experiment, options.run, loaded, arguments, err) as running:
        try:
            decision = _until_decided(running, rules)
            _finish(running, rules, decision, out)
        except KeyboardInterrupt:
            interrupted(running)
            return None
        return Judgement(decision, running.folder.path)


def _until_decided(running: Running, rules: Rules) -> Decision:
    """Compute look by look, and stop at the first at which everything is decided."""
    decisions: list[Decision] = []
    for look in rules.looks:
        run_missing(running, [group for group in running.experiment.groups if group.end <= look])
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


def _finish(running: Running, rules: Rules, decision: Decision, out: Console) -> None:
    """Write all files, then print, so that a failure to print leaves no file unwritten."""
    folder = running.folder
    results, curves = folder.rows("results.csv", ResultRow), folder.rows("curves.csv", CurveRow)
    if curves:
        write_file(folder.path / "figure2.png", figure2(running.experiment.config, curves))
    for finding in decision.findings:
        write_line(out, finding.sentence)
    write_line(out, _ended(rules, decision))
    arms = [arm.name for arm in running.experiment.arms]
    if found := checks(results, folder.rows("left_out.csv", LeftOutRow), rules, arms):
        out.print(checks_table(found))
    if (sentence := diverged_cells(results)) is not None:
        write_line(out, sentence)
    write_line(out, f"{timing_line(folder.rows('timings.csv', TimingRow))}.")
    write_line(out, f"{folder.path}: every comparison in verdict.csv, every cell in results.csv.")


def _ended(rules: Rules, decision: Decision) -> str:
    """How far the run went, and what its sentences promise."""
    comparisons = f"{len(decision.findings)} comparison{'s' if len(decision.findings) > 1 else ''}"
    where = f"{decision.look} of at most {rules.looks[-1]} repeats"
    state = "all are decided" if decision.decided else "what is undecided stays so: this was the last look"
    return (
        f"{comparisons} with {rules.baseline} after {where}; {state}. If differences are normal, all sentences are "
        "right together with probability at least 95 %. They speak of other initial weights and orders of this data."
    )
