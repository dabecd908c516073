"""docs/choices.md: the points that the paper leaves open, as the fields of the configurations have them."""

import ast
import re
from pathlib import Path
from typing import Any

import weedout_core as wc
from weedout_core.lab.experiment.configuration import ExperimentConfig

TEXT = (Path(__file__).parents[2] / "docs" / "choices.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if re.match(r"\| \d", line)]
CONFIGS = (wc.SearchConfig(), wc.TrainConfig(), ExperimentConfig())


def documented() -> dict[tuple[int, str], Any]:
    """Row and field → default, as the page has them."""
    return {
        (int(row[0]), field): ast.literal_eval(value)
        for row in ROWS
        for field, value in re.findall(r"`(\w+\.\w+)=([^`]+)`", row[3])
    }


def test_every_field_stands_in_its_row_with_its_default() -> None:
    assert documented() == {(choice.row, choice.field): choice.value for choice in wc.choices(*CONFIGS)}


def test_rows_are_numbered_without_gaps_and_those_without_a_field_say_so() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 30))
    without = [int(row[0]) for row in ROWS if "`" not in row[3]]
    assert without == [22]
    assert all(ROWS[number - 1][3].startswith("(no field") for number in without)


def test_a_point_is_called_the_same_on_the_page_and_in_every_result() -> None:
    names = {int(row[0]): row[1] for row in ROWS}
    for choice in wc.choices(*CONFIGS):
        several = choice.row in (18, 20)  # a row of several points
        assert several or choice.point == names[choice.row], choice


def test_what_the_readings_change_is_what_the_page_says() -> None:
    one, other = (wc.choices(wc.SearchConfig(reading=reading)) for reading in ("algorithm1", "section3"))
    changed = [mine.row for mine, theirs in zip(one, other, strict=True) if mine.value != theirs.value]
    assert changed == [1, 4, 8]
    for row in changed:
        assert "(`section3`)" in ROWS[row - 1][4]
