"""``weedout compare``: what it writes, says and refuses."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.report.test_command import contents
from tests.lab.report.test_page import Page
from weedout_core.lab.report.compared import Run
from weedout_core.lab.report.compared_sections import comparison
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.reading import read_run

pytestmark = pytest.mark.slow

Weedout = Callable[..., int]


@pytest.fixture
def two(paper_run: Path, jax_run: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The same experiment on two backends, in folders that a test may change."""
    return shutil.copytree(paper_run, tmp_path / "reference"), shutil.copytree(jax_run, tmp_path / "compiled")


def test_two_backends_agree(
    two: tuple[Path, Path], weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = [contents(run) for run in two]
    assert weedout("compare", *two) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "reference and compiled differ in" in said
    assert "The same in all: dataset digits, seed 0, network mlp." in said
    assert "All 12 masks are equal in reference and compiled." in said
    assert [contents(run) for run in two] == before, "the runs are only read"
    written = contents(tmp_path / "comparison")
    assert {"comparison.html", "accuracy.svg", "cells.svg", "facts.csv", "masks.csv", "cells.csv"} <= set(written)
    assert weedout("compare", *two) == 0, "again"
    assert contents(tmp_path / "comparison") == written, "the same bytes"
    page = Page(written["comparison.html"].decode())
    links = {link["href"] for link in page.all("a") if not (link["href"] or "").startswith("#")}
    assert links == set(written) - {"comparison.html"}


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reference"], "compare needs the folders of two or more runs; got 1"),
        (["reference", "compiled", "./reference"], "reference and reference are one folder. Name it once"),
        (["reference", "absent"], "absent must be the folder of a run"),
        (["reference", "compiled", "--out", "reference"], "is in the folder of the run reference"),
        (["reference", "compiled", "--out", "compiled/page"], "is in the folder of the run compiled"),
        (["reference", "compiled", "--out", "taken/mine.txt"], "taken/mine.txt must be a folder; it is a file. Choose"),
        (["reference", "compiled", "--out", "taken"], "taken must be empty or hold the comparison of these runs"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    assert weedout("compare", *arguments) == 2
    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert contents(tmp_path) == before


def test_runs_without_a_common_sparsity_and_other_comparisons_are_refused(
    two: tuple[Path, Path], judged_run: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    options = ["--hidden", "8", "--sparsity", "0.3", "--epochs", "0", "--population", "2", "--generations", "1"]
    assert weedout("paper", *options, "--repeats", "1", "--backend", "numpy", "--out", other) == 0
    assert weedout("compare", two[0], other) == 2
    assert "must have a sparsity in common; they have 0 0.5 and 0.3" in capfd.readouterr().err
    assert weedout("compare", *two) == 0
    assert weedout("compare", two[0], judged_run) == 2
    assert "is not the comparison of these runs" in capfd.readouterr().err


def test_runs_of_other_arms_and_networks_show_their_means(
    two: tuple[Path, Path], judged_run: Path, weedout: Weedout, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout("compare", two[0], judged_run) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "Repeats of run are no pairs with those of reference, because of another network" in said
    page = (Path("comparison") / "comparison.html").read_text(encoding="utf-8")
    assert "There is no pair: no cell is done in two runs with the same seed, data and network." in page


def test_an_unfinished_run_is_compared_as_far_as_it_is_done(
    two: tuple[Path, Path], weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (two[1] / "groups").glob("sparsity-0.5*"):
        shutil.rmtree(path)
    assert weedout("compare", *two) == 0
    first, *said = capfd.readouterr().out.splitlines()
    assert first.startswith("Not all runs are finished. compiled has 3 of 6 groups; only what is done is compared.")
    assert "All 6 masks are equal in reference and compiled." in said
    page = (tmp_path / "comparison" / "comparison.html").read_text(encoding="utf-8")
    assert "Not all runs are finished.</strong> compiled has 3 of 6 groups" in page
    for path in (two[1] / "groups").glob("sparsity-0.0*"):
        shutil.rmtree(path)
    assert weedout("compare", *two) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("Not all runs are finished. compiled has 0 of 6 groups;")
    assert "No cell with masks can be compared." in said
    assert not any("equal in" in line for line in said)
    assert "No cell with masks can be compared" in (tmp_path / "comparison" / "comparison.html").read_text("utf-8")


def test_names_of_runs_are_text(compared: Any) -> None:
    runs = [Run(f"<script>alert({place})</script>", one.source) for place, one in enumerate(compared.runs)]
    made, _ = comparison(runs)
    read = Page(made.page.decode())
    assert "script" not in {tag for tag, _ in read.tags}
    assert "<script>alert(1)</script>" in read.text
    assert not [name for name, content in made.beside.items() if name.endswith(".svg") and b"<script" in content]


def test_identifiers_are_unique_and_nothing_is_fetched(compared: Any) -> None:
    text = compared.report.page.decode()
    names = [attributes["id"] for _, attributes in Page(text).tags if "id" in attributes]
    assert len(names) == len(set(names))
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"|aria-labelledby="([^"]+)"', text)
    assert {name for three in used for name in three if name} <= set(names)


def test_a_judged_run_with_itself_has_verdicts_that_agree(judged_run: Path) -> None:
    source = Source(*read_run(judged_run))
    _, said = comparison([Run("one", source), Run("two", source)])
    assert "4 of 4 verdicts agree." in said
