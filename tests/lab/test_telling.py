"""How far groups are that workers compute: what they write, and what the driver reads meanwhile."""

import pickle
from pathlib import Path

import pytest

from weedout_core.lab.engines.telling import Told, tell
from weedout_core.lab.experiment.events import GroupFinished, PhaseStarted
from weedout_core.lab.experiment.groups import Group

GROUPS = [Group(0.5, repeat, repeat + 1) for repeat in range(2)]


def begins(group: Group, phase: str) -> PhaseStarted:
    return PhaseStarted(group, phase, None)


def test_what_workers_tell_is_read_once_and_in_order_and_the_files_of_groups_that_end_are_deleted(
    tmp_path: Path,
) -> None:
    told = Told(tmp_path)
    assert [*told.events()] == []
    for group in GROUPS:
        tell(tmp_path, begins(group, "train"))
    assert sorted(told.events()) == [begins(group, "train") for group in GROUPS]
    assert [*told.events()] == []
    (first, second), last = sorted(tmp_path.iterdir()), begins(GROUPS[1], "evaluate")
    tell(tmp_path, last)
    tell(tmp_path, GroupFinished(GROUPS[1]))
    assert [*told.events()] == [last], "the driver knows of the end by the results"
    assert [*tmp_path.iterdir()] == [second]
    tell(tmp_path, last)
    assert first.exists()
    assert [*told.events()] == [last], "where it is computed again"


def test_what_is_not_written_whole_waits(tmp_path: Path) -> None:
    told, event = Told(tmp_path), begins(GROUPS[0], "train")
    content = pickle.dumps(event)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        (tmp_path / "one").write_bytes(content + content[:length])
        assert [*told.events()] == ([] if length else [event])
    (tmp_path / "one").write_bytes(2 * content)
    assert [*told.events()] == [event]


@pytest.mark.parametrize("folder", ["nowhere", "file"])
def test_a_worker_that_does_not_see_the_folder_tells_nothing(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    tell(tmp_path / folder, begins(GROUPS[0], "train"))
    assert [*Told(tmp_path / folder).events()] == [], "nor does the driver miss it"
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
