"""Every file of a run's folder, damaged in every way: what is read is right, or is refused by the file's name."""

import math
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import SMALL, forbid
from weedout_core.errors import RunError, WeedoutWarning
from weedout_core.lab.cli import main
from weedout_core.lab.commands.checked_run import source_of
from weedout_core.lab.commands.pages import Place, check_own
from weedout_core.lab.experiment.decided import Decided
from weedout_core.lab.experiment.experiment import Experiment
from weedout_core.lab.experiment.group import GroupResult, run_group
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.rows import AnyRow, ResultRow, to_csv
from weedout_core.lab.files import read_file, write_file
from weedout_core.lab.report.source import Source
from weedout_core.lab.run.manifest import Verified
from weedout_core.lab.run.opening import open_run
from weedout_core.lab.run.record import record_from_json
from weedout_core.lab.run.run_folder import TABLES, RunFolder

pytestmark = pytest.mark.slow

Weedout = Callable[..., int]
Damage = Callable[[Path, Path, pytest.MonkeyPatch], object]

TINY = ["--hidden", "6", "--sparsity", "0.5", "0.8", "--population", "2", "--generations", "1", "--epochs", "1"]
JUDGE = ["judge", "magnitude", "--no-sanity", *TINY, "--repeats", "2", "--backend", "numpy"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished run with all files that a run can have, and another one of another seed."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("run", "0"), ("other", "1")):
        assert main([*JUDGE, "--save-parameters", "--seed", seed, "--out", str(folder / name)]) == 0
    return folder / "run", folder / "other"


def _change(path: Path, other: Path, patched: pytest.MonkeyPatch) -> None:
    content = bytearray(path.read_bytes() or b"\n")
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def _swap(path: Path, other: Path, patched: pytest.MonkeyPatch) -> None:
    """With the next file in the same folder."""
    beside = [one for one in sorted(path.parent.iterdir()) if one.is_file() and one != path]
    between = next((one for one in beside if one > path), beside[0] if beside else other)
    mine, theirs = path.read_bytes(), between.read_bytes()
    path.write_bytes(theirs)
    if between != other:
        between.write_bytes(mine)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _link(path: Path, other: Path, patched: pytest.MonkeyPatch) -> None:
    _remove(path)
    path.symlink_to(other)


def _file(path: Path, other: Path, patched: pytest.MonkeyPatch) -> None:
    _remove(path)
    path.write_text("mine")


def _folder(path: Path, other: Path, patched: pytest.MonkeyPatch) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path, other: Path, patched: pytest.MonkeyPatch) -> None:
    _remove(path)
    os.mkfifo(path)


DAMAGES: dict[str, Damage] = {
    "changed": _change,
    "truncated": lambda path, other, patched: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path, other, patched: path.write_bytes(b""),
    "deleted": lambda path, other, patched: path.unlink(),
    "swapped": _swap,
    "another run's": lambda path, other, patched: path.write_bytes(other.read_bytes()),
    "linked to another run's": _link,
    "linked to nothing": lambda path, other, patched: _link(path, path.with_name("nothing"), patched),
    "linked to what never ends": lambda path, other, patched: _link(path, Path("/dev/zero"), patched),
    "a pipe": _pipe,
    "a folder": _folder,
    "forbidden": lambda path, other, patched: forbid(patched, path),
}


#: Damages that a folder of a run can have too. One that is deleted is made anew.
OF_FOLDERS: dict[str, Damage] = {
    "a file": _file,
    **{name: DAMAGES[name] for name in ("linked to another run's", "linked to nothing", "a pipe", "forbidden")},
}


def damaged(runs: tuple[Path, Path], folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """Copies of a run in which a file or a folder is damaged: the copy, what is damaged within it, and how."""
    whole, other = runs
    files = {name: DAMAGES for name in contents(whole) if "sparsity-0.5" not in name}
    folders = dict.fromkeys(("groups", "groups/sparsity-0.8", "masks"), OF_FOLDERS)
    for name, damages in {**files, **folders}.items():
        for damage, make in damages.items():
            run = shutil.copytree(whole, folder / "run")
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(os, "fsync", lambda descriptor: None)  # no machine stops here
                make(run / name, other / name, patched)
                yield run, run / name, damage
            shutil.rmtree(run)


def shown(source: Source) -> list[Any]:
    """All that a report takes from a run, as far as it can be compared."""
    masks = [{name: mask.tolist() for name, mask in source.masks(group).items()} for group in source.done]
    return [repr(source._replace(masks=lambda group: {})._asdict() | {"masks": None}), masks]


#: What to do, which ends each sentence.
REMEDY = re.compile(r"[.:] (Remove|Restore|Delete|Put|Make|Choose|Use|Allow|Give)\b")


def refusal(act: Callable[[], object], file: Path, damage: str) -> bool:
    """Whether something is refused; then by the name of the file, or where two were swapped, of either one."""
    try:
        act()
    except RunError as error:
        said = str(error)
    else:
        return False
    files = [file, *(file.parent.iterdir() if damage == "swapped" else ())]
    top = [one.name for one in files if (one.parent / "groups").exists()]
    assert any(one in said for one in (*map(str, files), *top)), (file, damage, said)
    assert REMEDY.search(said), (file, damage, said)
    return True


def test_a_report_shows_what_was_computed_or_names_the_file(runs: tuple[Path, Path], tmp_path: Path) -> None:
    wanted, refusals = shown(source_of(runs[0])), 0

    def read() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeedoutWarning)  # of tables of the whole run, which are not shown
            assert shown(source_of(tmp_path / "run")) == wanted

    for _, file, damage in damaged(runs, tmp_path):
        refusals += refusal(read, file, damage)
    assert refusals > 10 * len(list(runs[0].glob("groups/sparsity-0.8/*"))), "no damage of a group is shown"


def test_the_run_goes_on_from_what_was_computed_or_names_the_file(runs: tuple[Path, Path], tmp_path: Path) -> None:
    before, others = contents(runs[0]), contents(runs[1])
    record = record_from_json(before["config.json"], runs[0])
    made_anew = {name for name in before if not name.startswith((".lock", "figure2", "verdict"))}

    def go_on() -> None:
        with open_run(tmp_path / "run", record) as folder:
            assert folder.committed == folder.groups
            folder.assemble()
            folder.rows("results.csv", ResultRow)

    for run, file, damage in damaged(runs, tmp_path):
        there = {} if damage == "forbidden" else contents(run)
        if refusal(go_on, file, damage):
            assert not there or contents(run) == there, (file, damage, "nothing is written")
        elif there:
            after = contents(run)
            assert {name for name in made_anew if after[name] != before[name]} == set(), (file, damage)
    assert contents(runs[1]) == others, "nothing is written by a link"


@pytest.mark.parametrize("name", ["groups", "masks"])
def test_nothing_is_written_into_a_linked_folder(runs: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    run, other = (shutil.copytree(one, tmp_path / one.name) for one in runs)
    before = contents(other)
    shutil.rmtree(run / name)
    (run / name).symlink_to(other / name)
    with pytest.raises(RunError, match=name), open_run(run, record_from_json((run / "config.json").read_bytes(), run)):
        pass
    assert contents(other) == before


# Rows


def _with_checksum(folder: RunFolder, group: Group, name: str, rows: Sequence[AnyRow]) -> None:
    """Write a table of a group as if it had been computed so."""
    path = folder.path / "groups" / group.folder
    (path / name).write_bytes(to_csv(TABLES[name], rows).encode())
    verified = Verified(path / "manifest.json", folder.record.owner(group), "")
    files = {one.name: one.read_bytes() for one in path.iterdir() if one.name != "manifest.json"}
    verified.manifest.write_bytes(verified.described(files))


WRONG_VALUES: list[tuple[str, Any]] = [
    ("sparsity", 0.6),
    ("sparsity", math.nan),
    ("repeat", 2),
    ("repeat", -1),
    ("arm", "another"),
    ("phase", "rest"),
    ("epoch", 2),
    ("test_accuracy", 1.5),
    ("test_accuracy", -0.1),
    ("train_accuracy", math.inf),
    ("achieved_sparsity", 1.1),
    ("macs", -1),
    ("steps", -1),
    ("evaluations", -1),
    ("seconds", -1.0),
    ("seconds", math.nan),
]


def test_rows_that_the_record_does_not_have_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    folder = RunFolder(run, record_from_json((run / "config.json").read_bytes(), run))
    group = Group(0.5, 0, 1)
    tried = set[str]()
    for name, kind in TABLES.items():
        rows: list[Any] = folder.rows(name, kind, [group])
        wrong = [
            [rows[0]._replace(**{field: value}), *rows[1:]]
            for field, value in WRONG_VALUES
            if rows and field in rows[0]._fields and (name, field) not in (("timings.csv", "phase"),)
        ]
        if name in ("results.csv", "curves.csv", "ledger.csv", "thresholds.csv"):
            wrong += [rows[1:], [*rows, rows[0]]] if name != "thresholds.csv" else [[*rows, rows[0]]]
        if name == "results.csv":
            wrong += [[rows[0]._replace(test_loss=math.nan), *rows[1:]], []]
        for damage in wrong:
            _with_checksum(folder, group, name, damage)
            with pytest.raises(RunError, match=r"must have .*; got .*\. Remove the folder .* again\."):
                folder.check()
            tried.add(name)
        _with_checksum(folder, group, name, rows)
        folder.check()
    assert tried >= {"results.csv", "curves.csv", "ledger.csv", "search.csv", "thresholds.csv", "timings.csv"}


def test_a_cell_that_diverged_is_right(runs: tuple[Path, Path], tmp_path: Path) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    folder = RunFolder(run, record_from_json((run / "config.json").read_bytes(), run))
    first, *others = folder.rows("results.csv", ResultRow, folder.groups[:1])
    nothing = dict.fromkeys(("train_accuracy", "train_loss", "test_accuracy", "test_loss"), math.nan)
    _with_checksum(folder, folder.groups[0], "results.csv", [first._replace(**nothing), *others])
    folder.check()


# While a run goes on


def _renamed(run: Path) -> None:
    run.rename(run.with_name("elsewhere"))


def _replaced(run: Path) -> None:
    _renamed(run)
    shutil.copytree(run.with_name("elsewhere"), run)


PLACE = "must stay the folder in which this run began, with its file .lock; it was moved, deleted or replaced."
WHILE_IT_RUNS: list[tuple[Callable[[Path], object], str]] = [
    (shutil.rmtree, PLACE),
    (_renamed, PLACE),
    (_replaced, PLACE),
    (lambda run: (run / ".lock").unlink(), PLACE),
    (lambda run: shutil.rmtree(run / "groups"), "groups/sparsity-0.0/manifest.json is missing. Remove the folder"),
    (lambda run: shutil.rmtree(run / "groups" / "sparsity-0.0"), "sparsity-0.0/manifest.json is missing."),
    (lambda run: (run / "groups" / "sparsity-0.0" / "search.csv").unlink(), "sparsity-0.0/search.csv is missing."),
    (lambda run: (run / "config.json").unlink(), ""),
    (lambda run: (run / "config.json").write_text("{}"), ""),
    (lambda run: (run / "results.csv").write_text("mine"), ""),
    (lambda run: shutil.rmtree(run / "masks"), ""),
]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Group, GroupResult]]:
    """The small run, and what its groups computed."""
    found: dict[Group, GroupResult] = {}

    def kept(experiment: Experiment, decided: Decided, group: Group, *rest: Any) -> GroupResult:
        return found.setdefault(group, run_group(experiment, decided, group, *rest))

    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("weedout_core.lab.engines.unit.run_group", kept)
        assert main([*SMALL, "--backend", "numpy", "--out", str(folder)]) == 0
    return folder, found


@pytest.mark.parametrize(("change", "said"), WHILE_IT_RUNS)
def test_a_folder_that_changes_under_a_run_is_made_whole_or_missed(
    result: tuple[Path, dict[Group, GroupResult]],
    weedout: Weedout,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    said: str,
) -> None:
    whole, computed = result
    monkeypatch.setattr("weedout_core.lab.commands.paper.figure2", lambda *_: (whole / "figure2.png").read_bytes())

    def watched(experiment: Experiment, decided: Decided, group: Group, *rest: Any) -> GroupResult:
        if group == Group(0.5, 0, 1):
            change(tmp_path / "run")
        return computed[group]

    monkeypatch.setattr("weedout_core.lab.engines.unit.run_group", watched)
    code = weedout(*SMALL, "--backend", "numpy", "--out", "run")
    out, err = capfd.readouterr()
    assert code == (2 if said else 0)
    if said:
        assert said in err.splitlines()[-1]
        assert out == "", "no table"
        assert (tmp_path / "run").exists() == (change not in (shutil.rmtree, _renamed)), "it is not made anew"
    else:
        mine, theirs = contents(tmp_path / "run"), contents(whole)
        assert {name for name in theirs if mine[name] != theirs[name]} <= {
            *("config.json", "timings.csv"),
            *(f"groups/{group.folder}/{name}" for group in computed for name in ("timings.csv", "manifest.json")),
        }


def test_an_interrupt_after_the_folder_was_moved_does_not_say_that_it_is_kept(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> GroupResult:
        _renamed(tmp_path / "run")
        raise KeyboardInterrupt

    monkeypatch.setattr("weedout_core.lab.engines.unit.run_group", interrupted)
    assert weedout(*SMALL, "--backend", "numpy", "--out", "run") == 2
    assert PLACE in capfd.readouterr().err.splitlines()[-1]


def test_a_file_that_no_memory_holds_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(path: Path) -> bytes:
        raise MemoryError

    (tmp_path / "huge").touch()
    monkeypatch.setattr(Path, "read_bytes", too_large)
    with pytest.raises(RunError, match=r"huge cannot be read: it is larger than the memory\."):
        read_file(tmp_path / "huge")


def test_what_is_unfinished_is_no_way_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "table.csv.partial").symlink_to(tmp_path / "precious")
    write_file(tmp_path / "table.csv", b"new")
    os.mkfifo(tmp_path / "table.csv.partial")
    write_file(tmp_path / "table.csv", b"newer")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "table.csv").read_bytes() == b"newer"


# What systems leave


@pytest.mark.parametrize("name", [".DS_Store", "._config.json", "Thumbs.db", "desktop.ini", ".nfs000", "lost+found"])
def test_what_systems_leave_makes_no_folder_anothers(runs: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    record = record_from_json((runs[0] / "config.json").read_bytes(), runs[0])
    new = tmp_path / "new"
    new.mkdir()
    (new / name).touch()
    with open_run(new, record) as folder:
        assert folder.committed == []
    for inner in ("groups", "checkpoints"):
        (new / inner).mkdir(exist_ok=True)
        (new / inner / name).touch()
    other = record_from_json((runs[1] / "config.json").read_bytes(), runs[1])
    with open_run(new, other) as folder:
        assert folder.record == other, "nothing was computed there"
    page = tmp_path / "page"
    page.mkdir()
    (page / name).touch()
    check_own(Place(page, "comparison.html", ""), "mark", "the comparison of these runs")
