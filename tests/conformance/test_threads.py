"""How many threads a backend computes with: asked for when it connects, and told."""

import subprocess
import sys

import pytest

import weedout_core as wc
from weedout_core.errors import BackendError


def test_torch_computes_with_the_threads_that_were_asked_for_and_leaves_the_callers() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("weedout_torch")
    before = torch.get_num_threads()
    backend = wc.load_backend("torch", "cpu", threads=before + 1)
    assert backend.threads == before + 1
    with backend.fence():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert wc.load_backend("torch", "cpu").threads == before


#: In a process of its own, because JAX fixes the number when it is first asked for its devices.
_FIRST = """
import os
import weedout_core as wc
before, tasks = dict(os.environ), lambda: len(os.listdir("/proc/self/task"))
print(wc.load_backend("jax", threads={threads}).threads, dict(os.environ) == before, tasks())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a process's threads")
def test_jax_begins_with_the_threads_that_were_asked_for() -> None:
    pytest.importorskip("weedout_jax")
    said = [
        subprocess.run(
            [sys.executable, "-c", _FIRST.format(threads=threads)], capture_output=True, text=True, check=True
        ).stdout.split()
        for threads in (1, 7)
    ]
    assert [one[:2] for one in said] == [["1", "True"], ["7", "True"]]
    assert int(said[1][2]) >= int(said[0][2]) + 6, "of the pool that computes"


def test_jax_cannot_change_its_threads_once_it_has_begun() -> None:
    pytest.importorskip("weedout_jax")
    threads = wc.load_backend("jax", "cpu").threads
    assert threads is not None
    assert wc.load_backend("jax", "cpu", threads=threads).threads == threads
    with pytest.raises(
        BackendError, match=rf"threads must be {threads}, with which JAX computes .*; got {threads + 1}"
    ):
        wc.load_backend("jax", "cpu", threads=threads + 1)


def test_a_backend_that_lets_nobody_choose_is_left_alone() -> None:
    assert wc.load_backend("numpy", threads=3).threads is None
