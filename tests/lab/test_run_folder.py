"""The run folder: what is committed, what is refused, and that nothing is written where it is refused."""

import errno
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from safetensors.numpy import load_file

from tests.lab.conftest import SMALL
from weedout_core import load_backend
from weedout_core.backend import Backend, TrainState
from weedout_core.errors import RunError
from weedout_core.lab import files
from weedout_core.lab.cli import main
from weedout_core.lab.experiment.decided import Decided
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.group import GroupResult, run_group
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.rows import ResultRow, SearchRow, TimingRow, from_csv, to_csv
from weedout_core.lab.run.record import differences, record_from_json, record_to_json
from weedout_core.lab.run.sealed import FORMAT

Weedout = Callable[..., int]


TABLES = ("results.csv", "curves.csv", "search.csv", "ledger.csv", "left_out.csv", "thresholds.csv", "timings.csv")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small run on the reference, computed once."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main([*SMALL, "--backend", "numpy", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def finished(_finished: Path, weedout: Weedout, tmp_path: Path) -> Path:
    """That run in the folder run, which a test may change."""
    return shutil.copytree(_finished, tmp_path / "run")


def test_a_run_leaves_what_it_promises(weedout: Weedout, small: list[str], tmp_path: Path) -> None:
    assert weedout(*small, "--out", "run") == 0
    folder = tmp_path / "run"
    wanted = {"config.json", *TABLES, "figure2.png", "masks"}
    assert wanted <= {path.name for path in folder.iterdir()}
    results = from_csv(ResultRow, (folder / "results.csv").read_text(), "")
    assert [(row.sparsity, row.arm, row.repeat) for row in results] == [
        (sparsity, arm, repeat) for sparsity in (0.0, 0.5) for arm in ("weedout", "control") for repeat in (0, 1)
    ]
    assert len((folder / "curves.csv").read_text().splitlines()) == 1 + 8 * 2
    assert len((folder / "search.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    assert (folder / "figure2.png").read_bytes().startswith(b"\x89PNG")
    masks = load_file(folder / "masks" / "sparsity-0.5.safetensors")
    assert masks["weedout/0/hidden_0"].dtype == np.bool_
    assert masks["control/1/hidden_1"].sum() == 3


@pytest.mark.slow
def test_a_run_says_where_its_searches_were_close(
    weedout: Weedout,
    small: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert weedout(*small, "--out", "run") == 0
    assert "decided by fitness" not in capfd.readouterr().out
    rows = from_csv(SearchRow, (tmp_path / "run" / "search.csv").read_text(), "")
    apart = [row.margin for row in rows if row.sparsity > 0 and row.margin is not None]
    assert len(apart) == 4, "two searches of two generations"
    assert all(0 < margin <= row.best - row.worst for margin, row in zip(apart, rows[4:], strict=True)), apart
    assert [row.final_margin for row in rows] == [None if row.generation == 0 else row.margin for row in rows]
    monkeypatch.setattr("weedout_core.lab.report.sentences.too_close", lambda fitness: math.inf)
    assert weedout(*small, "--out", "run") == 0
    assert "2 of 4 searches were decided by fitness that differs by less than inf" in capfd.readouterr().out


@pytest.mark.parametrize("winner", ["best_overall", "rescored"])
def test_a_run_says_that_the_election_of_its_winner_was_close(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, winner: str
) -> None:
    run = [
        *("paper", "--backend", "numpy", "--hidden", "8", "--sparsity", "0.5", "--repeats", "1", "--epochs", "0"),
        *("--population", "4", "--generations", "5", "--validation-batch", "16", "--winner", winner, "--out", "run"),
    ]
    assert weedout(*run) == 0
    assert "decided by fitness" not in capfd.readouterr().out
    rows = from_csv(SearchRow, (tmp_path / "run" / "search.csv").read_text(), "")
    final = rows[-1].final_margin
    assert final is not None
    within = [row.margin for row in rows if row.margin is not None]
    # Of the elections within a generation none counts, so that only the winner's can.
    monkeypatch.setattr(SearchRow, "margin", None)
    assert final not in within
    for limit, said in ((final, False), (np.nextafter(final, 1), True)):
        monkeypatch.setattr("weedout_core.lab.report.sentences.too_close", lambda fitness, limit=limit: limit)
        assert weedout(*run) == 0
        assert ("1 of 1 searches was decided by fitness" in capfd.readouterr().out) == said


def test_config_holds_everything_that_was_chosen(weedout: Weedout, small: list[str], tmp_path: Path) -> None:
    weedout(*small, "--out", "run", "--learning-rate", "0.01")
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["identity"]["train"]["learning_rate"] == 0.01
    assert record["identity"]["search"]["population"] == 4
    assert record["identity"]["seed"] == 0
    assert record["command"].startswith("weedout paper --hidden 8 6")
    assert record["chunk"] == 4
    assert record["groups"] == [
        {"sparsity": sparsity, "first": repeat, "end": repeat + 1, "trained_together": 2}
        for sparsity in (0.0, 0.5)
        for repeat in range(2)
    ]
    assert {"python", "numpy", "weedout-core", "device"} <= set(record["environment"])
    assert {"row": 17, "point": "control", "field": "ExperimentConfig.control", "value": "member"} in record["choices"]


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="a name must be text here")
@pytest.mark.slow
def test_a_path_of_bytes_that_are_no_text_is_recorded(
    weedout: Weedout, small: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"run\xff")
    assert weedout(*small, "--out", name) == 0
    assert r"run\udcff: every cell in results.csv" in capfd.readouterr().out
    record = json.loads((tmp_path / name / "config.json").read_bytes())
    assert name in record["command"]
    assert weedout(*small, "--out", name) == 0, "it is the same run"


@pytest.mark.slow
def test_without_out_the_folder_is_named_by_the_digest(weedout: Weedout, small: list[str], tmp_path: Path) -> None:
    assert weedout(*small) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    record = json.loads((folder / "config.json").read_text())
    assert folder.name == f"digits-{record['digest'][:12]}"
    assert weedout(*small) == 0, "the same command finds the same folder"
    assert weedout(*small, "--seed", "1") == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2, "another seed is another run"


@pytest.mark.slow
def test_only_timings_tell_two_runs_apart(weedout: Weedout, small: list[str], tmp_path: Path) -> None:
    assert weedout(*small, "--out", "one") == 0
    assert weedout(*small, "--out", "two") == 0
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    different = {name for name in one if one[name] != two[name]}
    assert one.keys() == two.keys()
    assert {Path(name).name for name in different} <= {"timings.csv", "manifest.json", "config.json"}
    mine, theirs = (json.loads(files["config.json"]) for files in (one, two))
    assert mine.pop("checksum") != theirs.pop("checksum")
    assert {**mine, "command": mine["command"].replace("--out one", "--out two")} == theirs
    for name in (name for name in one if name.endswith("manifest.json")):
        mine, theirs = json.loads(one[name]), json.loads(two[name])
        for manifest in (mine, theirs):
            del manifest["sha256"]["timings.csv"], manifest["checksum"]
        assert mine == theirs, "a manifest differs in the checksum of the clock times alone"


@pytest.mark.slow
def test_a_finished_run_is_shown_again_and_not_computed(
    weedout: Weedout, small: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weedout(*small, "--out", "run")
    first = capfd.readouterr().out
    before = contents(tmp_path / "run")
    assert weedout(*small, "--out", "run") == 0
    again = capfd.readouterr()
    assert again.out == first
    assert "4 of 4 groups done" in again.err
    assert contents(tmp_path / "run") == before


@pytest.mark.slow
def test_a_missing_group_is_computed_again_with_equal_bytes(weedout: Weedout, small: list[str], finished: Path) -> None:
    before = (finished / "results.csv").read_bytes()
    shutil.rmtree(finished / "groups" / "sparsity-0.0")
    (finished / "groups" / "sparsity-0.0.partial").mkdir()
    (finished / "groups" / "sparsity-0.0.partial" / "results.csv").write_text("half a li")
    (finished / "results.csv").unlink()
    assert weedout(*small, "--out", "run") == 0
    assert (finished / "results.csv").read_bytes() == before
    assert not list(finished.rglob("*.partial"))


def refused(weedout: Weedout, capfd: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """What the command says when it refuses a folder, having changed nothing in it."""
    capfd.readouterr()
    before = contents(folder)
    assert weedout(*arguments) == 2
    assert contents(folder) == before, "nothing is written"
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("weedout: ")
    assert err.count("\n") == 1, "one line"
    return err


@pytest.mark.slow
def test_a_different_run_in_the_folder_is_refused_and_named(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = refused(weedout, capfd, finished, *small, "--out", "run", "--seed", "7", "--momentum", "0.5")
    assert "holds a different run" in said
    assert "seed (0 there, 7 here)" in said
    assert "train.momentum (0.9 there, 0.5 here)" in said
    assert "population" not in said, "what agrees is not named"


def test_a_strangers_folder_is_refused(
    weedout: Weedout, small: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("precious")
    assert "must be empty or hold a run with its config.json; it holds 'chapter1.tex'" in refused(
        weedout, capfd, tmp_path / "thesis", *small, "--out", "thesis"
    )
    (tmp_path / "file").write_text("")
    assert weedout(*small, "--out", "file") == 2
    assert "weedout: file cannot be read: Not a directory. Choose another folder with" in capfd.readouterr().err
    assert weedout(*small, "--out", "file/below") == 2
    assert "file/below cannot be read: Not a directory" in capfd.readouterr().err


@pytest.mark.parametrize(("module", "closed"), [(Path, "lstat"), (os, "listdir")])
def test_a_closed_folder_is_one_sentence(
    weedout: Weedout,
    small: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    closed: str,
) -> None:
    (tmp_path / "closed").mkdir()
    asked = getattr(module, closed)

    def refuse(path: Any = ".") -> object:
        if str(path) == "closed":
            raise PermissionError(13, "Permission denied")
        return asked(path)

    monkeypatch.setattr(module, closed, refuse)  # an administrator may read everything: it is simulated
    assert weedout(*small, "--out", "closed") == 2
    said = capfd.readouterr().err
    assert said == "weedout: closed cannot be read: Permission denied. Choose another folder with --out.\n"
    assert weedout(*small, "--out", "n" * 300) == 2
    assert capfd.readouterr().err.count("\n") == 1, "a name too long"


@pytest.mark.slow
def test_other_versions_are_refused_unless_allowed(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = finished / "config.json"
    record = record_from_json(path.read_bytes(), path)
    path.write_bytes(record_to_json(record._replace(environment={**record.environment, "numpy": "0.0.1"})))
    said = refused(weedout, capfd, finished, *small, "--out", "run")
    assert f'other library versions: numpy ("0.0.1" there, "{np.__version__}" here)' in said
    assert "--allow-other-versions" in said
    assert weedout(*small, "--out", "run", "--allow-other-versions") == 0
    kept = json.loads(path.read_text())
    assert kept["environment"]["numpy"] == "0.0.1"
    assert [other["numpy"] for other in kept["other_environments"]] == [np.__version__], "and it is on record"


DAMAGED_CONFIGS: list[tuple[str, str]] = [
    ('"seed": 0', '"seed": 1'),
    ('"chunk": 4,', '"chunk": 3,'),
    (f'"format": {FORMAT}', '"format": 8'),
    (f'"format": {FORMAT}', '"format": 99'),
    ('"format"', '"formal"'),
    ('"command": "weedout', '"command": "weeded'),
    ('"checksum"', '"checked"'),
    ('"trained_together": 2', '"trained_together": 3'),
    ('"trained_together": 2', '"trained_together": 0'),
    ('"trained_together": 2', '"trained_together": true'),
    ('"trained_together"', '"trained"'),
    ('"groups": [', '"groups": [{},'),
    ('"end": 2', '"end": 3'),
]


@pytest.mark.slow
def test_a_damaged_config_is_refused(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = finished / "config.json"
    whole = path.read_text()
    for damaged in (whole[:100], "[]", *(whole.replace(*change) for change in DAMAGED_CONFIGS)):
        assert damaged != whole
        path.write_text(damaged)
        said = refused(weedout, capfd, finished, *small, "--out", "run")
        other = (
            f"config.json must have format {FORMAT}; got" in said
            and "another version wrote it. Use that version." in said
        )
        assert other or "config.json is damaged" in said
        assert said.endswith("Restore it, or choose another folder.\n")


@pytest.mark.slow
def test_the_chunk_of_the_beginning_is_kept(
    weedout: Weedout, small: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished / "config.json"
    path.write_bytes(record_to_json(record_from_json(path.read_bytes(), path)._replace(chunk=3)))
    shutil.rmtree(finished / "groups")
    (finished / "checkpoints" / "sparsity-0.0").mkdir(parents=True)
    (finished / "checkpoints" / "sparsity-0.0" / "begun").touch()
    used: list[int | None] = []
    monkeypatch.setattr(
        "weedout_core.lab.engines.unit.run_group",
        lambda experiment, decided, *_: used.append(decided.chunk) or _interrupt(),
    )
    assert weedout(*small, "--out", "run") == 130
    assert used == [3]


@pytest.mark.slow
def test_how_many_are_trained_at_once_is_decided_once(
    weedout: Weedout, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[float, int | None]] = []
    compute = run_group

    def watched(experiment: Experiment, decided: Decided, group: Group, *rest: Any) -> GroupResult:
        used.append((group.sparsity, decided.together))
        return compute(experiment, decided, group, *rest)

    monkeypatch.setattr("weedout_core.lab.engines.unit.run_group", watched)
    assert weedout(*small, "--out", "run") == 0
    path = tmp_path / "run" / "config.json"
    record = record_from_json(path.read_bytes(), path)
    assert record.identity["together"] is None, "what was asked"
    record.groups[2]["trained_together"] = 1
    path.write_bytes(record_to_json(record))
    shutil.rmtree(tmp_path / "run" / "groups" / "sparsity-0.5")
    assert weedout(*small, "--out", "run") == 0
    assert used == [(0.0, 2), (0.0, 2), (0.5, 2), (0.5, 2), (0.5, 1)]
    assert [group["trained_together"] for group in json.loads(path.read_text())["groups"]] == [2, 2, 1, 2]


@pytest.mark.slow
def test_together_is_recorded_and_changes_no_result_of_the_reference(
    weedout: Weedout, small: list[str], finished: Path, tmp_path: Path
) -> None:
    assert weedout(*small, "--out", "some", "--together", "3") == 0
    record = json.loads((tmp_path / "some" / "config.json").read_text())
    assert record["identity"]["together"] == 3
    assert [group["trained_together"] for group in record["groups"]] == [3, 3]
    for name in ("results.csv", "curves.csv"):
        assert (tmp_path / "some" / name).read_bytes() == (finished / name).read_bytes(), name


@pytest.mark.slow
def test_a_device_too_small_is_named_once_and_one_network_is_trained_at_a_time(
    weedout: Weedout,
    small: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = replace(load_backend("numpy"), memory=2**20)
    monkeypatch.setattr("weedout_core.lab.commands.running.load_backend", lambda *_, **__: tiny)
    assert weedout(*small, "--out", "run") == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "one at a time" in line]
    assert len(said) == 1
    assert said[0].startswith("weedout: warning: training one network on batches of 256 examples is estimated to take")
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert [group["trained_together"] for group in record["groups"]] == [1, 1, 1, 1]


@pytest.mark.slow
def test_weights_that_were_not_kept_are_named(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(finished / "groups" / "sparsity-0.5")
    capfd.readouterr()
    assert weedout(*small, "--out", "run", "--save-parameters") == 0
    warned = (
        "weedout: warning: sparsity 0, repeats 0-1; sparsity 0.5, repeat 1: computed without --save-parameters, so "
        "that the weights were not kept. "
        "To get them, give another --out, where everything is computed again."
    )
    assert warned in capfd.readouterr().err.splitlines()
    assert [path.parent.name for path in finished.rglob("parameters.safetensors")] == ["sparsity-0.5"]
    assert weedout(*small, "--out", "other", "--save-parameters") == 0
    assert weedout(*small, "--out", "other", "--save-parameters") == 0
    assert "warning" not in capfd.readouterr().err, "they are there"


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_two_processes_cannot_share_a_folder(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with FileLock(finished / ".lock"):
        assert "run is in use by another process" in refused(weedout, capfd, finished, *small, "--out", "run")
    assert weedout(*small, "--out", "run") == 0, "the lock is free again"


def test_a_folder_where_a_process_died_at_once_is_taken(weedout: Weedout, small: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / "config.json.partial").write_text("{")
    assert weedout(*small, "--out", "run") == 0


RESULTS = "results.csv"
GROUP_FILES = {
    *TABLES,
    *("masks.safetensors", "parameters.safetensors", "manifest.json"),
}
DAMAGES: list[tuple[str, Callable[[bytes], bytes | None]]] = [
    *((name, lambda content: content[:20]) for name in sorted(GROUP_FILES)),
    ("manifest.json", lambda content: None),
    (RESULTS, lambda content: None),
    (RESULTS, lambda content: b""),
    (RESULTS, lambda content: content + b"\xff"),
    (RESULTS, lambda content: content.replace(b"0.5", b"0.6")),
    (RESULTS, lambda content: b"".join(content.splitlines(keepends=True)[:-1])),
    (RESULTS, lambda content: content.replace(b"\n", b"\r\n")),
]


@pytest.mark.slow
def test_a_damaged_group_is_refused_by_the_name_of_its_file(
    weedout: Weedout, small: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = [*small, "--out", "run", "--save-parameters"]
    assert weedout(*run) == 0
    whole = contents(tmp_path / "run")
    shown = Path("run", "groups", "sparsity-0.5")
    group = tmp_path / shown
    assert {path.name for path in group.iterdir()} == GROUP_FILES
    for name, damage in DAMAGES:
        before = (group / name).read_bytes()
        after = damage(before)
        (group / name).unlink() if after is None else (group / name).write_bytes(after)
        said = refused(weedout, capfd, tmp_path / "run", *run)
        assert str(shown / name) in said
        assert said.endswith(f"Remove the folder {shown}, and the command of the run computes that group again.\n")
        (group / name).write_bytes(before)
    shutil.rmtree(group)
    assert weedout(*run) == 0, "the remedy is one"
    again = contents(tmp_path / "run")
    assert {Path(name).name for name in whole if again[name] != whole[name]} <= {"timings.csv", "manifest.json"}


@pytest.mark.slow
def test_a_damaged_group_is_refused_before_the_others_are_computed(
    weedout: Weedout,
    small: list[str],
    finished: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = finished / "groups"
    shutil.rmtree(groups / "sparsity-0.5")
    (groups / "sparsity-0.0" / RESULTS).write_bytes(b"")
    monkeypatch.setattr("weedout_core.lab.engines.unit.run_group", lambda *_: pytest.fail("it began"))
    assert f"sparsity-0.0/{RESULTS} is damaged" in refused(weedout, capfd, finished, *small, "--out", "run")


def test_what_is_damaged_while_a_run_works_is_not_assembled(
    weedout: Weedout,
    small: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compute = run_group

    def damaging(experiment: Experiment, decided: Decided, group: Group, *rest: Any) -> GroupResult:
        if group.sparsity == 0.5:
            (tmp_path / "run" / "groups" / "sparsity-0.0" / "masks.safetensors").write_bytes(b"")
        return compute(experiment, decided, group, *rest)

    monkeypatch.setattr("weedout_core.lab.engines.unit.run_group", damaging)
    assert weedout(*small, "--out", "run") == 2
    assert "sparsity-0.0/masks.safetensors is damaged" in capfd.readouterr().err
    assert (tmp_path / "run" / "masks" / "sparsity-0.0.safetensors").stat().st_size > 0, "what was whole is kept"


@pytest.mark.slow
def test_a_group_of_another_run_is_refused(
    weedout: Weedout, small: list[str], finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert weedout(*small, "--out", "other", "--seed", "1") == 0
    groups, others = finished / "groups", tmp_path / "other" / "groups"
    shutil.rmtree(groups / "sparsity-0.5")
    shutil.copytree(others / "sparsity-0.5", groups / "sparsity-0.5")
    assert "manifest.json must have run " in refused(weedout, capfd, finished, *small, "--out", "run")
    shutil.rmtree(groups / "sparsity-0.5")
    shutil.copytree(groups / "sparsity-0.0", groups / "sparsity-0.5")
    said = refused(weedout, capfd, finished, *small, "--out", "run")
    assert "manifest.json must have group 'sparsity-0.5', as the run's config.json says; got 'sparsity-0.0'" in said


@pytest.mark.slow
def test_a_manifest_that_leaves_out_a_file_is_refused(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = finished / "groups" / "sparsity-0.5" / "manifest.json"
    described = json.loads(path.read_text())
    del described["sha256"]["masks.safetensors"]
    for damaged in (described, [], {**described, "sha256": None}):
        path.write_text(json.dumps(damaged))
        assert "is damaged" in refused(weedout, capfd, finished, *small, "--out", "run")


def test_rows_survive_their_way_through_text() -> None:
    rows = [
        SearchRow(0.1 + 0.2, 0, 1, -1e-17, math.inf, -2.5, 1e-300, 3, 4, None),
        SearchRow(0.0, 1, 1, 1 / 3, 2e300, 0.5, None, 0, 4, 1e-7),
    ]
    assert from_csv(SearchRow, to_csv(SearchRow, rows), "") == rows
    timing = TimingRow(0.5, "train", None, 1.25, None)
    assert to_csv(TimingRow, [timing]) == "sparsity,phase,repeat,seconds,compile_seconds\n0.5,train,,1.25,\n"
    assert from_csv(TimingRow, to_csv(TimingRow, [timing]), "") == [timing]


def test_differences_name_the_place() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": None}) == ["a.c (2 there, 3 here)"]
    arms = [{"name": name, "source": ""} for name in ("weedout", "control", "magnitude", "magnitude.shuffled", "snip")]
    other = [*arms[:-2], {"name": "synflow", "source": ""}]
    said = ["arms (only there: magnitude.shuffled, snip; only here: synflow)"]
    assert differences({"arms": arms}, {"arms": other}) == said, "not cut short"
    assert differences({"arms": arms}, {"arms": [*arms[:-1], {"name": "snip", "source": "b"}]}) != []
    (long,) = differences({"a": list(range(99))}, {})
    assert long.startswith("a ([0, 1, 2, ")
    assert long.endswith("... there, null here)")
    assert len(long) < 100, "a long value is cut short"
    assert differences({"a": "x" * 64}, {}) == [f'a ("{"x" * 54}..." there, null here)'], "and its quotes are closed"


@pytest.mark.parametrize("number", [*errno.errorcode, 9999])
def test_whatever_the_system_says_of_a_write_the_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    said = {errno.ENOSPC: "Make room there.", errno.EROFS: "Allow it, or choose", errno.EISDIR: "Remove what is there."}

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunError) as refused:
        files.write_file(tmp_path / "table.csv", b"new")
    sentence = f"{tmp_path / 'table.csv'} cannot be written: {os.strerror(number)}. What was there is kept. "
    assert str(refused.value).startswith(sentence + said.get(number, ""))
    assert re.search(r"\. (Make|Allow|Remove|See) .*\.$", str(refused.value))
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    files.write_file(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=r"table\.csv cannot be written: No space left on device"):
        files.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    with pytest.raises(RunError, match="cannot be written"):
        files.write_folder(tmp_path / "group", {"results.csv": b"new"})
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"], "what is unfinished leaves the disk again"


@pytest.mark.slow
def test_a_checkpoint_that_is_refused_is_one_sentence(
    weedout: Weedout,
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It cannot be read, or it began with other initial weights, as other versions of a library draw them."""

    def with_calls(**calls: Callable[..., Any]) -> None:
        def patched(*args: Any, **options: Any) -> Backend:
            return replace(load_backend(*args, **options), **calls)

        monkeypatch.setattr("weedout_core.lab.commands.running.load_backend", patched)

    own = load_backend("numpy")

    def interrupted(net: Any, plan: Any, state: TrainState, *rest: Any) -> Any:
        if state.epoch == 1:
            raise KeyboardInterrupt
        return own.train_epoch(net, plan, state, *rest)

    def drawn(key: Any, specs: Any) -> Any:
        return {path: np.nextafter(value, 1) for path, value in own.draw_parameters(key, specs).items()}

    with_calls(train_epoch=interrupted)
    assert weedout(*small, "--out", "run") == 130
    checkpoints, again = Path("run") / "checkpoints" / "sparsity-0.0", "and the same command computes this group again."
    (newest,) = checkpoints.glob("*.json")
    content = newest.read_bytes()
    newest.unlink()
    newest.mkdir()
    capfd.readouterr()
    assert weedout(*small, "--out", "run") == 2
    assert capfd.readouterr().err.endswith(f" Delete the folder {checkpoints.absolute()}, {again}\n")
    newest.rmdir()
    newest.write_bytes(content)
    with_calls(draw_parameters=drawn)
    assert weedout(*small, "--out", "run") == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith(
        f"weedout: {tmp_path / checkpoints} holds another training: it began with other initial weights"
    )
    assert said.endswith(f"Delete that folder, {again}")
    shutil.rmtree(tmp_path / checkpoints)
    assert weedout(*small, "--out", "run") == 0


@pytest.mark.slow
@pytest.mark.parametrize("inner", ["below", "groups/below", "checkpoints/below", "masks", "report"])
def test_nothing_is_written_into_the_folder_of_another_run(
    weedout: Weedout, small: list[str], finished: Path, capfd: pytest.CaptureFixture[str], inner: str
) -> None:
    """Which deletes its checkpoints when it is done, with all that lies there."""
    said = refused(weedout, capfd, finished, *small, "--seed", "1", "--out", f"run/{inner}")
    assert f"run/{inner} lies in the folder of the run {finished}. Choose another with --out." in said
    if inner != "below":
        assert "is in the folder of the run run. Choose another" in refused(
            weedout, capfd, finished, "report", "run", "--out", f"run/{inner}"
        )
