"""Checkpoints: what was offered comes back, damage is named, and the one before serves."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

import weedout_core as wc
from tests.lab.conftest import forbid
from weedout_core.errors import RunError
from weedout_core.lab import files
from weedout_core.lab.experiment.arms import LeftOut, Start, Work
from weedout_core.lab.experiment.so_far import NOTHING, GroupProgress
from weedout_core.lab.run.checkpoints import Checkpoints, Pace
from weedout_core.lab.run.sealed import FORMAT

NET = wc.Network((wc.nn.Dense("dense", 4), wc.nn.BatchNorm("norm"), wc.nn.Mask("site"), wc.nn.Dense("logits", 2)), (3,))


def trained(epochs: int) -> wc.Trained:
    rng = np.random.default_rng(epochs)
    params = {path: rng.random(shape, np.float32) for path, shape in wc.nn.parameter_shapes(NET).items()}
    network = wc.Subnetwork(
        NET,
        params,
        {"site": np.arange(4) % 2 == 0},
        {path: value + 1 for path, value in wc.nn.initial_statistics(NET).items()},
    )
    history = tuple(
        wc.Epoch(epoch + 1, rng.random(), rng.random(), np.nan if epoch else 0.5, epoch, 2 * epoch)
        for epoch in range(epochs)
    )
    config = wc.TrainConfig(epochs=9, schedule="step", step_epochs=(2, epochs + 2), learning_rate=1 / 3)
    began = wc.Beginning("net", "params", "mask", "statistics", "x", "y", None, (2**32 - 1, epochs), False, config)
    velocity = {path: -value for path, value in params.items()}
    return wc.Trained(network, velocity, rng.random(5 * epochs), history, began, "seal")


def generation(number: int, fitness: list[float]) -> wc.Generation:
    began = wc.SearchBeginning(
        "net",
        "x",
        "y",
        (7, 2**32 - 1),
        (("site", 1 / 3),),
        (("site", 4),),
        wc.SearchConfig(population=2, reading="section3", budget=9),
    )
    origin = wc.backend.Origin(number, 1)
    return wc.Generation(number, -1 / 3, -2 / 3, -4.0, origin, number, 2, np.array(fitness), began)


def progress(epochs: int) -> GroupProgress:
    history = (generation(0, [-1.0, np.nan]), generation(1, [-2.0, -3.0]))
    network, dense = trained(1).network, wc.Network((wc.nn.Dense("logits", 2),), (3,))
    weights = {path: np.ones(shape, np.float32) for path, shape in wc.nn.parameter_shapes(dense).items()}
    work = Work(9, 0, 3, 2, 2**70)
    chosen = (
        Start(network, None, wc.backend.Origin(1, 2), -1 / 3, None, 9, "budget", 7, history, 1e-9, work),
        Start(network, {"site": np.array([1, 2, np.inf, -0.0])}),
        LeftOut("random", "for some reason"),
        Start(wc.Subnetwork(dense, weights)),
    )
    scored = (generation(0, [-4.0, -np.inf]),)
    return GroupProgress("parents", chosen, scored, Work(2, 1), (trained(epochs),) if epochs else ())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


OWNER = {"run": "digest", "group": "sparsity-0.5"}
EVERY = Pace(minutes=0, epochs=None)


def checkpoints(path: Path, warnings: list[str] | None = None, pace: Pace = EVERY) -> Checkpoints:
    heard = [] if warnings is None else warnings
    return Checkpoints(path / "checkpoints", OWNER, NET, pace, heard.append, clock=Clock())


def assert_same(found: GroupProgress, wanted: GroupProgress) -> None:
    assert found == wanted, "to the bit, NaN to NaN"


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_what_is_offered_comes_back_to_the_bit(tmp_path: Path, epochs: int) -> None:
    checkpoints(tmp_path).offer(lambda: progress(epochs), None)
    found = checkpoints(tmp_path).latest()
    assert_same(found, progress(epochs))
    for one in found.trained:
        assert type(one.began) is wc.Beginning
        assert one.began == trained(epochs).began, "with its types: a tuple stays a tuple"
        assert all(type(epoch.not_finite) is int for epoch in one.history)


@pytest.mark.parametrize(
    "array",
    [
        np.array(2.0),
        np.ones((0, 3)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.broadcast_to(np.array(True), (2, 3)),
        np.arange(6, dtype=">f4"),
    ],
    ids=["scalar", "empty", "by columns", "apart", "repeated", "other byte order"],
)
def test_arrays_of_any_shape_and_order_come_back(array: np.ndarray) -> None:
    found = load(files.packed({"array": array}))["array"]
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


def test_slices_that_are_trained_and_the_one_in_work_come_back_in_order(tmp_path: Path) -> None:
    wanted = GroupProgress("", (), (), Work(), (*(trained(3) for _ in range(11)), trained(1)))
    checkpoints(tmp_path).offer(lambda: wanted, None)
    assert_same(checkpoints(tmp_path).latest(), wanted)


def test_without_a_checkpoint_there_is_nothing(tmp_path: Path) -> None:
    assert checkpoints(tmp_path).latest() is NOTHING


def test_the_pace_is_minutes_and_epochs(tmp_path: Path) -> None:
    store = checkpoints(tmp_path, pace=Pace(minutes=2, epochs=3))
    fetched: list[int] = []

    def offer(epoch: int | None) -> None:
        store.offer(lambda: (fetched.append(epoch or 0), progress(epoch or 0))[1], epoch)

    offer(1)
    assert not fetched, "one minute has not passed, and the epoch is not the third: nothing is fetched from the device"
    offer(3)
    assert fetched == [3], "every third epoch"
    store.clock.now = 119.0  # type: ignore[attr-defined]
    offer(4)
    assert fetched == [3]
    store.clock.now = 120.0  # type: ignore[attr-defined]
    offer(5)
    assert fetched == [3, 5], "two minutes after the last"


def test_flush_writes_what_was_offered_last_and_only_once(tmp_path: Path) -> None:
    store = checkpoints(tmp_path, pace=Pace(minutes=60, epochs=None))
    store.flush()
    assert store.latest() is NOTHING, "nothing was offered"
    store.offer(lambda: progress(1), None)
    store.offer(lambda: progress(2), None)
    store.flush()
    store.flush()
    assert_same(store.latest(), progress(2))
    assert len(list(store.path.glob("*.json"))) == 1


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    store = checkpoints(tmp_path)
    for epochs in (1, 2, 3, 4):
        store.offer(lambda epochs=epochs: progress(epochs), None)
    assert sorted(item.name for item in store.path.iterdir()) == [
        "000003.json", "000003.safetensors", "000004.json", "000004.safetensors",
    ]  # fmt: skip
    store.remove()
    assert not store.path.exists()
    store.remove()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("000002.safetensors", lambda content: content[:-1]),
        ("000002.safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        ("000002.safetensors", lambda content: b""),
        ("000002.json", lambda content: content[:40]),
        ("000002.json", lambda content: content.replace(b'"epochs": [\n      2', b'"epochs": [\n      1')),
        ("000002.json", lambda content: content.replace(b'"digest"', b'"another run"')),
        ("000002.json", lambda content: b"[]"),
        ("000002.safetensors", None),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path: Path, name: str, damage) -> None:
    store = checkpoints(tmp_path)
    for epochs in (1, 2):
        store.offer(lambda epochs=epochs: progress(epochs), None)
    file = store.path / name
    content = file.read_bytes()
    if damage is None:
        file.unlink()
    else:
        assert damage(content) != content
        file.write_bytes(damage(content))
    warnings: list[str] = []
    assert_same(checkpoints(tmp_path, warnings).latest(), progress(1))
    (said,) = warnings
    assert "000002" in said
    assert ("is missing. " if damage is None else "is damaged: ") in said
    assert said.endswith("This checkpoint is deleted, and the one before it is used, if there is one.")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replaced(found: bytes, by: bytes) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(found, by))

    return replace


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        *((f"000002.{kind}", change, "cannot be read: it is no regular file. Make it readable")
          for kind in ("json", "safetensors") for change in (pipe, folder)),
        *(("000002.json", replaced(b'"format": %d' % FORMAT, b'"format": %d' % other),
           f"must have format {FORMAT}; got {other}: another version wrote it.") for other in (FORMAT - 1, FORMAT + 1)),
        ("", replaced(b"", b""), "must have group 'sparsity-0.5', as the run's config.json says; got 'sparsity-0.8'."),
    ],
)  # fmt: skip
def test_what_is_no_damage_is_refused_and_stays(
    tmp_path: Path, name: str, change: Callable[[Path], None], said: str
) -> None:
    store = checkpoints(tmp_path)
    if not name:
        store.owner = {**OWNER, "group": "sparsity-0.8"}
    for epochs in (1, 2):
        store.offer(lambda epochs=epochs: progress(epochs), None)
    if name:
        change(store.path / name)
    _refused_and_kept(tmp_path, said)


@pytest.mark.parametrize("name", ["000002.json", "000002.safetensors", "checkpoints"])
def test_what_cannot_be_read_is_refused_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    store = checkpoints(tmp_path)
    for epochs in (1, 2):
        store.offer(lambda epochs=epochs: progress(epochs), None)
    forbid(monkeypatch, store.path.parent / name if name == "checkpoints" else store.path / name)
    _refused_and_kept(tmp_path, f"{name} cannot be read: Permission denied.")


def _refused_and_kept(path: Path, said: str) -> None:
    before = sorted((path / "checkpoints").rglob("*"))
    warnings: list[str] = []
    with pytest.raises(RunError) as refused:
        checkpoints(path, warnings).latest()
    assert said in str(refused.value)
    assert not warnings
    assert sorted((path / "checkpoints").rglob("*")) == before, "nothing is deleted"


def test_a_damaged_checkpoint_is_no_fallback(tmp_path: Path) -> None:
    store = checkpoints(tmp_path)
    for epochs in (1, 2):
        store.offer(lambda epochs=epochs: progress(epochs), None)
    (store.path / "000002.safetensors").write_bytes(b"")
    again = checkpoints(tmp_path)
    assert_same(again.latest(), progress(1))
    again.offer(lambda: progress(3), None)
    damaged = max(again.path.glob("*.safetensors"))
    damaged.write_bytes(b"")
    assert_same(checkpoints(tmp_path).latest(), progress(1))  # the last whole one is kept beside the new one


def test_a_damaged_checkpoint_that_cannot_be_deleted_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = checkpoints(tmp_path)
    store.offer(lambda: progress(1), None)
    (store.path / "000001.safetensors").write_bytes(b"")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(RunError, match=r"000001\.json cannot be deleted: Permission denied"):
        checkpoints(tmp_path).latest()


def test_a_process_killed_between_the_two_files_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    store = checkpoints(tmp_path)
    for epochs in (1, 2):
        store.offer(lambda epochs=epochs: progress(epochs), None)
    (store.path / "000002.json").unlink()
    again = checkpoints(tmp_path)
    assert_same(again.latest(), progress(1))
    again.offer(lambda: progress(3), None)
    assert_same(again.latest(), progress(3))


def test_a_full_disk_is_one_sentence_and_costs_neither_the_run_nor_an_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings = list[str]()
    store = checkpoints(tmp_path, warnings)
    store.offer(lambda: progress(1), None)

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "_write_through", full)
        store.offer(lambda: progress(2), None)
        with pytest.raises(RunError, match=r"^\S*000002\.safetensors cannot be written: No space left on device"):
            store.flush()
    (said,) = warnings
    assert "000002.safetensors cannot be written: No space left on device" in said
    assert said.endswith("The run goes on without this checkpoint.")
    assert_same(checkpoints(tmp_path).latest(), progress(1))
    store.offer(lambda: progress(3), None)
    assert_same(checkpoints(tmp_path).latest(), progress(3))
