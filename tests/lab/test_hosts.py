"""The command on two hosts, each with four devices: here two processes of this machine, each with its parent."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.test_resume import finished, newest, wait_until
from tests.processes import free_port
from weedout_core.lab.signals import KEPT

pytestmark = pytest.mark.slow

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def hosts(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """Starts the command on two hosts."""
    pytest.importorskip("weedout_jax")
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what JAX writes lies there
    run = [  # a step for each epoch, because on few cores the sums over the devices of two processes take long
        *("paper", "--backend", "jax", "--devices", "8", "--hidden", "8", "--sparsity", "0.5", "--repeats", "1"),
        *("--population", "8", "--generations", "1", "--epochs", "40", "--train-examples", "128", "--test-examples"),
        *("64", "--batch-size", "128", "--cache", str(tmp_path / "cache"), "--checkpoint-minutes", "0"),
    ]

    def both() -> list[Any]:
        where = ["--coordinator", f"localhost:{free_port()}", "--processes", "2"]
        return [start(*run, "--out", out, *where, "--process", str(n)) for n, out in enumerate(("run", "elsewhere"))]

    return both


def test_a_run_of_two_hosts_goes_on_after_one_is_killed_and_after_one_is_asked_to_end(
    hosts: Callable[[], list[Any]], tmp_path: Path
) -> None:
    done, checkpoints = 0, tmp_path / "run" / "checkpoints" / "sparsity-0.5"
    for sent, codes in ((signal.SIGKILL, (1, -signal.SIGKILL)), (signal.SIGTERM, (143, 143))):
        running = hosts()
        wait_until(lambda done=done: newest(checkpoints) > done + 3, running[0])
        running[1].send_signal(sent)
        hit = time.monotonic()
        ended = [finished(process) for process in running]
        assert [code for code, _ in ended] == [*codes], ended
        said = [line for _, err in ended for line in err.splitlines() if line.startswith("weedout: ")]
        assert len(said) == sum(code > 0 for code in codes), f"a sentence of each that could say one: {said}"
        assert time.monotonic() - hit < 60
        assert "was lost" in said[0] or sent is signal.SIGTERM, said
        assert len(ended[1][1].splitlines()) <= 1, f"process 0 alone prints: {ended[1]}"
        assert all("***" not in err and "Traceback" not in err for _, err in ended), f"a stack: {ended}"
        assert ("generation" in ended[0][1]) == (done == 0), "only the first run searches; others go on from there"
        done = newest(checkpoints)
    same = "the same command continues."
    assert said[0] == f"weedout: ended by SIGTERM; 0 of 1 groups are done; all progress is kept in run, and {same}"
    assert said[1] == f"weedout: ended by SIGTERM; {KEPT}", "the second host's, which has no folder"
    (code, err), (other, nothing) = map(finished, hosts())
    assert (code, other) == (0, 0), (err, nothing)
    assert nothing == "", "process 0 alone prints"
    assert "generation" not in err
    assert not (tmp_path / "elsewhere").exists(), "process 0 alone writes"
    assert len((tmp_path / "run" / "results.csv").read_text().splitlines()) == 3
