"""Runs that diverge: counted and shown, in the rows, the table, the figure and the progress, and never averaged."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console

import weedout_core as wc
from tests.conformance.connected import connected
from weedout_core.lab.commands.progress import describe
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.events import EpochTrained
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.rows import CurveRow, ResultRow, from_csv, to_csv
from weedout_core.lab.report.figures import figure2
from weedout_core.lab.report.sentences import diverged_cells
from weedout_core.lab.report.tables import compare, results_table

CONFIG = ExperimentConfig(sparsity=(0.0, 0.8), repeats=3, train=wc.TrainConfig(epochs=6))
ARMS = ("weedout", "control")
NAN = math.nan
Cell = tuple[str, int]


def result(sparsity: float, arm: str, repeat: int, diverged: bool) -> ResultRow:
    train, test = (NAN, NAN) if diverged else (1.0, 0.8 + repeat / 100 + (arm == "weedout") / 50)
    return ResultRow(
        sparsity, arm, repeat, 0, 3, -2.0, -2.25, sparsity, 10, 5, 8, 4, train, train, test, test, 500, "generations",
        300,
    )  # fmt: skip


def results(diverged: set[Cell], repeats: int = 3) -> list[ResultRow]:
    """Of both sparsities, of which the higher has cells that diverged."""
    return [
        result(sparsity, arm, repeat, sparsity > 0 and (arm, repeat) in diverged)
        for sparsity, arm, repeat in product((0.0, 0.8), ARMS, range(repeats))
    ]


def curves(begin: dict[Cell, int]) -> list[CurveRow]:
    """Six epochs, of which at sparsity 0.8 a cell diverged from one on."""
    rows = [
        CurveRow(sparsity, arm, repeat, epoch, 0.1, 1 - 0.5 / epoch, 1 - 0.6 / epoch - 0.01 * repeat, 0)
        for sparsity, arm, repeat, epoch in product((0.0, 0.8), ARMS, range(3), range(1, 7))
    ]
    lost = {"loss": NAN, "train_accuracy": NAN, "test_accuracy": NAN, "not_finite": 4}
    return [
        row._replace(**lost) if row.sparsity and row.epoch >= begin.get((row.arm, row.repeat), 7) else row
        for row in rows
    ]


SOME: set[Cell] = {("weedout", 1), ("control", 1), ("control", 2)}
ALL: set[Cell] = set(product(ARMS, range(3)))


def text_of(config: ExperimentConfig, rows: list[ResultRow]) -> str:
    written = io.StringIO()
    Console(file=written, width=80).print(results_table(config, rows))
    return written.getvalue()


# The table


@pytest.mark.parametrize("interval", ["student_t", "normal", "bootstrap"])
def test_what_diverged_is_in_no_mean(interval: Any) -> None:
    config = replace(CONFIG, interval=interval)
    found = compare(config, results(SOME))[1]
    assert (found.first.runs, found.first.diverged) == (3, 1)
    assert (found.second.runs, found.second.diverged) == (3, 2)
    assert found.first.interval is not None
    assert found.second.interval is not None
    assert found.first.interval.mean == pytest.approx((0.82 + 0.84) / 2)
    assert found.second.interval.mean == 0.8
    assert found.difference is not None
    assert found.difference.interval is not None
    assert (found.difference.runs, found.difference.diverged) == (3, 2), "the only pair without a divergence"
    assert found.difference.interval.mean == pytest.approx(0.02)


def test_the_difference_is_over_the_pairs_in_which_neither_diverged() -> None:
    found = compare(CONFIG, results({("weedout", 0), ("control", 2)}))[1].difference
    assert found is not None
    assert (found.runs, found.diverged) == (3, 2)


def test_the_table_says_how_many_diverged() -> None:
    text = text_of(CONFIG, results(SOME))
    lines = text.splitlines()
    place = next(number for number, line in enumerate(lines) if line.strip().startswith("0.8"))
    assert lines[place].split() == [
        *("0.8", "80.00", "±", "–", "83.00", "±", "12.71", "+2.00", "[–]", "-2.0000", "-2.2500")
    ]
    assert " ".join(lines[place + 1].split()) == "2 of 3 diverged 1 of 3 diverged over 1 of 3 pairs"
    assert "nan" not in text
    assert text.count("diverged") == 2, "where none diverged there is nothing to say"


def test_where_all_diverged_there_is_no_number() -> None:
    text = text_of(CONFIG, results(ALL))
    line = next(line for line in text.splitlines() if line.strip().startswith("0.8"))
    assert " ".join(line.split()) == "0.8 all 3 diverged all 3 diverged over 0 of 3 pairs -2.0000 -2.2500"
    found = compare(CONFIG, results(ALL))[1]
    assert found.first.interval is found.second.interval is None
    assert found.difference is not None
    assert found.difference.interval is None


@pytest.mark.parametrize("repeats", [1, 3, 10, 100])
@pytest.mark.parametrize("which", ["some", "all"])
def test_the_table_fits_a_terminal(repeats: int, which: str) -> None:
    diverged = {(arm, repeat) for arm in ARMS for repeat in range(repeats) if which == "all" or repeat % 3 == 1}
    text = text_of(replace(CONFIG, repeats=repeats), results(diverged, repeats))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_a_sentence_names_the_cells_and_says_what_to_do() -> None:
    assert diverged_cells(results(set())) is None
    assert diverged_cells(results({("control", 2)})) == (
        "1 of 12 trainings diverged: a loss, a logit, a weight or a statistic became NaN or infinite. These enter no "
        "mean. Lower --learning-rate (control sparsity 0.8 repeat 2; see nan in results.csv)."
    )
    sentence = diverged_cells(results(ALL))
    assert sentence is not None
    assert sentence.startswith("6 of 12 trainings diverged: ")
    assert (
        "(weedout sparsity 0.8 repeat 0, weedout sparsity 0.8 repeat 1, weedout sparsity 0.8 repeat 2, …;" in sentence
    )


# The rows


def test_rows_that_diverged_are_read_back() -> None:
    rows = results(SOME)
    again = from_csv(ResultRow, to_csv(ResultRow, rows), "")
    np.testing.assert_equal(again, rows)
    assert [row.diverged for row in again] == [row.sparsity > 0 and (row.arm, row.repeat) in SOME for row in rows]
    epochs = curves({("weedout", 0): 3})
    np.testing.assert_equal(from_csv(CurveRow, to_csv(CurveRow, epochs), ""), epochs)
    assert [row.epoch for row in epochs if row.diverged] == [3, 4, 5, 6]


# The figure


class Drawn(list[tuple[list[float], list[float], Any]]):
    """What was plotted: epochs, values and the mark."""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Drawn:
    found, plot = Drawn(), Axes.plot

    def note(panel: Axes, x: Any, y: Any, *args: Any, **options: Any) -> Any:
        found.append((list(x), list(y), args[0] if args else None))
        return plot(panel, x, y, *args, **options)

    monkeypatch.setattr(Axes, "plot", note)
    return found


def test_curves_are_means_over_what_is_finite_and_crosses_say_what_is_not(drawn: Drawn) -> None:
    rows = curves({("weedout", 1): 3, ("weedout", 2): 5, **{("control", repeat): 4 for repeat in range(3)}})
    assert figure2(CONFIG, rows).startswith(b"\x89PNG")
    lines = [(x, y) for x, y, mark in drawn if mark is None]
    crosses = [x for x, _, mark in drawn if mark == "x"]
    assert crosses == [[], [], [3, 5], [4, 4, 4]] * 2, "of each panel, sparsity and arm: where each run diverged"
    weedout, control = lines[6], lines[7]  # of the test panel, at sparsity 0.8
    assert weedout[0] == [1, 2, 3, 4, 5, 6]
    offsets = [0.01, 0.01, 0.01, 0.01, 0.0, 0.0]  # runs 0, 1, 2, then 0 and 2, then 0 alone
    assert weedout[1] == pytest.approx([100 * (1 - 0.6 / e - off) for e, off in zip(range(1, 7), offsets, strict=True)])
    assert control[0] == [1, 2, 3], "from epoch 4 on there is none"


@pytest.mark.parametrize("epochs", [1, 6])
def test_where_all_diverged_the_figure_says_so(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    text, legend = Axes.text, Figure.legend
    monkeypatch.setattr(Axes, "text", lambda panel, x, y, s, **rest: (said.append(s), text(panel, x, y, s, **rest))[1])

    def note(figure: Figure, handles: Any, **rest: Any) -> Any:
        said.extend(handle.get_label() for handle in handles)
        return legend(figure, handles=handles, **rest)

    monkeypatch.setattr(Figure, "legend", note)
    begin = dict.fromkeys(ALL, 1)
    rows = [row for row in curves(begin) if row.sparsity and row.epoch <= epochs]
    assert figure2(CONFIG, rows).startswith(b"\x89PNG")
    assert said.count("all runs diverged") == 2, "in both panels"
    assert "diverged (6 runs)" in said


def test_a_figure_without_divergence_has_no_word_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    legend = Figure.legend

    def note(figure: Figure, handles: Any, **rest: Any) -> Any:
        labels.extend(handle.get_label() for handle in handles)
        return legend(figure, handles=handles, **rest)

    monkeypatch.setattr(Figure, "legend", note)
    figure2(CONFIG, curves({}))
    assert labels == ["sparsity 0", "sparsity 0.8", "weedout", "control"]


# Progress


def test_progress_shows_divergence_while_it_happens() -> None:
    fine, hidden = wc.Epoch(2, 0.5, 0.5, 0.25, 0), wc.Epoch(2, 0.5, 0.5, NAN, 0)
    lost = wc.Epoch(2, NAN, NAN, NAN, 3)

    def line(*epochs: wc.Epoch) -> str:
        return describe(CONFIG, EpochTrained(Group(0.8, 0, 3), epochs, 0, len(epochs)))

    assert line(fine, fine) == "sparsity 0.8 · epoch 2/6 · train 50.00 % · test 25.00 %"
    assert line(fine, lost) == "sparsity 0.8 · epoch 2/6 · train 50.00 % · test 25.00 % · 1 of 2 diverged"
    assert line(lost, hidden) == "sparsity 0.8 · epoch 2/6 · train 50.00 % · test nan · 2 of 2 diverged"
    assert line(lost) == "sparsity 0.8 · epoch 2/6 · train nan · test nan · 1 of 1 diverged"


# The command


@pytest.mark.parametrize("backend", ["numpy", "jax", "torch"])
@pytest.mark.slow
def test_a_run_that_diverges_is_no_finding(
    weedout: Callable[..., int], small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    connected(backend)
    assert weedout(*small[:-1], backend, "--learning-rate", "1e25", "--out", "run") == 0
    out, err = capsys.readouterr()
    assert "± 0.00" not in out
    assert "+0.00" not in out
    assert out.count("all 2 diverged") == 4
    assert "over 0 of 2 pairs" in out
    assert "8 of 8 trainings diverged: " in out.replace("\n", " ")
    assert "Lower --learning-rate" in out
    assert "· test nan · 2 of 2 diverged" in err
    rows = from_csv(ResultRow, (tmp_path / "run" / "results.csv").read_text(), "")
    assert len(rows) == 8
    for row in rows:
        assert row.diverged
        assert np.isnan([row.train_accuracy, row.train_loss, row.test_accuracy, row.test_loss]).all()
        assert row.fitness is not None
        assert math.isfinite(row.fitness), "the search before it is what it was"
    epochs = from_csv(CurveRow, (tmp_path / "run" / "curves.csv").read_text(), "")
    assert all(row.not_finite > 0 for row in epochs if row.epoch == 2)
    assert weedout(*small[:-1], backend, "--learning-rate", "1e25", "--out", "run") == 0, "its tables are read back"
    assert capsys.readouterr().out.count("all 2 diverged") == 4


@pytest.mark.slow
def test_only_the_cells_that_diverge_are_lost(
    weedout: Callable[..., int], small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One network's losses become NaN; every row of each other network is what it is without."""
    small = [*small, "--together", "4"]  # of a group of both repeats
    assert weedout(*small, "--out", "whole") == 0
    connect, folder = wc.load_backend, tmp_path / "run"

    def load_backend(*args: Any, **options: Any) -> wc.backend.Backend:
        backend = connect(*args, **options)

        def train_epoch(*args: Any) -> Any:
            state, result = backend.train_epoch(*args)
            loss = np.array(result.loss)
            loss[1, -1] = NAN
            return state, result._replace(loss=loss)

        return replace(backend, train_epoch=train_epoch)

    monkeypatch.setattr("weedout_core.lab.commands.running.load_backend", load_backend)
    capsys.readouterr()
    assert weedout(*small, "--out", "run") == 0
    out = capsys.readouterr().out
    assert "1 of 2 diverged" in out
    assert "over 1 of 2 pairs" in out
    assert "2 of 8 trainings diverged" in out
    found, whole = (
        from_csv(ResultRow, (path / "results.csv").read_text(), "") for path in (folder, tmp_path / "whole")
    )
    for row, wanted in zip(found, whole, strict=True):
        if (row.arm, row.repeat) == ("weedout", 1):
            assert row.diverged, "its weights and logits are finite, and its training is none"
        else:
            assert row == wanted
