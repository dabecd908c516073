"""``weedout paper``: everything is checked first, then groups are computed and saved, then the table is printed."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from weedout_core import Network, load_backend, mask_plan, mask_space
from weedout_core.backend import Backend
from weedout_core.errors import ConfigError, RunError, WeedoutWarning
from weedout_core.lab.commands.options import PaperOptions, RunOptions
from weedout_core.lab.commands.progress import progress, warn, warnings_said, write_line
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.experiment.configuration import Decided, ExperimentConfig, checked_network
from weedout_core.lab.experiment.events import Event
from weedout_core.lab.experiment.group import run_group
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import CurveRow, ResultRow, SearchRow, TimingRow
from weedout_core.lab.experiment.so_far import NOTHING
from weedout_core.lab.experiment.timings import Stopwatch, timing_line
from weedout_core.lab.files import write_file
from weedout_core.lab.report.figures import figure2
from weedout_core.lab.report.sentences import close_calls, diverged_cells
from weedout_core.lab.report.tables import results_table
from weedout_core.lab.run.checkpoints import Checkpoints, Pace
from weedout_core.lab.run.record import new_record
from weedout_core.lab.run.run_folder import RunFolder, open_run
from weedout_core.lab.streams import StreamError

INTERRUPTED = 130


def run_paper(options: PaperOptions, arguments: Sequence[str], out: Console, err: Console) -> int:
    """Run the experiment, or the groups of it that are not done.

    Args:
        options: the options, from ``parse``.
        arguments: the command line, which is recorded.
        out: the console for the table.
        err: the console for progress and warnings.
    Returns:
        the exit code: 0, or 130 if the user interrupted.
    Raises:
        WeedoutError: the options, the data, the backend or the run folder are refused, before anything is written; or
            a file cannot be written later.
    """
    config, run = options.config, options.run
    dataset = load_dataset(config.dataset, run.data_dir, config.train_examples, config.test_examples)
    options_of_backend = {} if run.cache is None else {"cache": run.cache}
    backend = load_backend(config.backend, config.device, config.devices, **options_of_backend)
    net = checked_network(config, dataset, backend)
    with warnings_said(err):
        _look_for_small_sites(config, net)
        record = new_record(config, dataset, net, backend, arguments, run.data_dir)
    path = run.out or Path("runs") / f"{config.dataset}-{record.digest[:12]}"
    with open_run(path, record, run.allow_other_versions) as folder:
        write_line(err, f"{path}: {len(folder.committed)} of {len(folder.sparsities)} groups done")
        if run.save_parameters and (sentence := _without_parameters(folder)):
            warn(err, sentence)
        try:
            _run_groups(config, run, dataset, backend, folder, err)
            _finish(config, folder, out)
        except KeyboardInterrupt:
            kept = f"{len(folder.committed)} of {len(folder.sparsities)} groups are kept in {path}"
            write_line(err, f"weedout: interrupted; {kept}, and the same command continues.")
            return INTERRUPTED
    return 0


def _look_for_small_sites(config: ExperimentConfig, net: Network) -> None:
    """Warn if a sparsity would remove the last node of a site."""
    for sparsity in config.sparsity:
        mask_plan(mask_space(net), sparsity, config.search.sampling)


def _without_parameters(folder: RunFolder) -> str | None:
    """A sentence on the groups that are done and whose weights were not kept; None if there are none."""
    missing = folder.without_parameters
    if not missing:
        return None
    return (
        f"sparsity {', '.join(map(named, missing))} was computed without --save-parameters, so its "
        "weights were not kept. To get them, give another --out, where everything is computed again."
    )


def _run_groups(
    config: ExperimentConfig, run: RunOptions, dataset: Dataset, backend: Backend, folder: RunFolder, err: Console
) -> None:
    missing = [sparsity for sparsity in folder.sparsities if sparsity not in folder.committed]
    together = {group["sparsity"]: group["trained_together"] for group in folder.record.groups}
    with progress(config, len(missing), err) as draw, warnings.catch_warnings():
        warnings.simplefilter("ignore", WeedoutWarning)  # already written before the first group
        for sparsity in missing:
            stopwatch = Stopwatch(time.perf_counter, backend.compile_seconds)

            def on_event(event: Event, stopwatch: Stopwatch = stopwatch) -> None:
                stopwatch(event)
                draw(event)

            kept = Checkpoints(
                folder.checkpoints(sparsity),
                folder.record.digest,
                Pace(run.checkpoint_minutes, run.checkpoint_epochs),
                lambda sentence: warn(err, sentence),
            )
            decided, resume = Decided(folder.record.chunk, together[sparsity]), kept.latest()
            try:
                group = run_group(config, decided, sparsity, dataset, backend, on_event, resume, kept.offer)
            except (KeyboardInterrupt, StreamError):
                kept.flush()
                raise
            except ConfigError as error:
                if resume is NOTHING:
                    raise
                # Other versions of a library may draw initial weights that differ in the last bits.
                raise RunError(
                    f"{kept.path} holds another training: {error} Delete that folder, and the same command computes "
                    "this sparsity again."
                ) from error
            folder.commit(group, stopwatch.rows, run.save_parameters)


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
