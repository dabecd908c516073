"""``weedout paper``: everything is checked first, then groups are computed and saved, then the table is printed."""

from collections.abc import Sequence

from rich.console import Console

from weedout_core.lab.arms.paper import paper
from weedout_core.lab.commands.computing import run_missing
from weedout_core.lab.commands.options import PaperOptions
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.commands.running import how_to_report, load, opened
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.own_functions import with_own
from weedout_core.lab.experiment.rows import CurveRow, ResultRow, SearchRow, TimingRow
from weedout_core.lab.experiment.timings import timing_line
from weedout_core.lab.files import write_file
from weedout_core.lab.report.figures import figure2
from weedout_core.lab.report.sentences import close_calls, diverged_cells
from weedout_core.lab.report.tables import results_table
from weedout_core.lab.run.run_folder import RunFolder


def run_paper(options: PaperOptions, arguments: Sequence[str], out: Console, err: Console) -> int:
    """Run the experiment, or the groups of it that are not done.

    Args:
        options: the options, from ``parse``.
        arguments: the command line, which is recorded.
        out: the console for the table.
        err: the console for progress and warnings.
    Returns:
        the exit code: 0.
    Raises:
        WeedoutError: the options, the data, the backend or the run folder are refused, before anything is written; or
            a file cannot be written later.
        KeyboardInterrupt: the user interrupted; it says what is kept.
    """
    config = with_own(options.config)
    loaded = load(config, options.run, err)
    experiment = Experiment(config, paper(config.control), (config.repeats,), model=loaded.model)
    with opened(experiment, options.run, loaded, arguments, err) as running:
        run_missing(running, running.folder.groups)
        _finish(config, running.folder, out)
    return 0


def _finish(config: ExperimentConfig, folder: RunFolder, out: Console) -> None:
    """Write all files, then print, so that a failure to print leaves no file unwritten."""
    folder.assemble()  # a process may have been killed between a commit and the tables
    results, curves = folder.rows("results.csv", ResultRow), folder.rows("curves.csv", CurveRow)
    searches, timings = folder.rows("search.csv", SearchRow), folder.rows("timings.csv", TimingRow)
    if curves:
        write_file(folder.path / "figure2.png", figure2(config, curves))
    out.print(results_table(config, results))
    for sentence in (diverged_cells(results), close_calls(config, searches, results)):
        if sentence is not None:
            write_line(out, sentence)
    figure = "Figure 2 in figure2.png" if curves else "no figure, because no epoch was trained"
    if timings:
        write_line(out, f"{timing_line(timings)}.")
    write_line(out, f"{folder.path}: every cell in results.csv, {figure}.")
    write_line(out, how_to_report(folder.path))
