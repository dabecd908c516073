"""Damage of files that reports read: each ends in one sentence that names the file, or changes nothing that is read."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from weedout_core.errors import RunError, WeedoutWarning
from weedout_core.lab.commands.checked_run import source_of
from weedout_core.lab.report.compared import Run
from weedout_core.lab.report.compared_facts import facts
from weedout_core.lab.report.record_sections import choices_section, record_section
from weedout_core.lab.report.run_page import report
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.record import record_from_json, record_to_json

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unchecked")]  # wrong types are what is tested

Weedout = Callable[..., int]

VALUES: tuple[Any, ...] = (None, False, 0, 1.5, "", "a\0b", [], [[]], {}, {"a": {}}, [{}])
TEXTS = (b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b"NaN", b"[]", b'"text"', b'{"run": 1}', b"7" * 5_000)


def changed(value: Any, depth: int = 4) -> Iterator[Any]:
    """A JSON value with one part of another type, without one part, and with one more."""
    yield from (other for other in VALUES if repr(other) != repr(value))
    if depth == 0 or not isinstance(value, dict | list):
        return
    places = list(value) if isinstance(value, dict) else range(min(2, len(value)))
    for place in places:
        yield from (_with(value, place, other) for other in changed(value[place], depth - 1))
        yield {k: v for k, v in value.items() if k != place} if isinstance(value, dict) else value[1:]
    yield {**value, "more": 1} if isinstance(value, dict) else [*value, *value[:1]]


def _with(value: Any, place: Any, other: Any) -> Any:
    copied = value.copy()
    copied[place] = other
    return copied


def refused(folder: Path, name: str) -> str | None:
    """What is said of a folder in which a file is damaged; None if a report can be made."""
    try:
        source = source_of(folder)
    except RunError as error:
        said = str(error)
        assert name in said
        assert "\n" not in said.strip()
        assert not any(leak in said for leak in ("KeyError", "TypeError", "object is not")), said
        assert said.endswith(("another folder.", "Restore it.", "again.")), said
        return said
    for section in (record_section, choices_section):
        assert section(source).tables
    assert facts([Run("one", source), Run("two", source)])
    return None


@pytest.mark.parametrize("name", ["config.json", "groups/sparsity-0.0/manifest.json"])
def test_whatever_is_wrong_in_json_is_one_sentence(paper_run: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(paper_run, tmp_path / "run")
    path = run / name
    whole = json.loads(path.read_text(encoding="utf-8"))
    for text in TEXTS:
        path.write_bytes(text)
        assert refused(run, path.name) is not None, text[:20]
    for other in changed(whole):
        path.write_text(json.dumps(other), encoding="utf-8")
        assert (refused(run, path.name) is None) == (repr(other) == repr(whole)), other
    path.write_text(json.dumps(whole), encoding="utf-8")
    assert refused(run, path.name) is None, "spaces and line breaks do not count"


def test_a_damaged_config_does_not_advise_where_the_page_goes(paper_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(paper_run, tmp_path / "run")
    (run / "config.json").write_text("{", encoding="utf-8")
    said = str(refused(run, "config.json"))
    assert "--out" not in said
    assert said.endswith("Restore it, or choose another folder.")


def test_choices_that_are_not_those_of_the_run_are_refused(paper_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(paper_run, tmp_path / "run")
    path = run / "config.json"
    record = record_from_json(path.read_bytes(), path)
    (chosen,) = (one for one in record.choices if one["value"] == "negative_cross_entropy")
    chosen["value"] = "accuracy"
    path.write_bytes(record_to_json(record))
    assert "its choices are not those of its identity" in str(refused(run, "config.json"))


# Tables

TABLES = ("results.csv", "curves.csv", "search.csv", "ledger.csv", "left_out.csv", "thresholds.csv", "timings.csv")


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_was_edited_is_said_to_differ_from_its_groups(judged_run: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(judged_run, tmp_path / "run")
    path, before = run / name, source_of(judged_run)
    whole = path.read_bytes()
    edits = [whole + whole.splitlines(keepends=True)[-1], whole.replace(b"\n", b"\r\n"), b"", b"mine\n", whole[:-2]]
    edits += [whole.replace(b"0.5", b"0.6", 1)] if b"0.5" in whole else []
    for content in edits[:2] + edits[3:]:
        path.write_bytes(content)
        with pytest.warns(WeedoutWarning, match=f"{name} has been edited, or has rows of a group that was removed"):
            found = source_of(run)
        assert found.results == before.results
    rows = whole.splitlines(keepends=True)
    second = (run / "groups" / "sparsity-0.5" / name).read_bytes()
    for content in (rows[0], second):  # what a process leaves that was killed before it wrote the table
        path.write_bytes(content)
        source_of(run)
    path.unlink()
    source_of(run)


@pytest.mark.parametrize("command", ["report", "compare"])
def test_the_commands_say_it_in_one_line(
    paper_run: Path, tmp_path: Path, weedout: Weedout, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    run, other = (shutil.copytree(paper_run, tmp_path / name) for name in ("run", "other"))
    (run / "results.csv").write_bytes((run / "results.csv").read_bytes().replace(b"0.5", b"0.6"))
    others = ["other"] if command == "compare" else []
    assert weedout(command, "run", *others) == 0
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(
        "weedout: warning: run/results.csv has been edited, or has rows of a group that was removed."
    )
    shutil.rmtree(run / "groups" / "sparsity-0.5")
    assert weedout(command, "run", *others) == 0
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(
        "weedout: warning: run/results.csv, curves.csv, search.csv, ledger.csv, timings.csv have been"
    )
    assert other.exists()


# Verdicts


def test_a_verdict_that_results_do_not_imply_is_refused(judged_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(judged_run, tmp_path / "run")
    path = run / "verdict.csv"
    header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    assert refused(run, "verdict.csv") is None

    def write(*rows: list[str]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *rows])
        path.write_text(text.getvalue(), encoding="utf-8")

    for column, name in enumerate(header):
        for value in ("", "0", "7", "0.25", "mine", "better"):
            if lines[0][column] != value:
                write([*lines[0][:column], value, *lines[0][column + 1 :]], *lines[1:])
                assert refused(run, "verdict.csv") is not None, (name, value)
    for rows in (lines[1:], [*lines, lines[0]], [lines[1], lines[0], *lines[2:]], [lines[0][:-1], *lines[1:]]):
        write(*rows)
        assert refused(run, "verdict.csv") is not None
    for content in (b"", b"\0", b"look\n", b'"', b"a" * 200_000, path.read_bytes() + b"\0", b"\xff"):
        path.write_bytes(content)
        assert refused(run, "verdict.csv") is not None, content[:20]


def test_last_bits_of_numbers_may_differ(judged_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(judged_run, tmp_path / "run")
    path = run / "verdict.csv"
    alpha = str(source_of(run).verdicts[0].alpha)
    path.write_text(path.read_text(encoding="utf-8").replace(alpha, str(float(alpha) * (1 + 1e-12))), encoding="utf-8")
    assert [row.verdict for row in source_of(run).verdicts] == [row.verdict for row in source_of(judged_run).verdicts]


def test_a_verdict_of_a_group_that_was_removed_is_not_shown(judged_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(judged_run, tmp_path / "run")
    assert {row.look for row in source_of(run).verdicts} == {2, 3}, "this run was not decided at its first look"
    for group in ("sparsity-0.8-from-2", "sparsity-0.5"):
        shutil.rmtree(run / "groups" / group)
        for name in TABLES:
            (run / name).unlink(missing_ok=True)
        assert {row.look for row in source_of(run).verdicts} == ({2} if group == "sparsity-0.8-from-2" else set())


def test_a_look_that_is_done_has_its_verdicts_without_their_file(judged_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(judged_run, tmp_path / "run")
    path, wanted = run / "verdict.csv", source_of(judged_run).verdicts
    lines = path.read_bytes().splitlines(keepends=True)
    first = sum(row.look == 2 for row in wanted)
    assert 0 < first < len(lines) - 1, "two looks"
    for kept in (lines[: 1 + first], lines[:1]):  # as a process leaves it that is killed after the last group
        path.write_bytes(b"".join(kept))
        assert repr(source_of(run).verdicts) == repr(wanted), "NaN too"
    path.unlink()
    assert repr(source_of(run).verdicts) == repr(wanted)


def test_verdicts_of_a_run_that_has_none_are_refused(paper_run: Path, judged_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(paper_run, tmp_path / "run")
    shutil.copy(judged_run / "verdict.csv", run)
    assert refused(run, "verdict.csv") is not None


def test_a_run_that_was_decided_early_is_finished(judged_run: Path) -> None:
    found = source_of(judged_run)
    first = [row for row in found.verdicts if row.look == 2]
    done = [group for group in found.done if group.end <= 2]
    early = found._replace(verdicts=[row._replace(verdict="better") for row in first], done=done)
    assert early.finished
    assert not found._replace(verdicts=first, done=done).finished
    assert not found._replace(verdicts=[], done=[]).finished
    page = report(Source(*early), "").page.decode()
    assert "4 of 6 groups are done. No more are needed: every comparison is decided." in page
    assert "is not finished" not in page
