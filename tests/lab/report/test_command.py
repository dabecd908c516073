"""``weedout report``: what it writes and leaves alone, beside another process too, and what it refuses."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

pytestmark = pytest.mark.slow

Weedout = Callable[..., int]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_the_page_into_the_run_and_leaves_the_runs_own_files(run: Path, weedout: Weedout) -> None:
    before = contents(run)
    assert weedout("report", run) == 0
    after = contents(run)
    assert {name: content for name, content in after.items() if name in before} == before
    written = set(after) - set(before)
    assert {"report.html", "report/differences.svg", "report/differences.csv", "report/costs.csv"} <= written
    assert all(name.startswith("report") for name in written)
    assert weedout("report", run) == 0, "again"
    assert contents(run) == after


def test_it_writes_elsewhere_with_links_that_lead_to_the_run(
    run: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = contents(run)
    assert weedout("report", run, "--out", "a/page") == 0
    assert contents(run) == before
    assert 'href="../../run/config.json"' in (tmp_path / "a" / "page" / "report.html").read_text(encoding="utf-8")
    assert "groups; figures and numbers in" in capfd.readouterr().out.replace("\n", " ")


def test_while_another_process_holds_the_run_it_shows_what_is_done(
    judged_run: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(judged_run, tmp_path / "run")
    shutil.rmtree(run / "groups" / "sparsity-0.8-from-2")
    (run / "groups" / "sparsity-0.8-from-2.partial").mkdir()
    with FileLock(run / ".lock"):
        assert weedout("report", run, "--out", "page") == 0
    assert "5 of 6 groups" in capfd.readouterr().out
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "This run is not finished.</strong> 5 of 6 groups are done" in page


def test_a_run_that_has_just_begun_has_a_page(judged_run: Path, weedout: Weedout, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "groups").mkdir(parents=True)
    shutil.copy(judged_run / "config.json", run)
    assert weedout("report", run) == 0
    assert "0 of 6 groups are done" in (run / "report.html").read_text(encoding="utf-8")


def test_the_commands_say_how_it_is_made(small: list[str], weedout: Weedout, capfd: pytest.CaptureFixture[str]) -> None:
    assert weedout(*small, "--out", "my run") == 0
    said = " ".join(capfd.readouterr().out.split())
    assert said.endswith("A page with all figures and numbers: weedout report 'my run'")
    assert weedout("report", "my run") == 0


def test_a_folder_without_a_run_is_refused(weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for folder, why in (
        ("empty", "it has no config.json. Restore it, or name"),
        ("absent", "there is no such folder. Name"),
    ):
        assert weedout("report", folder) == 2
        said = f"weedout: {folder} must be the folder of a run; {why} another folder: weedout paper and judge make one."
        assert capfd.readouterr().err == f"{said}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_of_runs_is_told_which_it_has(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("second", "first"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").touch()
    assert weedout("report", "runs") == 2
    assert "it has no config.json. Name one in it: runs/first, runs/second." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", b"{", "config.json is damaged: it is no JSON. Restore it"),
        ("groups/sparsity-0.5/results.csv", b"x", "results.csv is damaged: its content does not match manifest.json"),
        ("groups/sparsity-0.5/masks.safetensors", b"x", "masks.safetensors is damaged"),
        ("verdict.csv", b"look\n1\n", "verdict.csv must have the columns look,sparsity"),
    ],
)
def test_damaged_files_are_named(
    run: Path, weedout: Weedout, capfd: pytest.CaptureFixture[str], name: str, content: bytes, said: str
) -> None:
    (run / name).write_bytes(content)
    before = contents(run)
    assert weedout("report", run) == 2
    assert said in capfd.readouterr().err
    assert contents(run) == before, "nothing is written"


def test_it_is_written_into_no_other_runs_folder(
    paper_run: Path, judged_run: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(judged_run, tmp_path / "other")
    before = contents(other)
    assert weedout("report", paper_run, "--out", other) == 2
    assert "holds another run than" in capfd.readouterr().err
    assert contents(other) == before
    assert weedout("report", judged_run, "--out", "page") == 0
    assert weedout("report", paper_run, "--out", "page") == 2
    assert "is not the report of" in capfd.readouterr().err


@pytest.mark.parametrize("out", ["afile", "afile/page", "afile/a/page"])
def test_a_file_is_no_folder_for_a_page(
    run: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "afile").write_text("mine", encoding="utf-8")
    assert weedout("report", run, "--out", out) == 2
    said = capfd.readouterr().err
    assert said.startswith("weedout: ")
    assert said.endswith("afile must be a folder; it is a file. Choose another with --out.\n")
    assert (tmp_path / "afile").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_nothing_is_written_through_a_link(
    run: Path, weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (run / "report").symlink_to(tmp_path / "elsewhere")
    assert weedout("report", run) == 2
    assert "must be a folder, and no link" in capfd.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []
