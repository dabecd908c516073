"""Processes that compute together, each with devices of its own, compute what one process with all devices computes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.processes import free_port, python_path
from weedout_core.testing.tolerances import trained_error

pytestmark = pytest.mark.slow

pytest.importorskip("jax", reason="JAX is not installed: pip install 'weedout-core[jax]'")
pytest.importorskip("optax", reason="optax is not installed: pip install 'weedout-core[jax]'")

NET, EXAMPLES, BATCH, EPOCHS = wc.mlp(8, (16,), 4), 48, 16, 2

PROGRAM = """
import os, signal, sys, numpy as np, weedout_core as wc
from tests.conformance.test_peers import BATCH, EPOCHS, EXAMPLES, NET
signal.signal(signal.SIGTERM, lambda *_: heard.append("SIGTERM"))
folder, *peers = sys.argv[1:]
options = dict(zip(("coordinator", "processes", "process"), (peers[0], *map(int, peers[1:])))) if peers else {}
backend = wc.load_backend("jax", devices=8, **options)
heard = []
os.kill(os.getpid(), signal.SIGTERM)
assert len(heard) == 1, "whoever handles SIGTERM still does"
told = backend.peers.gather(f"from {backend.peers.number}".encode())
sent = backend.peers.broadcast(bytes(range(256)) * 20 if backend.peers.number == 0 else b"no one looks at this")
assert told == [f"from {number}".encode() for number in range(len(told))], told
assert sent == bytes(range(256)) * 20 and backend.peers.broadcast(b"") == b""
rng = np.random.default_rng(0)
data = rng.standard_normal((EXAMPLES, 8)).astype(np.float32), rng.integers(0, 4, EXAMPLES)
arrays = {"words": backend.to_numpy(backend.random_bits(wc.key(2), 99))}
config = wc.SearchConfig(population=20, generations=3, validation_batch=32)  # eight devices do not divide it
found = wc.search(NET, data, sparsity=0.6, backend=backend, key=wc.key(5), config=config)
arrays |= {f"mask {site}": mask for site, mask in found.network.mask.items()}
arrays |= {f"fitness {number}": one.fitness for number, one in enumerate(found.history)}
arrays["winner"] = np.array(found.origin)
masks = {site: backend.asarray(rng.random((5, *shape)) < 0.5) for site, shape in wc.mask_space(NET).items()}
arrays["fitness of given masks"] = backend.to_numpy(backend.score(NET, found.network.params, masks, *data))
config = wc.TrainConfig(epochs=EPOCHS, batch_size=BATCH)
how = {"backend": backend, "keys": [wc.key(0), wc.key(1)]}
for number, one in enumerate(wc.train_together([found.network] * 2, data, test=data, config=config, **how)):
    trees = {"params": one.network.params, "velocity": one.velocity}
    arrays |= {f"trained {number} {name} {path}": value for name, tree in trees.items() for path, value in tree.items()}
arrays |= {f"before {path}": value for path, value in found.network.params.items()}
if peers:
    try:
        wc.load_backend("jax", devices=4)
    except wc.errors.BackendError as error:
        said = "devices must be in [5, 8], the cpu devices JAX sees, so that each of the processes has one; got 4."
        assert str(error) == said, error
    else:
        raise AssertionError("the second process has none of four devices")
np.savez(f"{folder}/{len(told)}-{backend.peers.number}.npz", **arrays)
backend.peers.leave()
"""


def started(*arguments: str, devices: int) -> "subprocess.Popen[bytes]":
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "PYTHONPATH": python_path(),
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    """Words, masks, fitness and winners to the bit; trained weights as far as sums in another order may differ."""
    where = f"localhost:{free_port()}"
    running = [started(str(tmp_path), where, "2", str(number), devices=4) for number in range(2)]
    running.append(started(str(tmp_path), devices=8))
    for process in running:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()[-3000:]
    alone, *both = ({**np.load(tmp_path / f"{name}.npz")} for name in ("1-0", "2-0", "2-1"))
    assert any(not np.array_equal(alone[name], 0 * alone[name]) for name in alone if name.startswith("fitness"))
    for together in both:
        assert set(together) == set(alone)
        for name, value in alone.items():
            if name.startswith("trained"):
                assert np.abs(together[name] - value).max() <= allowed(name, alone), name
                assert np.array_equal(together[name], both[0][name]), f"{name} differs between the processes"
            else:
                np.testing.assert_array_equal(together[name], value, err_msg=name)


def allowed(name: str, alone: dict[str, Any]) -> float:
    """The bound of the conformance kit on what training may differ by."""
    kind, path = name.split()[2:]
    before = alone[f"before {path}"] if kind == "params" else 0
    value = alone[name]
    terms = BATCH * 64 + sum(int(np.prod(shape)) for shape in wc.nn.activation_shapes(NET))
    steps = EPOCHS * EXAMPLES // BATCH
    return trained_error(float(np.abs(value - before).max()), float(np.abs(value).max()), terms, steps)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"process": 1}, "processes and process need a coordinator HOST:PORT; got coordinator None, processes None"),
        ({"coordinator": "auto", "processes": 2, "process": 0}, "processes and process need a coordinator HOST:PORT"),
        ({"coordinator": "host", "processes": 2, "process": 0}, "coordinator must be HOST:PORT, where process 0 "),
        ({"coordinator": "host:99999", "processes": 2, "process": 0}, "coordinator must be HOST:PORT"),
        ({"coordinator": "host:1", "process": 1}, "needs processes, how many there are, and process, the number of "),
        ({"coordinator": "host:1", "processes": 2}, "got processes 2, process None. Give both."),
        ({"coordinator": "host:1", "processes": 2, "process": 2}, "got processes 2, process 2. Give both."),
        ({"coordinator": "auto"}, "JAX cannot join the processes of coordinator 'auto'"),
    ],
)  # fmt: skip
def test_processes_that_cannot_be_joined(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(wc.errors.BackendError, match=text.replace("(", r"\(")):
        wc.load_backend("jax", **arguments)


def test_a_coordinator_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weedout_jax.peers.WAIT", 0.1)
    where = f"localhost:{free_port()}"
    with pytest.raises(wc.errors.BackendError, match=f"the coordinator must answer within 0.1 seconds; {where} does"):
        wc.load_backend("jax", coordinator=where, processes=2, process=1)


def test_a_port_that_is_taken() -> None:
    import socket

    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            wc.errors.BackendError, match=f"process 0 must listen at the port of the coordinator; {port}"
        ):
            wc.load_backend("jax", coordinator=f"localhost:{port}", processes=2, process=0)
