"""``weedout sweep``: a judgement at each point of a grid, one after another, and one page of all."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from weedout_core.lab.arms.judged import JudgeConfig
from weedout_core.lab.commands.amounts import evaluations
from weedout_core.lab.commands.fields import options_named
from weedout_core.lab.commands.judge import Prepared, carried_out, prepared
from weedout_core.lab.commands.options import Point, SweepOptions
from weedout_core.lab.commands.pages import Place, write_report
from weedout_core.lab.commands.progress import warn, write_line
from weedout_core.lab.commands.report import reported
from weedout_core.lab.commands.running import checked
from weedout_core.lab.data.datasets import load_dataset
from weedout_core.lab.report.swept import Swept
from weedout_core.lab.report.swept_sections import PAGE, sweep_page
from weedout_core.lab.report.texts import count
from weedout_core.lab.run.record import Record
from weedout_core.lab.run.sweep_folder import open_sweep, sweep_record


class _Planned(NamedTuple):
    """A point that was checked: the folder of its run within that of the sweep, the judgement, and its record."""

    point: Point
    folder: str
    work: Prepared
    record: Record


def run_sweep(options: SweepOptions, arguments: Sequence[str], out: Console, err: Console) -> int:
    """Judge at each point, or at those that are not done, and print what the sweep says.

    Args:
        options: the options, from ``parse``.
        arguments: the command line, which is recorded.
        out: the console for the sentences.
        err: the console for progress and warnings.
    Returns:
        the exit code, 0.
    Raises:
        WeedoutError: a point or the folder is refused, before anything is written; or, later, as ``weedout judge``.
        KeyboardInterrupt: the user interrupted; it says what is kept.
    """
    with options_named(JudgeConfig):
        planned = _planned(options, err)
    record = sweep_record(
        {one.option: one.values for one in options.varied},
        {one.folder: one.record for one in planned},
        shlex.join(["weedout", *arguments]),
    )
    dataset = planned[0].work.experiment.config.dataset.replace(":", ".")
    path = options.out or Path("runs") / f"{dataset}-sweep-{record.digest[:12]}"
    allow = planned[0].work.run.allow_other_versions
    with open_sweep(path, record, {one.folder: one.record for one in planned}, allow):
        write_line(err, _amount(options, planned))
        for sentence in dict.fromkeys(note for one in planned for note in one.work.notes):
            warn(err, sentence)
        swept = [
            _swept(one, path, f"point {number} of {len(planned)}", err) for number, one in enumerate(planned, start=1)
        ]
        made, sentences = sweep_page(swept, record.digest)
        write_report(Place(path, PAGE, ""), made)
    for sentence in sentences:
        write_line(out, sentence)
    write_line(
        out, f"{path / PAGE}: the page, which links to the reports of the points; figures and numbers beside it."
    )
    return 0


def _planned(options: SweepOptions, err: Console) -> list[_Planned]:
    """Check all points, for which each dataset is read once."""
    read, quiet = cache(load_dataset), Console(quiet=True)  # what is checked now is said when the point begins
    planned: list[_Planned] = []
    for number, point in enumerate(options.points, start=1):
        work = prepared(point.options, err, read=read)
        _, record = checked(work.experiment, work.run, work.loaded, point.arguments, quiet)
        planned.append(_Planned(point, point.cell.folder(number), work, record))
    return planned


def _amount(options: SweepOptions, planned: Sequence[_Planned]) -> str:
    """A line on how much there is to be done, what is done already included."""
    experiments = [one.work.experiment for one in planned]
    cells = [len(one.config.sparsity) for one in experiments]
    least, most = (
        sum(len(one.arms) * cells * one.looks[look] for one, cells in zip(experiments, cells, strict=True))
        for look in (0, -1)
    )
    trained = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    searches = [(evaluations(one.config.search), one.looks[-1]) for one in experiments]
    scored = "as many candidates as patience allows"
    if all(each is not None for each, _ in searches):
        scored = f"at most {sum((each or 0) * looks * n for (each, looks), n in zip(searches, cells, strict=True)):,}"
        scored += " candidates to score"
    varied = " and ".join(f"{one.option} ({len(one.values)} values)" for one in options.varied)
    return f"sweep over {varied}: {count(len(planned), 'point')}, {trained} networks to train, {scored}"


def _swept(one: _Planned, path: Path, place: str, err: Console) -> Swept:
    """Judge at a point, and write its report."""
    folder = path / one.folder
    write_line(err, f"{place}: {one.point.cell}")
    work = one.work._replace(run=replace(one.work.run, out=folder), notes=())
    try:
        judgement = carried_out(work, (*one.point.arguments, "--out", str(folder)), err)
    except KeyboardInterrupt as error:
        error.args = (f"{place}, {one.point.cell}: {error}",)
        raise
    for finding in judgement.decision.findings:
        write_line(err, f"{one.point.cell}: {finding.sentence}")
    return Swept(one.point.cell.values, one.folder, reported(folder, folder))
