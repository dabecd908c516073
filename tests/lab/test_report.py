"""What a run shows: progress while it computes, the table and the figure at its end."""

import io
import math
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pytest
from rich.console import Console

import weedout_core as wc
from weedout_core.lab.arms.paper import paper
from weedout_core.lab.commands.progress import describe, progress, steps
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.events import (
    EpochTrained,
    Event,
    GenerationScored,
    GroupFinished,
    ModelStarted,
    PhaseStarted,
)
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.names import named
from weedout_core.lab.experiment.rows import CurveRow, ResultRow, SearchRow
from weedout_core.lab.experiment.thresholds import ThresholdRow
from weedout_core.lab.experiment.timings import Stopwatch, timing_line
from weedout_core.lab.report import figures
from weedout_core.lab.report.figures import figure2
from weedout_core.lab.report.sentences import (
    close_calls,
    confidence,
    diverged_cells,
    drawn_among_equals,
    near_thresholds,
)
from weedout_core.lab.report.tables import compare, results_table

CONFIG = ExperimentConfig(sparsity=(0.0, 0.8), repeats=3, train=wc.TrainConfig(epochs=10))
EXPERIMENT = Experiment(CONFIG, paper("member"), (3,))
GROUP = Group(0.8, 0, 3)


def result(sparsity: float, arm: str, repeat: int, test: float, fitness: float | None = -2.0) -> ResultRow:
    mean = None if fitness is None else -2.25
    return ResultRow(
        sparsity, arm, repeat, 0, 3, fitness, mean, sparsity, 10, 5, 8, 4, 1.0, 0.01, test, 0.2, 500, "generations", 300
    )


ROWS = [
    result(0.0, arm, repeat, test) for arm in ("weedout", "control") for repeat, test in enumerate((0.9, 0.92, 0.94))
] + [
    result(0.8, arm, repeat, test)
    for arm, tests in (("weedout", (0.82, 0.80, 0.81)), ("control", (0.80, 0.79, 0.81)))
    for repeat, test in enumerate(tests)
]


def text_of(config: ExperimentConfig, rows: list[ResultRow]) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(results_table(config, rows))
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_the_table_compares_the_arms() -> None:
    text = text_of(CONFIG, ROWS)
    line = next(line for line in text.splitlines() if line.strip().startswith("0.8"))
    # s = 0.01 for both arms: ± 4.302653 · 0.01/√3; the differences are 2, 1 and 0 points.
    assert line.split() == [
        *("0.8", "80.00", "±", "2.48", "81.00", "±", "2.48", "+1.00", "[-1.48,", "+3.48]", "-2.0000", "-2.2500")
    ]
    assert max(map(len, text.splitlines())) <= 80, "it fits a terminal of 80 columns"
    assert "…" not in text, "no number is cut off"
    assert "mean of 3 runs ± 95 % interval (Student t)" in text


def test_identical_arms_are_called_so_and_not_tested() -> None:
    comparison = compare(CONFIG, ROWS)[0]
    assert comparison.difference is None
    line = next(line for line in text_of(CONFIG, ROWS).splitlines() if line.strip().startswith("0 "))
    assert "identical by" in line
    own_weights = replace(CONFIG, search=wc.SearchConfig(weights="per_candidate"))
    assert compare(own_weights, ROWS)[0].difference is not None


def test_arms_are_identical_wherever_no_node_is_removed() -> None:
    rows = [row._replace(sparsity=1e-9 if row.sparsity == 0 else row.sparsity) for row in ROWS]
    close = searches({(1e-9, 0): (0.0,)})
    config = replace(CONFIG, sparsity=(1e-9, 0.8))
    assert compare(config, rows)[0].difference is None
    assert compare(config, rows)[1].difference is not None
    assert close_calls(config, close, rows) is None
    by_chance = replace(config, search=wc.SearchConfig(sampling="bernoulli"))
    assert compare(by_chance, rows)[0].difference is not None
    assert close_calls(by_chance, close, rows) is not None, "another candidate may lose a node"
    assert compare(by_chance, ROWS)[0].difference is None, "at 0 there is no chance"
    assert close_calls(by_chance, searches({(0.0, 0): (0.0,)}), ROWS) is None
    removed = [row._replace(achieved_sparsity=0.1) for row in rows]
    assert compare(config, removed)[0].difference is not None


@pytest.mark.parametrize(
    ("sparsity", "name"), [(0.0, "0"), (0.8, "0.8"), (1e-9, "1e-09"), (0.1 + 0.2, "0.30000000000000004")]
)
def test_a_sparsity_is_called_by_the_shortest_text_that_is_it(sparsity: float, name: str) -> None:
    assert named(sparsity) == name
    assert float(name) == sparsity


def test_sparsities_that_differ_are_told_apart_wherever_they_are_shown() -> None:
    one, other = (0.1234567, 0.1234568)
    config = replace(CONFIG, sparsity=(one, other))
    rows = [row._replace(sparsity=one if row.sparsity == 0 else other, achieved_sparsity=0.1) for row in ROWS]
    cells = [line.split()[:1] for line in text_of(config, rows).splitlines()]
    assert [str(one)] in cells
    assert [str(other)] in cells
    close = close_calls(config, searches({(one, 0): (0.0,), (other, 0): (0.0,)}), rows)
    assert f"(sparsity {one} repeat 0, sparsity {other} repeat 0;" in str(close)
    diverged = diverged_cells([row._replace(test_accuracy=math.nan) for row in rows])
    assert f"weedout sparsity {one} repeat 0, " in str(diverged)
    assert [describe(config, GroupFinished(Group(sparsity, 0, 3))) for sparsity in (one, other)] == [
        *(f"sparsity {sparsity} · done" for sparsity in (one, other))
    ]
    labels = [line.get_label() for line in figures._legend((one, other), ("red", "blue"), ("weedout", "control"), 0)]
    assert labels[:2] == [f"sparsity {one}", f"sparsity {other}"]


def test_one_run_shows_no_interval() -> None:
    config = replace(CONFIG, repeats=1)
    text = text_of(config, [row for row in ROWS if row.repeat == 0])
    assert "80.00 ± –" in text
    assert "+2.00 [–]" in text
    assert "mean of 1 run " in text


def test_fitness_that_was_not_measured_is_a_dash() -> None:
    rows = [row._replace(population_mean_fitness=None) for row in ROWS]
    assert math.isnan(compare(CONFIG, rows)[1].population_fitness)
    assert text_of(CONFIG, rows).count("–") >= 2


def searches(margins: dict[tuple[float, int], tuple[float | None, ...]]) -> list[SearchRow]:
    return [
        SearchRow(sparsity, repeat, generation, -2.0, -3.0, -4.0, margin, 0, 4, None)
        for (sparsity, repeat), found in margins.items()
        for generation, margin in enumerate(found)
    ]


def test_scores_near_a_threshold_are_counted_and_their_networks_named() -> None:
    def row(arm: str, repeat: int, near: int | None) -> ThresholdRow:
        return ThresholdRow(0.8, arm, repeat, "hidden_0", 2000, 400, 0, near)

    trained = row("magnitude_after_training", 0, None)
    assert near_thresholds([]) is None
    assert near_thresholds([row("snip", 0, 0), trained]) is None
    assert near_thresholds([row("snip", 0, 0), row("snip", 1, 1), row("snip", 1, 2), trained]) == (
        "3 of 6,000 scores are so near the threshold that another backend may keep others there (snip sparsity 0.8 "
        "repeat 1; see near_threshold in thresholds.csv)."
    )
    assert str(near_thresholds([row("snip", 0, 1)])).startswith("1 of 2,000 scores is so near the threshold")


def test_scores_on_both_sides_of_a_threshold_are_counted_and_their_networks_named() -> None:
    def row(arm: str, repeat: int, drawn: int) -> ThresholdRow:
        return ThresholdRow(0.8, arm, repeat, "hidden_0", 2000, 400, drawn, None)

    assert drawn_among_equals([]) is None
    assert drawn_among_equals([row("snip", 0, 0)]) is None
    assert drawn_among_equals([row("snip", 0, 0), row("snip", 1, 2000), row("snip", 1, 2)]) == (
        "2,002 of 6,000 scores are equal to others on the other side of the threshold: what was kept of these was "
        "drawn at random (snip sparsity 0.8 repeat 1; see drawn in thresholds.csv)."
    )


def test_searches_that_are_too_close_to_call_are_named() -> None:
    rows = searches({(0.0, 0): (0.0,), (0.2, 0): (1e-3, 1.9e-6), (0.2, 1): (2e-6, None), (0.8, 2): (0.0, 0.0)})
    assert close_calls(CONFIG, rows, ROWS) == (
        "2 of 4 searches were decided by fitness that differs by less than 2e-06: another backend may elect another "
        "winner there (sparsity 0.2 repeat 0, sparsity 0.8 repeat 2; see margin and final_margin in search.csv)."
    )
    own_weights = replace(CONFIG, search=wc.SearchConfig(weights="per_candidate"))
    sentence = close_calls(own_weights, rows, ROWS)
    assert sentence is not None
    assert sentence.startswith("3 of 4 searches were"), "without a common parent, nothing removed is no one network"


def test_of_many_close_searches_a_few_are_named() -> None:
    sentence = close_calls(CONFIG, searches({(0.8, repeat): (0.0,) for repeat in range(9)}), ROWS)
    assert sentence is not None
    assert sentence.startswith("9 of 9 searches were")
    assert "(sparsity 0.8 repeat 0, sparsity 0.8 repeat 1, sparsity 0.8 repeat 2, …; see" in sentence


def test_no_search_too_close_to_call_is_nothing_to_say() -> None:
    assert close_calls(CONFIG, searches({(0.0, 0): (0.0,), (0.8, 0): (1e-3, 2e-6, None)}), ROWS) is None


@pytest.mark.parametrize(("margin", "close"), [(1.9e-6, True), (2e-6, False), (None, False)])
def test_the_election_of_the_winner_may_be_close(margin: float | None, close: bool) -> None:
    *before, last = searches({(0.8, 0): (1.0, 1.0)})
    sentence = close_calls(CONFIG, [*before, last._replace(final_margin=margin)], ROWS)
    assert (sentence is not None) == close
    if sentence is not None:
        assert sentence.startswith("1 of 1 searches was decided by")


@pytest.mark.parametrize(
    ("best", "close"),
    [
        ((-2.0, -1.999999), True),
        ((-2.0, -2.000001), True),
        ((-2.0, -3.0, -1.999999), True),
        ((-2.0, -3.0, -2.999999), False),
        ((-2.0, -2.0), False),
        ((-2.0, -1.9, -1.8), False),
    ],
    ids=["better", "worse", "than the best before", "and not than another", "the same elite again", "clearly"],
)
def test_when_patience_stops_may_be_close(best: tuple[float, ...], close: bool) -> None:
    rows = [row._replace(best=one) for row, one in zip(searches({(0.8, 0): (1.0,) * len(best)}), best, strict=True)]
    patient = replace(CONFIG, search=wc.SearchConfig(patience=2))
    assert (close_calls(patient, rows, ROWS) is not None) == close
    assert close_calls(CONFIG, rows, ROWS) is None, "without patience nothing is decided by it"
    in_training = replace(patient, train=wc.TrainConfig(epochs=len(best), search_epochs=1))
    assert in_training.train.generations == len(best) - 1
    assert close_calls(in_training, rows, ROWS) is None, "only the first of these was scored before training"


def test_accuracy_is_a_count_and_its_ties_are_decided() -> None:
    config = replace(CONFIG, search=wc.SearchConfig(fitness="accuracy"))
    assert close_calls(config, searches({(0.8, 0): (0.0,)}), ROWS) is None


def curves(epochs: int, repeats: int = 3, sparsities: tuple[float, ...] = (0.0, 0.8)) -> list[CurveRow]:
    return [
        CurveRow(sparsity, arm, repeat, epoch, 0.1, 1 - 0.5 / epoch, 1 - 0.6 / epoch - 0.01 * repeat, 0)
        for sparsity in sparsities
        for arm in ("weedout", "control")
        for repeat in range(repeats)
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize(
    "rows",
    [curves(10), curves(1), curves(3, repeats=1), curves(2, sparsities=tuple(np.linspace(0, 0.9, 10)))],
    ids=["usual", "one epoch", "one repeat", "many sparsities"],
)
@pytest.mark.parametrize("interval", ["student_t", "bootstrap"])
@pytest.mark.slow
def test_the_figure_is_drawn(rows: list[CurveRow], interval: Any) -> None:
    image = figure2(replace(CONFIG, interval=interval), rows)
    assert image.startswith(b"\x89PNG")
    assert len(image) > 10_000
    assert image == figure2(replace(CONFIG, interval=interval), rows), "the same run gives the same picture"
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "savefig.facecolor": "red", "lines.marker": "o"}):
        assert image == figure2(replace(CONFIG, interval=interval), rows), "whatever the user's own settings"


def events(together: int = 6) -> list[Event]:
    def generation(number: int) -> wc.Generation:
        return wc.Generation(number, -2.0 - number / 10, -3.0, -4.0, wc.backend.Origin(0, 0), 0, 4, np.zeros(4))

    story: list[Event] = []
    for repeat in range(3):
        story += [PhaseStarted(GROUP, "weedout", repeat)]
        story += [GenerationScored(GROUP, repeat, generation(number)) for number in range(5)]
    story += [*(PhaseStarted(GROUP, "control", repeat) for repeat in range(3)), PhaseStarted(GROUP, "train", None)]
    story += [
        EpochTrained(GROUP, (wc.Epoch(epoch, 0.5, 0.5, 0.5, 0),) * together, first, 6)
        for first in range(0, 6, together)
        for epoch in range(1, 11)
    ]
    return [*story, PhaseStarted(GROUP, "evaluate", None), GroupFinished(GROUP)]


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    console = Console(file=io.StringIO(), width=40)
    with progress(EXPERIMENT, [GROUP], console) as draw:
        for event in [*(ModelStarted(GROUP, repeat) for repeat in range(3)), *events()]:
            draw(event)
    lines = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert lines == [
        *(f"sparsity 0.8 · making the model {n}/3" for n in (1, 2, 3)),
        *(f"sparsity 0.8 · search {n}/3 · generation 5/5 · best fitness -2.4000" for n in (1, 2, 3)),
        *(f"sparsity 0.8 · epoch {n}/10 · train 50.00 % · test 50.00 %" for n in (2, 4, 6, 8, 10)),
        "sparsity 0.8 · done",
    ]


@pytest.mark.parametrize(
    ("together", "wanted"),
    [
        (3, [("networks 1-3", 5), ("networks 1-3", 10), ("networks 4-6", 5), ("networks 4-6", 10)]),
        (1, [(f"network {number}", 10) for number in range(1, 7)]),
    ],
)
def test_plain_lines_name_the_networks_that_are_trained(together: int, wanted: list[tuple[str, int]]) -> None:
    console = Console(file=io.StringIO(), width=40)
    with progress(EXPERIMENT, [GROUP], console) as draw:
        for event in events(together):
            draw(event)
    lines = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert lines[3:-1] == [
        f"sparsity 0.8 · {which} of 6 · epoch {epoch}/10 · train 50.00 % · test 50.00 %" for which, epoch in wanted
    ]


@pytest.mark.parametrize("together", [6, 2])
def test_progress_is_live_on_a_terminal(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[float] = []
    monkeypatch.setattr(
        "rich.progress.Progress.update",
        lambda self, task, completed, description: places.append(completed) if completed is not None else None,
    )
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with progress(EXPERIMENT, [GROUP, GROUP], console) as draw:
        told = events(together)
        for event in [*told, *(event for event in told if not isinstance(event, EpochTrained))]:
            draw(event)
    assert places == sorted(places), "it never goes back"
    assert places[0] == 0
    # Six choices are made, and of the six networks' ten epochs each event brings its share.
    trained = [6 + 10 * first / 6 + together * epoch / 6 for first in range(0, 6, together) for epoch in range(1, 11)]
    begin = 6  # after as many choices
    assert places[begin : begin + len(trained)] == pytest.approx(trained, rel=1e-12)
    assert places[-1] == 2 * steps(EXPERIMENT, GROUP), (
        "the bar ends where the last group ends, epochs done before it was resumed too"
    )


@pytest.mark.parametrize("terminal", [False, True])
def test_of_groups_that_are_computed_at_once_each_has_its_progress(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    places: list[float | None] = []
    monkeypatch.setattr(
        "rich.progress.Progress.update", lambda self, task, completed, description: places.append(completed)
    )
    groups = [GROUP, GROUP._replace(sparsity=0.5)]
    told = [[event._replace(group=group) for event in events()] for group in groups]

    def drawn(some: list[Event]) -> list[str]:
        console = Console(file=(file := io.StringIO()), force_terminal=terminal, width=120)
        with progress(EXPERIMENT, groups, console) as draw:
            for event in some:
                draw(event)
        return file.getvalue().splitlines()

    lines = drawn([event for both in zip(*told, strict=True) for event in both])
    if terminal:
        moved = [place for place in places if place is not None]
        assert moved == sorted(moved)
        assert moved[-1] == 2 * steps(EXPERIMENT, GROUP)
    else:
        for group, events_of in zip(groups, told, strict=True):
            assert [line for line in lines if line.startswith(f"sparsity {group.sparsity} ")] == drawn(events_of)


def test_the_stopwatch_times_the_phases() -> None:
    ticks, compiling = iter(range(100)), iter([0.0, 0.5, 0.5, *[0.75] * 6])
    watch = Stopwatch(lambda: float(next(ticks)), lambda: next(compiling))
    for event in events():
        watch(event)
    assert [(row.phase, row.repeat, row.seconds, row.compile_seconds) for row in watch.rows] == [
        ("weedout", 0, 1.0, 0.5),
        ("weedout", 1, 1.0, 0.0),
        ("weedout", 2, 1.0, 0.25),
        *(("control", repeat, 1.0, 0.0) for repeat in range(3)),
        ("train", None, 1.0, 0.0),
        ("evaluate", None, 1.0, 0.0),
    ]
    assert timing_line(watch.rows) == (
        "weedout 3.0 s, control 3.0 s, train 1.0 s, evaluate 1.0 s; of these 0.8 s compilation"
    )


def test_where_nothing_is_compiled_the_stopwatch_says_nothing_of_it() -> None:
    ticks = iter(range(100))
    watch = Stopwatch(lambda: float(next(ticks)), None)
    for event in events():
        watch(event)
    assert {row.compile_seconds for row in watch.rows} == {None}
    assert timing_line(watch.rows) == "weedout 3.0 s, control 3.0 s, train 1.0 s, evaluate 1.0 s"


@pytest.mark.parametrize(
    ("alpha", "said"),
    [
        (0.05, "are 95 % intervals."),
        (0.0150439, "are 98.5 % intervals: wider than plain 95 %"),
        (0.0044, "are 99.56 %"),
    ],
)
def test_the_confidence_of_verdicts_is_said(alpha: float, said: str) -> None:
    assert f"The intervals in these sentences {said}" in confidence(alpha)
