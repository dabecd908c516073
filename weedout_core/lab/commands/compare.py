"""``weedout compare``: one page of several runs, which may be other processes', side by side."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from weedout_core.errors import RunError
from weedout_core.lab.commands.checked_run import source_of
from weedout_core.lab.commands.options import CompareOptions
from weedout_core.lab.commands.pages import Place, check_own, write_report
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.experiment.names import named
from weedout_core.lab.files import real
from weedout_core.lab.report.compared import Run
from weedout_core.lab.report.compared_sections import PAGE, comparison, mark_of
from weedout_core.lab.streams import printable


def run_compare(options: CompareOptions, out: Console) -> int:
    """Write the comparison of runs, finished or not, and say its sentences. The runs' own folders stay as they are.

    Args:
        options: the options, from ``parse``.
        out: the console for the sentences and for what was written.
    Returns:
        the exit code, 0.
    Raises:
        RunError: there is one run only or one twice, a folder holds no run, two runs have no sparsity in common, a
            file is damaged, or the comparison cannot be written.
    """
    _check_folders(options.runs)
    names = short_names(options.runs)
    runs = [Run(name, source_of(path)) for name, path in zip(names, options.runs, strict=True)]
    _check_common(runs)
    place = Place(options.out, PAGE, "")
    _check_outside(options.out, options.runs)
    check_own(place, mark_of(runs), "the comparison of these runs")
    made, sentences = comparison(runs)
    write_report(place, made)
    for sentence in sentences:
        write_line(out, sentence)
    write_line(out, f"{options.out / PAGE}: the page, with figures and numbers beside it.")
    return 0


def short_names(paths: Sequence[Path]) -> list[str]:
    """The names of folders, or their paths where two have the same name. What cannot be shown is escaped."""
    names = [real(path).name for path in paths]
    times = Counter(names)
    return [printable(name if times[name] == 1 else str(path)) for name, path in zip(names, paths, strict=True)]


def _check_folders(paths: Sequence[Path]) -> None:
    if len(paths) < 2:
        raise RunError(
            f"compare needs the folders of two or more runs; got {len(paths)}. Name another; weedout report makes a "
            "page of one."
        )
    seen: dict[Path, Path] = {}
    for path in paths:
        before = seen.setdefault(real(path), path)
        if before is not path:
            raise RunError(f"compare needs different runs; {path} and {before} are one folder. Name it once.")


def _check_common(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if not {*first.source.config.sparsity} & {*run.source.config.sparsity}:
            has = [" ".join(map(named, one.source.config.sparsity)) for one in (first, run)]
            raise RunError(
                f"{first.name} and {run.name} must have a sparsity in common; they have {has[0]} and {has[1]}. Compare "
                "runs that share one."
            )


def _check_outside(folder: Path, runs: Sequence[Path]) -> None:
    for run in runs:
        if real(folder).is_relative_to(real(run)):
            raise RunError(f"{folder} is in the folder of the run {run}. Choose another folder with --out.")
