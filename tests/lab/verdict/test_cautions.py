"""What a plan cannot promise: few pairs at the first look, and a margin of few test examples."""

import pytest

from weedout_core.lab.verdict.cautions import cautions


@pytest.mark.parametrize("look", [2, 3, 4])
def test_a_first_look_at_few_pairs_leans_on_normal_differences(look: int) -> None:
    (said,) = cautions(look, 0.005, 10_000)
    assert said.startswith(f"the first look is after {look} repeats: with fewer than 5 pairs a sentence leans on")


@pytest.mark.parametrize("look", [5, 20])
def test_five_pairs_and_many_examples_need_no_word(look: int) -> None:
    assert cautions(look, 0.005, 10_000) == []


@pytest.mark.parametrize(
    ("margin", "examples", "worth"), [(0.005, 100, "1"), (0.005, 297, "0.34"), (0.005, 399, "0.25"), (0.5, 3, "33")]
)
def test_an_example_that_is_worth_more_than_half_the_margin_is_said(margin: float, examples: int, worth: str) -> None:
    (said,) = cautions(5, margin, examples)
    points = f"{100 * margin:g}"
    assert f"margin is {points} points, and one of the {examples} test examples is worth {worth}: whether" in said
    assert cautions(5, margin, round(2 / margin)) == [], "worth half of it, not more"
