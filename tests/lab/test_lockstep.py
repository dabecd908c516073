"""Processes that compute a run in lockstep: here threads of this one, which tell each other what processes would."""

import io
import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import weedout_core as wc
from weedout_core import lab
from weedout_core.backend import Backend, Peers
from weedout_core.errors import ConfigError, RunError, WorkerError
from weedout_core.lab import signals
from weedout_core.lab.commands import running
from weedout_core.lab.commands.options import PaperOptions
from weedout_core.lab.commands.paper import run_paper
from weedout_core.lab.engines import owner
from weedout_core.lab.run.run_folder import RunFolder

CONFIG = lab.ExperimentConfig(
    hidden=(8,), backend="numpy", sparsity=(0.5,), repeats=2, train_examples=200, test_examples=50,
    search=wc.SearchConfig(population=3, generations=2), train=wc.TrainConfig(epochs=3, batch_size=50),
)  # fmt: skip
TABLES = ("results.csv", "curves.csv", "search.csv", "ledger.csv")
Change = Callable[[Backend], Backend]


class Threads:
    """Peers that are threads. A thread that fails is lost to the other, but where both have left."""

    left = False

    def __init__(self) -> None:
        self.meeting, self.told, self.here = threading.Barrier(2, timeout=60), [b"", b""], threading.local()

    def peers(self) -> Peers:
        return Peers(self.here.number, 2, lambda content: self.gather(content)[0], self.gather, self.leave)

    def leave(self) -> None:
        self.meeting.wait()
        self.left = True

    def gather(self, message: bytes) -> list[bytes]:
        self.told[self.here.number] = message
        self.meeting.wait()
        told = [*self.told]
        self.meeting.wait()
        return told


class Outcome:
    """What became of the command in a process: the error that it ended with, and what it showed."""

    def __init__(self, error: BaseException | None, shown: str) -> None:
        self.error, self.shown = error, shown


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Outcome]]:
    """Runs the command in two processes; the second has its own options, and its backend may be changed."""
    for name, value in vars(type(signals._request)).items():
        if name in ("number", "ending", "heard"):
            monkeypatch.setattr(signals._request, name, value)
    load = running.load_backend

    def run(*options: PaperOptions, change: Change = lambda backend: backend) -> list[Outcome]:
        threads = Threads()

        def loaded(*arguments: Any, **more: Any) -> Backend:
            found = replace(load(*arguments, **more), peers=threads.peers())
            return change(found) if threads.here.number else found

        def command(number: int) -> Outcome:
            threads.here.number, text = number, io.StringIO()
            try:
                run_paper(options[number], (), Console(file=text), Console(file=text))
            except BaseException as error:
                if isinstance(error, WorkerError) and not threads.left:  # its process ends, and the other's calls fail
                    threads.meeting.abort()
                return Outcome(error, text.getvalue())
            return Outcome(None, text.getvalue())

        with monkeypatch.context() as patch, ThreadPoolExecutor(1) as other:
            patch.setattr(running, "load_backend", loaded)
            second = other.submit(command, 1)
            return [command(0), second.result()]

    return run


def options(folder: Path, config: lab.ExperimentConfig = CONFIG, **more: Any) -> PaperOptions:
    return PaperOptions(lab.RunOptions(out=folder, **more), config)


def check_whole(folder: Path) -> None:
    """A run that is whole, with the tables of one that a process computes by itself."""
    alone = folder.with_name("alone")
    run_paper(options(alone), (), *(Console(file=io.StringIO()) for _ in range(2)))
    for name in (*TABLES, "masks/sparsity-0.5.safetensors"):
        assert (folder / name).read_bytes() == (alone / name).read_bytes(), name


def after(offers: int, do: Callable[[], Any]) -> Change:
    """Lets the second process do something in its n-th epoch."""

    def change(backend: Backend) -> Backend:
        done = 0

        def train_epoch(*arguments: Any) -> Any:
            nonlocal done
            done += 1
            if done == offers:
                do()
            return backend.train_epoch(*arguments)

        return replace(backend, train_epoch=train_epoch)

    return change


def test_a_request_to_end_in_any_process_ends_all_and_they_go_on_from_there(
    both: Callable[..., list[Outcome]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "first", tmp_path / "second"
    asked = threading.local()
    monkeypatch.setattr(signals, "noted", lambda: getattr(asked, "number", None))
    ended = both(*map(options, folders), change=after(5, lambda: setattr(asked, "number", 15)))
    assert [type(one.error) for one in ended] == [KeyboardInterrupt] * 2
    assert re.search("1 of 2 groups are done; all progress is kept in ", str(ended[0].error)), "the others wait for it"
    assert signals.requested() == 128 + 15, "all end as the one that was asked to"
    monkeypatch.setattr(signals, "noted", lambda: None)
    first, second = both(*map(options, folders))
    assert first.error is None
    assert isinstance(second.error, SystemExit)
    assert second.error.code == 0
    epochs = [line for line in first.shown.splitlines() if " · epoch " in line]
    assert len(epochs) == 1, f"two of three epochs of the second group were in the checkpoint: {epochs}"
    assert second.shown == "", "process 0 alone prints"
    assert not folders[1].exists(), "process 0 alone writes"
    check_whole(folders[0])


def test_a_request_between_two_groups_ends_all(
    both: Callable[..., list[Outcome]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process 0 alone commits, while the other waits to be told of the next group."""
    commit = RunFolder.commit

    def interrupted(*arguments: Any) -> None:
        commit(*arguments)
        signals.end_as(15)

    monkeypatch.setattr(RunFolder, "commit", interrupted)
    first, second = both(*[options(tmp_path / "run")] * 2)
    assert isinstance(first.error, KeyboardInterrupt)
    assert isinstance(second.error, KeyboardInterrupt)
    assert re.search("^1 of 2 groups are done", str(first.error))


def test_an_error_of_process_0_between_two_groups_ends_all_with_an_error(
    both: Callable[..., list[Outcome]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunFolder, "commit", lambda *_: _raise(RunError("the disk is full.")))
    first, second = both(*[options(tmp_path / "run")] * 2)
    assert isinstance(first.error, RunError)
    assert isinstance(second.error, WorkerError)
    assert str(second.error) == f"process 0 failed between two groups, and says why; {signals.KEPT}"


def test_what_was_done_before_another_process_is_lost_is_kept(
    both: Callable[..., list[Outcome]], tmp_path: Path
) -> None:
    lost = both(*[options(tmp_path / "run")] * 2, change=after(2, lambda: _raise(SystemError("lost"))))
    assert isinstance(lost[0].error, WorkerError)
    said = (
        r"^2 processes computed together, and one of them was lost or failed \(BrokenBarrierError: \); what was saved"
    )
    assert re.search(said, str(lost[0].error))
    assert [*(tmp_path / "run" / "checkpoints").glob("*/*.json")], "though no minutes have passed"
    both(*[options(tmp_path / "run")] * 2)
    check_whole(tmp_path / "run")


def _raise(error: Exception) -> None:
    raise error


OTHER = r"^process 1 on .*: it must compute what process 0 computes; there and here differ: "


@pytest.mark.parametrize(
    ("second", "change", "said"),
    [
        (replace(CONFIG, seed=7), lambda backend: backend, OTHER + r"seed \(0 there, 7 here\)\. Give all of them"),
        (replace(CONFIG, train_examples=100), lambda backend: backend, OTHER + ".*dataset_digest"),
        (CONFIG, lambda backend: replace(backend, device="tpu"), OTHER + r"device \(.*\)\. Install the same"),
        (CONFIG, lambda backend: replace(backend, threads=99), r"^process 1 on .*: this run computes with "),
    ],
    ids=["options", "data", "versions", "threads"],
)
def test_a_process_that_would_compute_something_else_says_so_in_all(
    second: lab.ExperimentConfig, change: Change, said: str, both: Callable[..., list[Outcome]], tmp_path: Path
) -> None:
    told = both(options(tmp_path), options(tmp_path, second), change=change)
    for one in told:
        assert isinstance(one.error, RunError)
        assert re.search(said, str(one.error)), one.error
    assert not [*(tmp_path / "groups").iterdir()], "nothing was computed"


def test_other_versions_may_be_allowed(both: Callable[..., list[Outcome]], tmp_path: Path) -> None:
    allowed = options(tmp_path / "run", allow_other_versions=True)
    first, _ = both(allowed, allowed, change=lambda backend: replace(backend, device="cpu of another kind"))
    assert first.error is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"coordinator": "host:1", "workers": 2}, "coordinator='host:1' has no effect without the command itself comp"),
        ({"coordinator": "host:1", "engine": "ray"}, "coordinator='host:1' has no effect without the command itself c"),
        ({"process": 1}, "process=1 has no effect without a coordinator HOST:PORT"),
        ({"coordinator": "auto", "processes": 2}, "processes=2 has no effect without a coordinator HOST:PORT"),
        ({"coordinator": "host:1", "processes": 0}, "processes must be an integer of at least 1 or None; got 0"),
        ({"coordinator": "host:1", "process": -1}, "process must be an integer of at least 0 or None; got -1"),
    ],
)
def test_options_that_do_not_fit_each_other(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        lab.RunOptions(**given)


def test_a_coordinator_is_for_the_command() -> None:
    with pytest.raises(ConfigError, match="a coordinator is for the command weedout judge, on each host; got 'host:1'"):
        lab.judge("magnitude", run=lab.RunOptions(coordinator="host:1", processes=2, process=0))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (
            signal.SIGABRT,
            "the process of another host was lost, has ended, or did not come in time; its host says why; ",
        ),
        (signal.SIGKILL, "what computes here was ended by SIGKILL, as a system does that is out of memory; "),
        (signal.SIGSEGV, "what computes here was ended by SIGSEGV; "),
    ],
)
def test_how_the_process_that_computes_has_ended_is_a_sentence(
    number: signal.Signals, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(owner.subprocess, "Popen", lambda *_, **__: None)
    monkeypatch.setattr(owner, "_ended", lambda _: -number)
    with pytest.raises(WorkerError) as ended:
        owner.own(["paper"])
    (log,) = tmp_path.iterdir()
    assert str(ended.value) == f"{said}{signals.KEPT} JAX wrote to {log}."


def test_an_exit_code_is_passed_on_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(owner.subprocess, "Popen", lambda *_, **__: None)
    monkeypatch.setattr(owner, "_ended", lambda _: 2)
    assert owner.own(["paper"]) == 2
    assert not [*tmp_path.iterdir()]
