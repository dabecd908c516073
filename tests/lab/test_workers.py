"""Workers: the same bytes for any number of them, whatever happens to them, and one sentence on what goes wrong."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from weedout_core.errors import RunError
from weedout_core.lab.commands.computing import variables
from weedout_core.lab.engines.driver import drive
from weedout_core.lab.engines.here import Here
from weedout_core.lab.engines.job import Failed
from weedout_core.lab.engines.processes import Processes
from weedout_core.lab.experiment.groups import Group

Start = Callable[..., subprocess.Popen[str]]
Weedout = Callable[..., int]

TABLES = ("results.csv", "curves.csv", "search.csv", "ledger.csv")
GROUPS = [Group(0.5, repeat, repeat + 1) for repeat in range(5)]


class Backwards(Executor):
    """Gives what it was handed last first, and loses some: it says how often each group was lost, or is to be."""

    def __init__(self, lose: dict[Group, int]) -> None:
        self.lose, self.begun = lose, list[Group]()
        self.waiting = list[tuple["Future[Any]", Group]]()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.waiting.append((future, *args))
        self.begun.append(*args)
        if len(self.waiting) == 2 or len(self.begun) >= 5:
            while self.waiting:
                one, group = self.waiting.pop()
                if self.lose.get(group, 0) > 0:
                    self.lose[group] -= 1
                    one.set_exception(RunError("the worker was ended by SIGKILL."))
                else:
                    one.set_result(Failed("host", str(group)))
        return future


def driven(executor: Executor, most: int = 2) -> list[tuple[Group, Any]]:
    taken: list[tuple[Group, Any]] = []
    drive(
        executor,
        lambda where, group: where.submit(lambda one: Failed("here", str(one)), group),
        GROUPS,
        lambda group, one: taken.append((group, one)),
        most,
    )
    return taken


def test_every_group_is_taken_once_in_whatever_order_it_is_done() -> None:
    taken = driven(Backwards({GROUPS[1]: 2, GROUPS[4]: 1}))
    assert sorted(group for group, _ in taken) == GROUPS
    assert all(one == Failed("host", str(group)) for group, one in taken)


def test_a_group_whose_worker_is_lost_each_time_is_given_up() -> None:
    executor = Backwards({GROUPS[2]: 99})
    taken = dict(driven(executor))
    assert taken.keys() == {*GROUPS}
    assert taken.pop(GROUPS[2]) == Failed("", "the worker was ended by SIGKILL. It was tried 3 times.")
    assert executor.begun.count(GROUPS[2]) == 3
    assert all(one.host == "host" for one in taken.values())


def test_without_workers_groups_are_done_in_order_and_errors_come_through() -> None:
    assert [group for group, _ in driven(Here(), 1)] == GROUPS
    with pytest.raises(KeyboardInterrupt):
        Here().submit(_interrupt)


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_what_is_done_when_the_driver_is_interrupted_is_taken() -> None:
    finished: Future[Any] = Future()
    open_ones = [Future[Any](), finished, Future[Any]()]
    taken: list[Group] = []

    class Interrupted(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
            return open_ones[args[0].first]

    def submit(executor: Executor, group: Group) -> "Future[Any]":
        if group.first == 3:
            finished.set_result("done")
            raise KeyboardInterrupt
        return executor.submit(print, group)

    with pytest.raises(KeyboardInterrupt):
        drive(Interrupted(), submit, GROUPS, lambda group, one: taken.append(group), 99)
    assert taken == [GROUPS[1]]
    assert all(one.cancelled() for one in (open_ones[0], open_ones[2]))


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_says_how_it_ended() -> None:
    pool = Processes(1, lambda number: {"WEEDOUT_TEST": f"worker {number}"})
    try:
        assert pool.submit(os.getenv, "WEEDOUT_TEST").result(60) == "worker 0"
        assert "WEEDOUT_TEST" not in os.environ
        with pytest.raises(
            RunError, match=r"the worker was ended by SIGKILL, as a system does that is out of memory\."
        ):
            pool.submit(signal.raise_signal, signal.SIGKILL).result(60)
        with pytest.raises(RunError, match=r"the worker ended with code 7\."):
            pool.submit(os._exit, 7).result(60)
        with pytest.raises(Exception, match="pickle"):
            pool.submit(lambda: None).result(60)
        first = pool.submit(os.getpid).result(60)
        assert first != os.getpid()
        slow, waiting = pool.submit(time.sleep, 600), pool.submit(os.getpid)
        while not slow.running():
            time.sleep(0.01)
        begun = time.monotonic()
        pool.stop()
        assert time.monotonic() - begun < 30, "it was asked to end"
        with pytest.raises(RunError, match="the worker ended with code 0"):
            slow.result(60)
        assert waiting.cancelled()
        assert not Path(f"/proc/{first}").exists() or sys.platform != "linux"
    finally:
        pool.shutdown()


def test_a_worker_has_its_threads_and_its_own_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert variables(2, False, 1) == dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    assert [variables(None, True, number) for number in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": one} for one in ("3", "5", "3")
    ]


def check_same(one: Path, other: Path) -> None:
    for name in TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    masks = sorted((one / "masks").iterdir())
    assert masks
    for path in masks:
        assert (other / "masks" / path.name).read_bytes() == path.read_bytes(), path


def ended(process: subprocess.Popen[str], sent: signal.Signals) -> str:
    """What a process says that is asked to end, after which its workers are gone too."""
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(sent)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == (-sent if sent == signal.SIGKILL else 128 + sent), err
    end = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < end, "a worker stays"
        time.sleep(0.05)
    return err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a process's children as files")
def test_runs_of_any_number_of_workers_that_are_hit_end_as_one_of_none(start: Start, tmp_path: Path) -> None:
    run = [
        *("paper", "--backend", "numpy", "--hidden", "16", "--sparsity", "0", "0.5", "--repeats", "5"),
        *("--population", "4", "--generations", "2", "--epochs", "40", "--batch-size", "64"),
    ]
    whole = start(*run, "--out", "whole")

    progress: list[Path] = []

    def done() -> int:
        return len(list((tmp_path / "hit").glob("groups/sparsity-?.?*[0-9]")))

    assert whole.wait(300) == 0
    for number, sent in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)):
        before = done()
        hit = start(*run, "--out", "hit", "--workers", 1 + number % 2)
        end = time.monotonic() + 120
        while done() == before:
            assert hit.poll() is None, hit.communicate()[1]
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.2)
        said = ended(hit, sent).splitlines()
        assert (
            sent == signal.SIGKILL
            or "groups are done; all progress is kept in hit, and the same command continues." in said[-1]
        )
        assert not any("Traceback" in line for line in said), said
        progress += list((tmp_path / "hit" / "checkpoints").glob("*/*.json")) if sent != signal.SIGKILL else []
    assert progress, "workers that are asked to end write it"
    last = start(*run, "--out", "hit", "--workers", 3)
    assert last.wait(300) == 0, last.communicate()[1]
    check_same(tmp_path / "whole", tmp_path / "hit")
    assert not (tmp_path / "hit" / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_two_workers_give_the_bytes_of_one_process(
    start: Start,
    weedout: Weedout,
    tmp_path: Path,
    small: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    backend: str,
) -> None:
    """Also where this process has other threads than the run, which are those of each worker."""
    pytest.importorskip(f"weedout_{backend}")
    run = [*small[:-1], backend, "--threads", "2"]
    one = start(*run, "--out", "one")
    err = one.communicate(timeout=300)[1]
    assert one.returncode == 0, err
    assert weedout(*run, "--out", "two", "--workers", "2") == 0
    check_same(tmp_path / "one", tmp_path / "two")
    lines = [
        sorted(line for line in said.splitlines() if line.startswith("sparsity "))
        for said in (err, capfd.readouterr().err)
    ]
    assert lines[0] == lines[1], "the progress of each group"
    assert any(" epoch " in line for line in lines[0])


@pytest.mark.slow
def test_what_fails_in_a_worker_is_a_sentence_and_other_groups_go_on(
    weedout: Weedout, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing.py").write_text(
        "import numpy as np\n"
        "def by_half(task):\n"
        "    if task.repeat == 1:\n"
        "        raise ArithmeticError('no masks today')\n"
        "    space = wc.mask_space(task.net)\n"
        "    return {site: np.arange(np.prod(shape)).reshape(shape) < 4 for site, shape in space.items()}\n"
        "import weedout_core as wc\n"
    )
    run = [
        *("judge", "--arm", "failing:by_half", "--no-sanity", "--baseline", "random", "--sparsity", "0.5"),
        *("--repeats", "2", "3", "--hidden", "8", "--epochs", "1", "--population", "2", "--generations", "1"),
        *("--backend", "numpy", "--out", "run", "--workers", "2"),
    ]
    assert weedout(*run) == 1
    said = capfd.readouterr().err.splitlines()
    host = os.uname().nodename
    (failed,) = [line for line in said if " failed on " in line]
    assert failed.startswith(
        f"weedout: sparsity 0.5, repeat 1 failed on {host}: the arm by_half failed at sparsity 0.5, "
    )
    assert failed.endswith("ArithmeticError: no masks today")
    assert said[-1] == (
        "weedout: 1 of 2 groups could not be computed, for the reasons above. 1 of 3 groups are done; all progress "
        "is kept in run, and the same command computes what is missing."
    )
    assert len((tmp_path / "run" / "results.csv").read_text().splitlines()) == 1 + 3, "of three arms"
