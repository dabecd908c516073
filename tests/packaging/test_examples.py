"""The examples run, are short, and show what they are for."""

import re
from pathlib import Path

import pytest

from tests.processes import run_python

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_read_at_a_glance(example: str) -> None:
    text = EXAMPLES[example].read_text(encoding="utf-8")
    assert text.startswith('"""'), "its first line says what it is for"
    assert len(text.splitlines()) <= 40


def test_every_example_is_run_here() -> None:
    assert set(EXAMPLES) == {"evosax_scores", "one_seed", "own_model", "own_search", "own_weights", "verdict"}


def test_methods_are_judged_over_five_seeds() -> None:
    pytest.importorskip("jax")
    printed = run_python(str(EXAMPLES["verdict"]))
    rows = re.findall(r"^ +(\d) +([\d.]+)% +([\d.]+)% +([\d.]+)%$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == list("01234"), printed
    assert all(float(accuracy) > 80 for row in rows for accuracy in row[1:]), "all arms learn digits"
    for method in ("winner", "magnitude"):
        assert f"Whether {method} is better than random at sparsity 80 % is undecided: " in printed, printed


def test_a_search_of_ones_own_finds_fitter_masks_and_no_better_networks() -> None:
    pytest.importorskip("jax")
    rows = re.findall(
        r"^(\w[\w ]+\w) +validation loss .*? ([\d.]+), .* ([\d.]+)%$",
        run_python(str(EXAMPLES["own_search"])),
        re.MULTILINE,
    )
    loss = {name: float(before) for name, before, _ in rows}
    assert list(loss) == ["hill climbing", "Random Search", "no search"]
    assert loss["hill climbing"] < loss["Random Search"] < loss["no search"], loss
    accuracy = [float(after) for _, _, after in rows]
    assert min(accuracy) > 80, accuracy
    assert max(accuracy) - min(accuracy) < 5, accuracy


def test_a_strategy_of_evosax_finds_fitter_masks_than_random_search() -> None:
    pytest.importorskip("evosax")
    rows = re.findall(
        r"^(\w[\w ]+\w) +validation loss .*? ([\d.]+), .* ([\d.]+)%$",
        run_python(str(EXAMPLES["evosax_scores"])),
        re.MULTILINE,
    )
    loss = {name: float(before) for name, before, _ in rows}
    assert list(loss) == ["evosax", "Random Search"]
    assert loss["evosax"] < loss["Random Search"], loss
    assert min(float(after) for *_, after in rows) > 80, rows


def test_methods_are_judged_on_a_model_of_ones_own() -> None:
    pytest.importorskip("torch")
    printed = run_python(str(EXAMPLES["own_model"]))
    rows = re.findall(r"^(\w+) +(\d) +([\d.]+)%$", printed, re.MULTILINE)
    assert {row[0] for row in rows} == {"weedout", "random", "snip"}, printed
    assert all(float(row[2]) > 60 for row in rows), "all arms learn digits"
    assert re.search("^(Whether snip|snip is)", printed, re.MULTILINE), printed


def test_one_seed_gives_the_same_masks_in_every_backend() -> None:
    printed = run_python(str(EXAMPLES["one_seed"]))
    digests = dict(re.findall(r"^  (\w+) +([0-9a-f]{40})$", printed, re.MULTILINE))
    assert "numpy" in digests, printed
    assert len(set(digests.values())) == 1, printed
    masked, compacted = re.findall(r"multiply-adds +([\d,]+) +([\d,]+)", printed)[0]
    assert int(masked.replace(",", "")) > 15 * int(compacted.replace(",", "")), printed
    assert float(printed.split()[-1]) < 1e-9, "in float64, the same but for the order of sums"


def test_a_module_is_written_and_read_again() -> None:
    pytest.importorskip("torch")
    printed = run_python(str(EXAMPLES["own_weights"]))
    accuracy, difference = re.findall(
        r"^test accuracy ([\d.]+)%\nthe largest difference of a logit ([\d.e-]+)$", printed
    )[0]
    assert float(accuracy) > 80
    assert float(difference) == 0
