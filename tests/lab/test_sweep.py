"""``weedout sweep``: runs that stand alone, one page, and the same bytes however often it is interrupted."""

import csv
import json
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.report.test_page import Page
from tests.lab.test_resume import finished, wait_for
from weedout_core.lab.cli import main
from weedout_core.lab.commands import computing, sweep
from weedout_core.lab.commands.checked_run import source_of
from weedout_core.lab.data.datasets import Dataset, load_dataset
from weedout_core.lab.engines.unit import Computed
from weedout_core.lab.experiment.rows import VerdictRow, from_csv
from weedout_core.lab.verdict.looks import nominal_level

pytestmark = pytest.mark.slow

Weedout = Callable[..., int]

#: A sweep that the reference makes in a moment.
SWEEP = ["sweep", "--vary", "hidden", "8", "16", "--backend", "numpy", "--population", "4", "--generations", "2"]
SWEEP += ["--epochs", "2", "--batch-size", "256", "--sparsity", "0.5", "--repeats", "2", "3", "--threads", "1"]
SWEEP += ["--out", "swept"]
FOLDERS = ["01-hidden-8", "02-hidden-16"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That sweep, which nothing has interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert main(SWEEP) == 0
    return folder / "swept"


@pytest.fixture
def copied(whole: Path, tmp_path: Path, weedout: Weedout) -> Path:
    return shutil.copytree(whole, tmp_path / "swept")


def contents(folder: Path) -> dict[str, bytes]:
    """All files that hold no clock times: the report of a point has them."""
    timed = {"timings.csv", "manifest.json", ".lock", "report.html"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in timed and path.parent.name != "report"
    }


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points have no report, which takes longer to draw than they take to compute."""
    monkeypatch.setattr(sweep, "reported", lambda path, _: source_of(path))


def forbid_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing is computed")

    monkeypatch.setattr(computing, "compute_group", refuse)


def test_each_point_is_a_run_of_its_own_in_the_family_of_all(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert [path.parent.name for path in sorted(copied.glob("*/config.json"))] == FOLDERS
    forbid_computing(monkeypatch)
    for folder, hidden in zip(FOLDERS, ("8", "16"), strict=True):
        rows = from_csv(VerdictRow, (copied / folder / "verdict.csv").read_text(), folder)
        assert {row.alpha for row in rows} == {nominal_level((2, 3), 2)}
        program, *command = shlex.split(json.loads((copied / folder / "config.json").read_text())["command"])
        assert (program, command[:2]) == ("weedout", ["judge", "weedout"])
        assert f"--hidden {hidden} --family 2 --out swept/{folder}" in " ".join(command)
        assert main(command) == 0, "the same run, which is done"
    assert capfd.readouterr().out.count("of a family of 2 comparisons") == 2


def test_one_page_has_all_points_and_leads_to_their_reports(whole: Path) -> None:
    page = Page((whole / "sweep.html").read_text(encoding="utf-8"))
    assert page.text.startswith("weedout against random on digits, over hidden")
    said = "divided over a family of 2 comparisons: the 2 comparisons of this sweep"
    assert said in page.text
    for link in page.all("a"):
        target = link["href"] or ""
        assert target.startswith("#") or (whole / target).is_file(), target
    assert {f"{folder}/report.html" for folder in FOLDERS} <= {link["href"] for link in page.all("a")}
    images = [one["aria-label"] or "" for one in page.all("div") if one.get("role") == "img"]
    assert len(images) == 2
    assert all("hidden 8" in image and "hidden 16" in image for image in images), images
    with (whole / "sweep.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["hidden"] for row in rows] == ["8", "16"]
    for row, folder in zip(rows, FOLDERS, strict=True):
        last = from_csv(VerdictRow, (whole / folder / "verdict.csv").read_text(), folder)[-1]
        assert (row["folder"], row["verdict"], float(row["difference"])) == (folder, last.verdict, last.mean)
        assert f"hidden {row['hidden']}: {last.sentence}" in page.text
        with (whole / folder / "ledger.csv").open(encoding="utf-8") as file:
            spent = [one for one in csv.DictReader(file) if (one["arm"], one["phase"]) == ("weedout", "choose")]
        assert int(row["choosing_multiply_adds"]) == sum(int(one["computed_macs"]) for one in spent)
        assert int(row["candidates_scored"]) == sum(int(one["candidates"]) for one in spent)
        assert float(row["accuracy"]) - float(row["baseline_accuracy"]) == pytest.approx(float(row["difference"]))


@pytest.mark.usefixtures("unreported")
def test_the_same_command_shows_a_finished_sweep_and_computes_nothing(
    copied: Path, weedout: Weedout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before, read = contents(copied), list[str]()

    def counted(name: str, *rest: Any) -> Dataset:
        read.append(name)
        return load_dataset(name, *rest)

    monkeypatch.setattr(sweep, "load_dataset", counted)
    forbid_computing(monkeypatch)
    assert weedout(*SWEEP) == 0
    assert contents(copied) == before
    out, err = capfd.readouterr()
    assert out.startswith("Of 2 comparisons: ")
    assert err.count("warning: the first look is after 2 repeats") == 1, "once for all points"
    assert err.startswith("sweep over hidden (2 values): 2 points, 8 to 12 networks to train, at most 48 candidates to")
    assert "point 2 of 2: hidden 16\nswept/02-hidden-16: 3 of 3 groups done\n" in err
    assert read == ["digits"], "once for all points"


@pytest.mark.usefixtures("unreported")
def test_an_interrupted_sweep_ends_with_the_same_bytes(
    whole: Path, weedout: Weedout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that is hit in the middle of its second point."""
    compute, done = computing.compute_group, list[object]()

    def interrupted(*arguments: Any) -> Computed:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(arguments)
        return compute(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(computing, "compute_group", interrupted)
        assert weedout(*SWEEP) == 130
    said = "weedout: interrupted; point 2 of 2, hidden 16: 1 of 3 groups are done"
    assert capfd.readouterr().err.splitlines()[-1].startswith(said)
    assert not (tmp_path / "swept" / "sweep.html").exists()
    assert weedout(*SWEEP) == 0
    assert contents(tmp_path / "swept") == contents(whole)


@pytest.mark.usefixtures("unreported")
def test_a_killed_sweep_ends_with_the_same_bytes(
    whole: Path, weedout: Weedout, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    killed = start(*SWEEP)
    wait_for(tmp_path / "swept" / FOLDERS[1] / "groups", killed)
    killed.send_signal(signal.SIGKILL)
    assert finished(killed)[0] == -signal.SIGKILL
    assert weedout(*SWEEP) == 0
    assert contents(tmp_path / "swept") == contents(whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--epochs", "3"], "swept/01-hidden-8 holds a different run: train.epochs (2 there, 3 here)"),
        (["--vary", "population", "3", "4"], 'holds a different sweep: population (null there, ["3", "4"] here). Give'),
        (["--out", "swept/01-hidden-8/below"], "lies in the folder of the run"),
        (["--out", "taken"], "taken must be empty or hold a sweep with its sweep.json; it holds 'mine.txt'"),
        (["--out", "swept/01-hidden-8"], "must be empty or hold a sweep with its sweep.json; it holds 'config.json'"),
        (["--masks", "nowhere"], "masks must be in a folder; nowhere cannot be read"),
        (["--baseline", "weedout"], "weedout is the baseline of the methods"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(
    copied: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    before = contents(tmp_path)
    command = [word for word in SWEEP if options[0] != "--vary" or word not in ("--population", "4")]
    assert weedout(*command, *options) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line
    assert contents(tmp_path) == before


def test_damage_is_noticed_before_any_work(copied: Path, weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    (copied / "sweep.json").write_text((copied / "sweep.json").read_text().replace('"16"', '"32"'))
    assert weedout(*SWEEP) == 2
    assert "sweep.json is damaged: its content does not match its checksum. Restore it" in capfd.readouterr().err
    shutil.copy(copied / FOLDERS[0] / "config.json", copied / "sweep.json")
    assert weedout(*SWEEP) == 2
    assert "sweep.json is damaged: it is another file, and does not describe a sweep" in capfd.readouterr().err


@pytest.mark.usefixtures("unreported")
def test_methods_and_sparsities_have_panels_of_their_own(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = "sweep snip --no-sanity --vary sparsity 0.5 0.75 --vary rescale no yes --hidden 8 --repeats 2"
    rest = "--backend numpy --population 2 --generations 1 --epochs 1 --batch-size 512"
    assert weedout(*words.split(), *rest.split()) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("digits-sweep-")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "01-sparsity-0.5-rescale-no", "02-sparsity-0.5-rescale-yes", "03-sparsity-0.75-rescale-no",
        "04-sparsity-0.75-rescale-yes",
    ]  # fmt: skip
    page = Page((folder / "sweep.html").read_text(encoding="utf-8"))
    images = [one["aria-label"] or "" for one in page.all("div") if one.get("role") == "img"]
    assert [image.partition(":")[0] for image in images] == [
        "Test accuracy against sparsity, rescale no", "Test accuracy against sparsity, rescale yes",
        "Paired differences of snip, points of test accuracy",
    ]  # fmt: skip
    assert "snip against weedout on digits, over sparsity and rescale" in page.text
