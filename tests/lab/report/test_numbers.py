"""The numbers of a report, by hand: differences, means, fitness, costs, masks, epochs."""

import csv
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

import weedout_core as wc
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.ledger import LedgerRow
from weedout_core.lab.experiment.rows import CurveRow, LeftOutRow, ResultRow, SearchRow, TimingRow, VerdictRow
from weedout_core.lab.report.accuracies import arm_means, epoch_means
from weedout_core.lab.report.convergence import reach_rows, speed_rows
from weedout_core.lab.report.costs import cost_rows, time_rows
from weedout_core.lab.report.differences import IDENTICAL, pair_rows, paired_means
from weedout_core.lab.report.findings import checks_table
from weedout_core.lab.report.generations import generation_means, spreads
from weedout_core.lab.report.kept import kept_rows, shown_masks
from weedout_core.lab.report.scope import Scope, Versus, scope_of
from weedout_core.lab.report.section import as_csv
from weedout_core.lab.report.sheet import SAID, settled, sheet
from weedout_core.lab.report.texts import number, within

CONFIG = ExperimentConfig(sparsity=(0.5,), repeats=3)
ARMS = ("base", "mine", "mine.shuffled", "mine.corrupted")
CHOICES = (Path(__file__).parents[3] / "docs" / "choices.md").read_text(encoding="utf-8")


def identity(judged: bool = True, arms: tuple[str, ...] = ARMS) -> dict[str, Any]:
    rules = {"methods": ["mine"], "baseline": "base", "margin": 0.005} if judged else {}
    return {"arms": [{"name": arm, "source": ""} for arm in arms], "looks": [2, 3], "rules": rules}


def result(arm: str, repeat: int, accuracy: float, sparsity: float = 0.5, removed: float = 0.5) -> ResultRow:
    return ResultRow(
        sparsity,
        arm,
        repeat,
        None,
        None,
        None,
        None,
        removed,
        10,
        5,
        10,
        5,
        accuracy,
        0.1,
        accuracy,
        0.1,
        0,
        None,
        None,
    )


def curve(arm: str, repeat: int, accuracies: list[float]) -> list[CurveRow]:
    return [CurveRow(0.5, arm, repeat, epoch, 1.0, value, value, 0) for epoch, value in enumerate(accuracies, 1)]


def verdict(look: int, low: float = -0.02, high: float = 0.06) -> VerdictRow:
    nan = math.nan
    return VerdictRow(
        look, 0.5, "mine", "base", "undecided", look, 0, 0.02, low, high, 0.0144, nan, nan, nan, nan, nan, None, "Open."
    )


RESULTS = [
    *(result("base", repeat, value) for repeat, value in enumerate((0.5, 0.6, 0.7))),
    *(result("mine", repeat, value) for repeat, value in enumerate((0.6, 0.6, 0.9))),
]


def judged(*verdicts: VerdictRow) -> Scope:
    return scope_of(CONFIG, identity(), verdicts)


def test_a_method_is_compared_with_the_baseline_and_with_its_checks() -> None:
    scope = judged(verdict(2), verdict(3))
    assert scope.look == 3
    assert scope.main == ("base", "mine")
    assert scope.others == ("mine",)
    assert scope.comparisons == (
        Versus("mine", "base", False),
        Versus("mine", "mine.shuffled", True),
        Versus("mine", "mine.corrupted", True),
    )


def test_without_rules_all_arms_are_compared_with_the_last() -> None:
    scope = scope_of(CONFIG, identity(False, ("first", "last")), [])
    assert (scope.methods, scope.baseline, scope.judged, scope.look) == (("first",), "last", False, None)


def test_a_method_that_is_named_like_a_check_is_none() -> None:
    named = identity() | {"rules": {"methods": ["mine", "mine.shuffled"], "baseline": "base", "margin": 0.01}}
    scope = scope_of(CONFIG, named, [])
    assert scope.main == ("base", "mine", "mine.shuffled")
    assert scope.checks("mine") == ("mine.corrupted",)


def test_a_check_has_another_colour_than_its_method_and_the_baseline() -> None:
    arms = ("base", *(f"m{i}" for i in range(9)), *(f"m8.c{i}" for i in range(8)))
    rules = {"methods": [f"m{i}" for i in range(9)], "baseline": "base", "margin": 0.01}
    scope = scope_of(CONFIG, {**identity(arms=arms), "rules": rules}, [])
    places = {arm: scope.place(arm) for arm in scope.checks("m8")}
    assert len(set(places.values())) == 8
    taken = {scope.place("base") % 7, scope.place("m8") % 7}
    assert not taken & {place % 7 for place in places.values()}


def test_they_are_taken_repeat_by_repeat_with_a_plain_interval() -> None:
    scope = judged()
    rows = pair_rows(RESULTS, [], scope)
    assert [(row.repeat, round(row.difference, 9)) for row in rows] == [(0, 0.1), (1, 0.0), (2, 0.2)]
    (mean, *checks) = paired_means(RESULTS, [], [], scope)
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)  # 0.1 is the standard deviation of 0.1, 0 and 0.2
    assert (mean.mean, mean.low, mean.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half))
    assert (mean.pairs, mean.diverged, mean.level) == (3, 0, 0.95)
    assert [check.pairs for check in checks] == [0, 0]


def test_where_there_was_a_look_they_are_what_it_looked_at_with_its_interval() -> None:
    scope = judged(verdict(2))
    assert [row.repeat for row in pair_rows(RESULTS, [], scope)] == [0, 1]
    mean = paired_means(RESULTS, [], [verdict(2)], scope)[0]
    assert (mean.mean, mean.low, mean.high) == (0.02, -0.02, 0.06)
    assert mean.level == pytest.approx(1 - 0.0144)


def test_what_diverged_is_counted_and_in_no_mean() -> None:
    results = [*RESULTS[:-1], result("mine", 2, math.nan)]
    mean = paired_means(results, [], [], judged())[0]
    assert (mean.pairs, mean.diverged) == (2, 1)
    assert mean.mean == pytest.approx(0.05)


def test_a_check_that_was_left_out_counts_as_the_arm_that_it_equals() -> None:
    left_out = [LeftOutRow(0.5, "mine.shuffled", repeat, "base", "the counts are equal") for repeat in range(3)]
    left_out += [LeftOutRow(0.5, "mine.corrupted", repeat, "mine", "no labels") for repeat in range(3)]
    baseline, shuffled, corrupted = paired_means(RESULTS, left_out, [], judged())
    assert (shuffled.mean, shuffled.low, shuffled.high) == (baseline.mean, baseline.low, baseline.high)
    assert shuffled.why == "the counts are equal"
    assert (corrupted.pairs, corrupted.why) == (0, "no labels")


def test_judge_prints_the_checks_as_they_are_in_a_report() -> None:
    left_out = [LeftOutRow(0.5, "mine.corrupted", repeat, "mine", "no labels") for repeat in range(3)]
    shuffled = [result("mine.shuffled", repeat, value) for repeat, value in enumerate((0.5, 0.6, math.nan))]
    means = [mean for mean in paired_means([*RESULTS, *shuffled], left_out, [], judged()) if mean.check]
    console = Console(file=io.StringIO(), width=100)
    console.print(checks_table(means))
    one, other = [line for line in console.file.getvalue().splitlines() if "0.5" in line]  # pyright: ignore[reportAttributeAccessIssue]
    half = stats.t.ppf(0.975, 1) * 5  # points: the standard error of 10 and 0
    assert one.split() == ["0.5", "mine", "shuffled", "+5.00", f"[{5 - half:+.2f},", f"{5 + half:+.2f}]"]
    assert other.split() == ["0.5", "mine", "corrupted", "no", "labels"]


def test_differences_that_do_not_vary_have_no_interval() -> None:
    results = [result(arm, repeat, value) for arm, value in (("base", 0.5), ("mine", 0.75)) for repeat in range(3)]
    mean = paired_means(results, [], [], judged())[0]
    assert mean.mean == 0.25
    assert math.isnan(mean.low)
    assert math.isnan(mean.high)


def test_arms_that_are_one_network_are_identical_by_construction() -> None:
    results = [result(arm, repeat, 0.5, 0.0, 0.0) for arm in ("first", "last") for repeat in range(3)]
    scope = scope_of(ExperimentConfig(sparsity=(0.0,), repeats=3), identity(False, ("first", "last")), [])
    assert [mean.why for mean in paired_means(results, [], [], scope)] == [IDENTICAL]


def test_means_of_arms_with_intervals() -> None:
    means = arm_means(CONFIG, [*RESULTS, result("lost", 0, math.nan)])
    assert [mean.arm for mean in means] == ["base", "mine", "lost"]
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert means[0][2:] == pytest.approx((3, 0, 0.6, 0.6 - half, 0.6 + half))
    assert (means[2].runs, means[2].diverged) == (1, 1)
    assert math.isnan(means[2].mean)


def test_a_curve_is_in_the_mean_until_it_diverges() -> None:
    rows = [*curve("mine", 0, [0.2, 0.4]), *curve("mine", 1, [0.4, math.nan])]
    test = {mean.epoch: mean for mean in epoch_means(CONFIG, rows) if mean.split == "test"}
    assert (test[1].mean, test[1].diverged) == (pytest.approx(0.3), 0)
    assert (test[2].mean, test[2].diverged) == (pytest.approx(0.4), 1)
    assert math.isnan(test[2].low), "one run has no interval"


def test_fitness_by_generation_leaves_out_what_is_not_finite() -> None:
    rows = [
        SearchRow(0.5, 0, 0, -1.0, -2.0, -3.0, 0.1, 0, 4, None),
        SearchRow(0.5, 1, 0, -2.0, -4.0, -math.inf, 0.1, 2, 4, None),
        SearchRow(0.5, 0, 1, -0.5, -1.0, -2.0, 0.1, 0, 8, 0.1),
    ]
    first, second = generation_means(rows)
    assert first == (0.5, 0, 2, 2, -1.5, -3.0, -3.0)
    assert second == (0.5, 1, 1, 0, -0.5, -1.0, -2.0)
    (spread,) = spreads(rows)
    assert (spread.searches, spread.within) == (2, 2.0)
    assert spread.between == pytest.approx(math.sqrt(2)), "of −2 and −4"


def test_costs_are_summed_by_phase_and_arm() -> None:
    rows = [
        LedgerRow(sparsity, "mine", repeat, phase, 4 if phase == "choose" else 0, 0, 10, 8, computed, 100)
        for sparsity in (0.0, 0.5)
        for repeat in (0, 1)
        for phase, computed in (("choose", 3), ("train", 6), ("evaluate", 1))
    ]
    choose, train, evaluate = cost_rows(rows, by_sparsity=False)
    assert choose == (None, "choose", "mine", 4, 16, 0, 40, 32, 12, 100.0, 0.5)
    assert (train.computed_multiply_adds, evaluate.computed_multiply_adds) == (24, 4)
    assert [row[:4] for row in cost_rows(rows, by_sparsity=True)][:2] == [
        (0.0, "choose", "mine", 2),
        (0.0, "train", "mine", 2),
    ]


def test_times_are_summed_over_sparsities_and_those_of_all_arms_have_none() -> None:
    rows = [
        TimingRow(0.0, "mine", 0, 1.0, 0.5),
        TimingRow(0.5, "mine", 0, 2.0, 0.25),
        TimingRow(0.0, "train", None, 4.0, None),
    ]
    choose, train = time_rows(rows)
    assert choose == ("choose", "mine", 3.0, 0.75)
    assert train[:3] == ("train", "", 4.0)
    assert math.isnan(train.compile_seconds)


def test_fractions_of_nodes_kept() -> None:
    masks = {
        "mine/0/b": np.array([True, False]),
        "mine/1/b": np.array([True, True]),
        "mine/0/a": np.array([[[True, True], [False, False]]]),
        "base/0/a": np.zeros((1, 2, 2), bool),
    }
    rows = kept_rows([(Group(0.5, 0, 2), masks)], ARMS, ["a", "b"])
    assert rows == [
        (0.5, "base", "a", 4, 1, 0.0, 0.0, 0.0),
        (0.5, "mine", "a", 4, 1, 0.5, 0.5, 0.5),
        (0.5, "mine", "b", 2, 2, 0.75, 0.5, 1.0),
    ]
    shown = shown_masks(Group(0.5, 0, 2), masks, ["without", "mine", "base"], ["a", "b"])
    assert [(one.arm, list(one.masks)) for one in shown] == [("mine", ["a", "b"]), ("base", ["a"])]


def test_epochs_to_an_accuracy_and_their_difference() -> None:
    rows = [
        *curve("base", 0, [0.35, 0.55, 0.65]),
        *curve("base", 1, [0.35, 0.55, 0.55]),
        *curve("mine", 0, [0.55, 0.65, 0.65]),
        *curve("mine", 1, [0.35, 0.65, 0.65]),
    ]
    reached = reach_rows(rows)
    assert sorted({row.accuracy for row in reached}) == [0.4, 0.5, 0.6], "0.3 all have at once, 0.7 none has"
    assert [row.epochs for row in reached if row.accuracy == 0.6] == [3, None, 2, 2]
    found = {row.accuracy: row for row in speed_rows(reached, judged())}
    assert (found[0.5].pairs, found[0.5].mean) == (2, -0.5)
    assert (found[0.6].pairs, found[0.6].second_never, found[0.6].mean) == (1, 1, -1.0)
    assert math.isnan(found[0.6].low)


def test_what_the_paper_says_is_what_the_page_on_choices_says() -> None:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in CHOICES.splitlines() if line[:2] == "| "]
    rows = {int(cell[0]): cell for cell in cells if cell[0].isdigit()}
    assert {row: cell[2].replace("`", "") for row, cell in rows.items() if "`" in cell[3]} == SAID


def test_the_sheet_names_what_differs_from_the_default() -> None:
    config = ExperimentConfig(hidden=(64, 32), repeats=2)
    points = sheet([one._asdict() for one in wc.choices(config, config.search, config.train)])
    assert [(point.field, point.value, point.default) for point in points if point.default] == [
        ("ExperimentConfig.hidden", "64 32", "none")
    ]
    assert {point.row for point in points} == set(SAID), "every point has its row"


def test_the_sheet_has_values_as_they_are_typed() -> None:
    config = ExperimentConfig(search=wc.SearchConfig(strategy="one_plus_lambda", allocation="my_allocations:halves"))
    points = sheet([one._asdict() for one in wc.choices(config, config.search, config.train)])
    assert [(point.row, point.field, point.value, point.default) for point in points if point.default] == [
        (27, "SearchConfig.allocation", "my_allocations:halves", "uniform"),
        (29, "SearchConfig.strategy", "one_plus_lambda", "random_search"),
    ]


def test_the_sheet_states_no_choice_that_the_model_settles() -> None:
    layer = wc.backend.Adopted("Model", ("numpy",), 3, (wc.backend.Place("h", (2,), "", ""),), (), (), "digest")
    model, layers = wc.Network((layer,), (4,)), wc.mlp((4,), (2,), 3)
    ours = {f"ExperimentConfig.{name}" for name in ("hidden", "granularity", "mask_residual", "rescale")}
    adopted = {"SearchConfig.fan", "SearchConfig.fan_counts", "TrainConfig.batch_norm_group"}
    for network, net, own in (("mlp", layers, set()), ("mine:f", layers, ours), ("mine:f", model, ours | adopted)):
        config = ExperimentConfig(network=network)
        assert settled(network, net) == own
        points = sheet([one._asdict() for one in wc.choices(config, config.search, config.train)], own)
        assert {point.field for point in points if point.value == "the model's own"} == own
        assert {point.field for point in points if point.default} <= {"ExperimentConfig.network"}


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "+1,234.50"), (-0.001, "+0.00"), (-1.005, "-1.00"), (math.nan, "–")]
)
def test_numbers_are_shown_with_their_sign(value: float, shown: str) -> None:
    assert number(value, 2, signed=True) == shown


def test_a_difference_without_an_interval_is_shown_alone() -> None:
    assert within(1.0, 0.5, 1.5) == "+1.00 [+0.50, +1.50]"
    assert within(1.0, math.nan, math.nan) == "+1.00"


def test_csv_has_a_header_and_empty_fields_for_what_is_not_known() -> None:
    class Row(NamedTuple):
        name: str
        value: float | None

    text = as_csv([Row('a"b', 0.1), Row("c", math.nan), Row("d", None)]).decode()
    assert list(csv.reader(io.StringIO(text))) == [["name", "value"], ['a"b', "0.1"], ["c", ""], ["d", ""]]
