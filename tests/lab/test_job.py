"""What a worker refuses to compute, in one sentence, and what it computes without seeing the run's folder."""

import json
import os
import re
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import weedout_core as wc
from weedout_core import lab
from weedout_core.errors import WorkerError
from weedout_core.lab.engines import job as jobs
from weedout_core.lab.engines.job import Done, Failed, Job
from weedout_core.lab.experiment.groups import Group

CONFIG = lab.ExperimentConfig(
    hidden=(8,), backend="numpy", search=wc.SearchConfig(population=2, generations=1), train=wc.TrainConfig(epochs=2)
)
JUDGING = lab.JudgeConfig(sparsity=(0.5,), repeats=(2,), sanity=False, baseline="random")

Change = Callable[[Job], Job]


class Elsewhere(Executor):
    """Computes in this process, as if it were a worker that was told of the job as it is changed."""

    def __init__(self, change: Change) -> None:
        self.change, self.outcomes = change, list[Done | Failed]()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        job, dataset, group = args
        jobs._places.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # in a worker nothing else says what is to become of them
            self.outcomes.append(fn(self.change(job), dataset, group))
        future: Future[Any] = Future()
        future.set_result(self.outcomes[-1])
        return future


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    yield
    jobs._places.clear()


def judged(
    folder: Path, change: Change = lambda job: job, judging: lab.JudgeConfig = JUDGING, **options: Any
) -> Elsewhere:
    executor = Elsewhere(change)
    run = lab.RunOptions(out=folder, checkpoint_minutes=0, **options)
    lab.judge("magnitude", CONFIG, judging, run, executor=executor)
    return executor


def _identity(**changed: Any) -> Change:
    return lambda job: job._replace(record=job.record._replace(identity={**job.record.identity, **changed}))


def _raise(error: BaseException) -> Any:
    raise error


REFUSED: list[tuple[Change, str]] = [
    (
        lambda job: job._replace(record=job.record._replace(environment={**job.record.environment, "numpy": "0.1"})),
        r"a worker must have the versions of the run; it has others: numpy \(\"0.1\" there, .* here\)\. Install those",
    ),
    (_identity(dataset_digest="0"), r"the data digits must be those of the run; here they are others\. Copy its files"),
    (
        lambda job: job._replace(
            experiment=job.experiment._replace(config=lab.ExperimentConfig(hidden=(8,), backend="elsewhere"))
        ),
        "unknown backend 'elsewhere'",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("change", "said"), REFUSED, ids=["versions", "data", "backend"])
def test_a_worker_that_would_compute_something_else_says_so(
    change: Change, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerError, match=r"^2 of 2 groups could not be computed"):
        judged(tmp_path / "run", change)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if " failed on " in line]
    assert re.search(rf"^weedout: sparsity 0.5, repeat 0 failed on {os.uname().nodename}: {said}", line), line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory ran out."),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (SystemExit(1), "SystemExit: 1"),
    ],
    ids=["memory", "disk", "exit"],
)
def test_what_a_worker_runs_out_of_is_said(
    error: BaseException, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "load_backend", lambda *_, **__: _raise(error))
    executor = Elsewhere(lambda job: job)
    with pytest.raises(WorkerError):
        lab.judge("magnitude", CONFIG, JUDGING, lab.RunOptions(out=tmp_path / "run"), executor=executor)
    assert [one.why for one in executor.outcomes if isinstance(one, Failed)] == [said] * 2


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_folder_computes_without_checkpoints(tmp_path: Path) -> None:
    seen = judged(tmp_path / "seen")
    hidden = judged(tmp_path / "hidden", lambda job: job._replace(mark=(0, 0)))
    results = [[one.computed.result.results for one in run.outcomes if isinstance(one, Done)] for run in (seen, hidden)]
    assert len(results[0]) == 2
    assert results[0] == results[1]
    assert not (tmp_path / "hidden" / "checkpoints").exists()


def test_checkpoints_of_a_worker_that_sees_the_folder_lie_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    compute = jobs.compute_group

    def watched(*args: Any) -> Any:
        computed = compute(*args)
        found.extend(path.parent.name for path in (tmp_path / "run" / "checkpoints").rglob("*.json"))
        return computed

    monkeypatch.setattr(jobs, "compute_group", watched)
    judged(tmp_path / "run")
    assert {*found} == {Group(0.5, 0, 1).folder, Group(0.5, 1, 2).folder}


@pytest.mark.slow
def test_another_kind_of_cpu_is_recorded_and_other_versions_where_they_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"numpy": "0.1", "cpu": "another one"}
    real = jobs.environment
    monkeypatch.setattr(jobs, "environment", lambda backend: {**real(backend), **there})
    judged(tmp_path / "run", allow_other_versions=True)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert [{name: one[name] for name in there} for one in record["other_environments"]] == [there]
    monkeypatch.setattr(jobs, "environment", lambda backend: {**real(backend), "cpu": "another one"})
    judged(tmp_path / "cpu")
    assert len(json.loads((tmp_path / "cpu" / "config.json").read_text())["other_environments"]) == 1


def test_what_is_said_about_checkpoints_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    compute = jobs.compute_group

    def warned(*args: Any) -> Any:
        args[5].warn("a checkpoint is damaged.")
        return compute(*args)

    monkeypatch.setattr(jobs, "compute_group", warned)
    judged(tmp_path / "run")
    assert capfd.readouterr().err.count("weedout: warning: a checkpoint is damaged.") == 2


def test_what_the_driver_warns_of_is_said_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    judged(tmp_path / "run", judging=replace(JUDGING, sparsity=(0.99,)))
    assert capfd.readouterr().err.count("would remove all 8 nodes") == 1
