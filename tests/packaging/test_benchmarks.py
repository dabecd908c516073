"""The benchmarks: their small mode runs, and what they write down is what was measured."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import results, section, timing

ROOT = Path(__file__).parents[2]


def test_the_small_mode_runs(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    path = os.pathsep.join(str(ROOT / part) for part in (".", "reference", "backends"))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path), "search-mlp", "sampling"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    for said in ("## Search, MLP", "## Sampling", "| weedout jax |", "| PyTorch loop |", "| arithmetic limit |"):
        assert said in text, said
    assert "η = 0.8: weedout jax, times the plain PyTorch loop, at least 20: " in text, "what is asked is answered"
    assert (tmp_path / "search-mlp.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_replaces_its_sections_and_keeps_the_others_in_order(tmp_path: Path) -> None:
    order = ["First", "Second", "Third"]
    for title, text in (("Third", "three"), ("First", "one"), ("Second", "two"), ("First", "uno\n\n### part")):
        results.write(tmp_path, section.Section(title, text, {"figure.png": title.encode()}), order)
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert text.split("\n## ", 1)[1] == "First\n\nuno\n\n### part\n\n## Second\n\ntwo\n\n## Third\n\nthree\n"
    assert (tmp_path / "figure.png").read_bytes() == b"First"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RESULTS.md", "figure.png"], "nothing half-written"


def test_everybody_is_called_once_a_round_and_every_other_round_goes_backwards() -> None:
    called: list[str] = []
    runs = {name: lambda name=name: called.append(name) or name for name in "abc"}
    given: list[Mapping[str, object]] = []
    timed = timing.alternate(runs, 3, lambda sentence: None, given.append)
    assert "".join(called) == "abc" + "abc" + "cba" + "abc"
    assert given == [{"a": "a", "b": "b", "c": "c"}], "the check sees what the first calls gave"
    assert all(len(one.rounds) == 3 for one in timed.values())


def test_nothing_is_timed_where_candidates_do_not_agree() -> None:
    def check(given: Mapping[str, object]) -> None:
        raise AssertionError(str(given))

    with pytest.raises(AssertionError, match="'a': 1"):
        timing.alternate({"a": lambda: 1}, 1, lambda sentence: None, check)


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    slow, fast = timing.Timed(9.0, (2.0, 30.0, 8.0)), timing.Timed(9.0, (1.0, 10.0, 2.0))
    assert slow.over(fast) == 3.0
    assert slow.median == 8.0


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        (section.at_least("faster", 20, 23.1), "faster, at least 20: 23.1, **yes**"),
        (section.at_least("faster", 20, 19.96), "faster, at least 20: 20.0, **no**"),
        (section.at_most("of the limit", 1.5, 1.5), "of the limit, at most 1.5: 1.50, **yes**"),
        (section.at_most("of the limit", 1.5, 1.52), "of the limit, at most 1.5: 1.52, **no**"),
        (section.at_least("faster", 20, None), "faster, at least 20: not measured"),
    ],
)
def test_what_was_to_be_reached_is_answered(line: str, ends: str) -> None:
    assert line == f"- {ends}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (99.96, "100.0"),
        (23.06, "23.1"),
        (1.234, "1.23"),
        (0.0123, "0.0123"),
        (0.12, "0.120"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, shown: str) -> None:
    assert section.number(value) == shown
