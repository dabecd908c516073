"""``weedout report``: one page, its figures and its tables from a run folder, which may be another process's."""

import os
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from weedout_core.errors import RunError
from weedout_core.lab.commands.options import ReportOptions
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.files import make_folder, read_file, write_file
from weedout_core.lab.report.page import BESIDE, PAGE, report
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.reading import read_run


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
    run = read_run(options.run)
    made = report(Source(*run), _link(folder, options.run))
    beside = folder / BESIDE
    _check_own(folder, options.run, run.record["digest"])
    make_folder(beside)
    for name, content in made.beside.items():
        write_file(beside / name, content)
    write_file(folder / PAGE, made.page)
    groups = f"{len(run.done)} of {len(run.planned)} groups"
    write_line(out, f"{folder / PAGE}: {groups}; figures and numbers in {beside}.")
    return 0


def _check_own(folder: Path, run: Path, digest: str) -> None:
    """Raise RunError if a folder holds another run or its report, or leads elsewhere by a link."""
    page, beside = folder / PAGE, folder / BESIDE
    if beside.is_symlink() or (beside.exists() and not beside.is_dir()):
        raise RunError(f"{beside} must be a folder, and no link. Remove it, or choose another with --out.")
    if (folder / "config.json").exists() and folder.resolve() != run.resolve():
        raise RunError(f"{folder} holds another run than {run}. Choose another folder with --out.")
    if page.exists() and digest.encode() not in read_file(page):
        raise RunError(f"{page} is not the report of {run}. Choose another folder with --out.")


def _link(folder: Path, run: Path) -> str:
    """How a page in a folder links to that of a run."""
    if folder.resolve() == run.resolve():
        return ""
    try:
        return f"{quote(os.path.relpath(run.resolve(), folder.resolve()).replace(os.sep, '/'))}/"
    except ValueError:  # on another drive
        return f"{run.resolve().as_uri()}/"
