"""``weedout report``: one page, its figures and its tables from a run folder, which may be another process's."""

import os
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from weedout_core.lab.commands.checked_run import source_of
from weedout_core.lab.commands.options import ReportOptions
from weedout_core.lab.commands.pages import Place, check_own, write_report
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.files import real
from weedout_core.lab.report.run_page import BESIDE, PAGE, report
from weedout_core.lab.report.source import Source


def run_report(options: ReportOptions, out: Console) -> int:
    """Write the report of a run, finished or not. The run's own files stay as they are.

    Args:
        options: the options, from ``parse``.
        out: the console for what was written.
    Returns:
        the exit code, 0.
    Raises:
        RunError: the folder holds no run, a file of it is damaged, or the report cannot be written.
    """
    folder = options.run if options.out is None else options.out
    run = reported(options.run, folder)
    groups = f"{len(run.done)} of {len(run.planned)} groups"
    write_line(out, f"{folder / PAGE}: {groups}; figures and numbers in {folder / BESIDE}.")
    return 0


def reported(path: Path, folder: Path) -> Source:
    """Write the report of a run into a folder, and give the run. Raises RunError as :func:`run_report`."""
    run, place = source_of(path), Place(folder, PAGE, BESIDE)
    check_own(place, run.record["digest"], f"the report of {path}", path)
    write_report(place, report(run, _link(folder, path)))
    return run


def _link(folder: Path, run: Path) -> str:
    """How a page in a folder links to that of a run."""
    if real(folder) == real(run):
        return ""
    try:
        return f"{quote(os.path.relpath(real(run), real(folder)).replace(os.sep, '/'))}/"
    except ValueError:  # on another drive
        return f"{real(run).as_uri()}/"
