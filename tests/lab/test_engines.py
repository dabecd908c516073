"""Engines of others: Ray, on one node and on two of which one is killed, and any executor, such as Dask's.

They are no part of the extra ``test``: these tests are skipped where Ray or Dask is not installed.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import weedout_core as wc
from weedout_core import lab
from weedout_core.errors import ConfigError, RunError, WorkerError
from weedout_core.lab.commands.options import RunOptions

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[str]]

TABLES = ("results.csv", "curves.csv", "search.csv", "ledger.csv")
RUN = [
    *("paper", "--backend", "numpy", "--hidden", "16", "--sparsity", "0", "0.5", "--repeats", "3", "--threads", "1"),
    *("--population", "4", "--generations", "2", "--epochs", "40", "--batch-size", "64"),
]
JUDGED = {
    "config": lab.ExperimentConfig(
        hidden=(8,),
        backend="numpy",
        search=wc.SearchConfig(population=2, generations=1),
        train=wc.TrainConfig(epochs=1),
    ),
    "judging": lab.JudgeConfig(sparsity=(0.5,), repeats=(2,), sanity=False, baseline="random"),
}


def check_same(one: Path, other: Path) -> None:
    for name in TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    for path in (one / "masks").iterdir():
        assert (other / "masks" / path.name).read_bytes() == path.read_bytes(), path


def code_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    err = process.communicate(timeout=300)[1]
    return process.returncode, err


_NODES = """
import os, signal, subprocess, sys, time
from weedout_core.lab.engines.on_ray import QUIET
os.environ.update(QUIET)
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
run = [sys.executable, "-m", "weedout_core", *sys.argv[1:], "--engine", "ray", "--address", cluster.address]
process = subprocess.Popen(run)
while not os.path.exists(sys.argv[sys.argv.index("--out") + 1] + "/groups/sparsity-0.0") and process.poll() is None:
    time.sleep(0.02)
for one in second.live_processes():
    one[1].send_signal(signal.SIGKILL)
code = process.wait()
cluster.shutdown()
sys.exit(code)
"""


def test_ray_gives_the_bytes_of_one_process_and_says_nothing_of_itself(start: Start, tmp_path: Path) -> None:
    """Also with two nodes, one of which is killed, and from where a process was ended with other workers."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'weedout-core[ray]'")
    assert code_of(start(*RUN, "--out", "whole"))[0] == 0
    code, err = code_of(start(*RUN, "--out", "tasks", "--engine", "ray"))
    assert code == 0, err
    lines = err.splitlines()
    assert lines[0] == "tasks: 0 of 6 groups done"
    assert all(line.startswith("sparsity ") for line in lines[1:]), err
    assert any(" epoch " in line for line in lines), "it tells how far it is"
    check_same(tmp_path / "whole", tmp_path / "tasks")
    code, err = code_of(start(*RUN, "--out", "nodes", by=("-c", _NODES)))
    assert code == 0, err
    check_same(tmp_path / "whole", tmp_path / "nodes")
    hit = start(*RUN, "--out", "hit", "--workers", "1")
    while not (tmp_path / "hit" / "groups" / "sparsity-0.0").exists():
        assert hit.poll() is None
        time.sleep(0.02)
    hit.send_signal(signal.SIGKILL)
    hit.communicate()
    ended = start(*RUN, "--out", "hit", "--engine", "ray")
    while len(list((tmp_path / "hit").glob("groups/sparsity-?.?*[0-9]"))) < 2:
        assert ended.poll() is None
        time.sleep(0.02)
    ended.send_signal(signal.SIGTERM)
    code, err = code_of(ended)
    assert code == 143, err
    assert err.splitlines()[-1].startswith("weedout: ended by SIGTERM; "), err
    assert code_of(start(*RUN, "--out", "hit"))[0] == 0
    check_same(tmp_path / "whole", tmp_path / "hit")


def test_ray_that_is_not_there_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from weedout_core.lab.engines.on_ray import OnRay

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"the engine ray needs Ray \(.*\): pip install 'weedout-core\[ray\]'\."):
        OnRay(None, 1, 0)


def test_ray_that_is_not_there_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="the engine ray needs Ray"):
        lab.judge(
            "magnitude", lab.ExperimentConfig(backend="numpy"), run=RunOptions(out=tmp_path / "run", engine="ray")
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"engine": "ray", "workers": 2}, 'workers=2 has no effect without the engine "processes"'),
        ({"address": "auto"}, "address='auto' has no effect without the engine \"ray\""),
        ({"cpus_per_unit": 1}, 'cpus_per_unit=1.0 has no effect without the engine "ray"'),
        ({"workers": 0}, "workers must be an integer of at least 1"),
    ],
)
def test_what_has_no_effect_on_an_engine_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RunOptions(**given)


def judged(folder: Path, method: Any = "magnitude", executor: Executor | None = None) -> lab.Judgement:
    return lab.judge(method, run=RunOptions(out=folder), executor=executor, **JUDGED)


def test_any_executor_of_processes_computes_a_judgement(tmp_path: Path) -> None:
    whole = judged(tmp_path / "whole")
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert judged(tmp_path / "pool", executor=pool).results == whole.results
    check_same(tmp_path / "whole", tmp_path / "pool")


def test_dask_computes_a_judgement(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install distributed")
    whole = judged(tmp_path / "whole")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        assert judged(tmp_path / "dask", executor=client.get_executor()).results == whole.results
    check_same(tmp_path / "whole", tmp_path / "dask")


class Losing(Executor):
    """Loses whatever it is handed."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(RunError("the worker ended with code 1."))
        return future


def test_where_all_workers_are_lost_the_run_ends_with_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WorkerError, match=r"2 of 2 groups could not be computed, for .*\. 0 of 2 groups"):
        judged(tmp_path / "run", executor=Losing())
    said = capfd.readouterr().err
    assert said.count("is computed again, because its worker was lost: the worker ended with code 1.") == 4
    assert said.count(" failed: the worker ended with code 1. It was tried 3 times.") == 1, "it is the same for both"
