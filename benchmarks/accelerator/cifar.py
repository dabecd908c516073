"""WRN-16-4 with channel masks on CIFAR-10, at 0 and 80 % sparsity, for as many epochs as there is time."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.digits import paper
from weedout_core.lab.experiment.rows import ResultRow, TimingRow, from_csv

#: The folder with CIFAR-10's files, or a part of their records.
DATA = "WEEDOUT_DATA_DIR"

_MOST = 200  # epochs
_KEPT_FREE = 0.2  # of the time that is left: compilation again, evaluation, and the search, which differ a little

_EXPERIMENT = (
    "--dataset cifar10 --network wrn-16-4 --granularity channel --repeats 1 --population 20 --generations 2 "
    "--validation-batch 256 --batch-size 128 --learning-rate 0.1 --backend jax"
)
_LARGE = "--sparsity 0 0.8"
_SMALL = "--network vgg-2 --sparsity 0.8 --population 2 --validation-batch 16 --batch-size 16 --batch-norm-group 16"


def run(asked: Asked) -> None:
    """An epoch, by which the number of epochs is decided; then the experiment, its compiled programs at hand."""
    if DATA not in os.environ:
        asked.notes.line("CIFAR-10 was not carried along (--data-dir): it was not trained on.")
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*_EXPERIMENT.split(), *(_SMALL if asked.quick else _LARGE).split()]
        arguments += ["--data-dir", os.environ[DATA], "--cache", str(Path(folder, "programs"))]
        one, whole = Path(folder, "one"), Path(folder, "whole")
        paper(one, [*arguments, "--epochs", "1"])
        epochs = 2 if asked.quick else epochs_that_fit(_timings(one), asked.left)
        asked.say(f"{epochs} epochs fit")
        paper(whole, [*arguments, "--epochs", str(epochs)])
        table = f"WRN-16-4, channel masks, on CIFAR-10: {epochs} epochs on jax"
        for row in from_csv(ResultRow, (whole / "results.csv").read_text(encoding="utf-8"), "results.csv"):
            accuracies = {"train accuracy, %": 100 * row.train_accuracy, "test accuracy, %": 100 * row.test_accuracy}
            asked.notes.row(table, f"η = {row.sparsity:g}, {row.arm}", accuracies)
        for row in _timings(whole):
            asked.say(f"{row.phase} at {row.sparsity:g}: {row.seconds:.1f} s")


def epochs_that_fit(rows: Sequence[TimingRow], left: float) -> int:
    """How many epochs end before the time does, by what a run of one epoch took without compiling; at least 1."""
    running = [(row.phase, row.seconds - (row.compile_seconds or 0.0)) for row in rows]
    epoch = sum(seconds for phase, seconds in running if phase == "train")
    other = sum(seconds for phase, seconds in running if phase != "train")
    return max(1, min(_MOST, int(((1 - _KEPT_FREE) * left - other) / max(epoch, 1e-3))))


def _timings(folder: Path) -> list[TimingRow]:
    return from_csv(TimingRow, (folder / "timings.csv").read_text(encoding="utf-8"), "timings.csv")
