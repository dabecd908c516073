"""What only the PyTorch backends promise: compilation on XLA, devices, the user's optimisers and settings."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'weedout-core[torch]'")

ROOT = Path(__file__).resolve().parents[2]
NET = wc.mlp(8, (32, 16), 4)


def examples(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 8)).astype(np.float32), rng.integers(0, 4, count)


@pytest.fixture
def metrics() -> Any:
    pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    import torch_xla.debug.metrics as metrics

    metrics.clear_all()
    return metrics


def recorded(metrics: Any) -> tuple[int, int]:
    """How often XLA has compiled, and how often a tensor was fetched to the host."""
    compiled, fetched = metrics.metric_data("CompileTime"), metrics.metric_data("TransferFromDeviceTime")
    return (compiled[0] if compiled else 0), (fetched[0] if fetched else 0)


def test_xla_compiles_one_generation_and_fetches_its_fitness_only(metrics: Any) -> None:
    seen: list[tuple[int, int]] = []
    config = wc.SearchConfig(0.45, population=17, generations=4, batch=32)
    wc.search(
        NET,
        examples(),
        config,
        backend="torch_xla",
        key=wc.key(0),
        on_generation=lambda _: seen.append(recorded(metrics)),
    )
    assert seen[0][0] > 0, "the count of compilations is not read as it should be"
    assert [compiled for compiled, _ in seen] == [seen[0][0]] * 4, f"(compilations, fetches) after each: {seen}"
    fetches = np.diff([fetched for _, fetched in seen])
    assert fetches.tolist() == [1, 1, 1], f"each generation fetches its fitness and nothing else; got {fetches}"


def test_xla_compiles_one_epoch(metrics: Any) -> None:
    params = wc.load_backend("torch_xla").initialise(NET, wc.key(0))
    seen: list[int] = []
    wc.train(
        NET, params, None, examples(49), wc.TrainConfig(epochs=4, batch_size=7), backend="torch_xla", key=wc.key(0),
        test=examples(31), on_epoch=lambda _: seen.append(recorded(metrics)[0]),
    )  # fmt: skip
    assert seen[0] > 0, "the count of compilations is not read as it should be"
    assert seen[1:] == [seen[0]] * 3, f"compilations after each epoch: {seen}"


SPMD = """
import numpy as np, weedout_core as wc
net = wc.mlp(8, (32, 16), 4)
rng = np.random.default_rng(0)
x, y = rng.standard_normal((48, 8)).astype(np.float32), rng.integers(0, 4, 48)
shared, alone = wc.load_backend("torch_xla", devices=8), wc.load_backend("numpy")
for population in (16, 20):
    masks = shared.sample_masks(wc.key(5), wc.mask_space(net), sparsity=0.6, count=population)
    wanted = alone.sample_masks(wc.key(5), wc.mask_space(net), sparsity=0.6, count=population)
    assert all((shared.to_numpy(masks[site]) == wanted[site]).all() for site in masks)
    config = wc.SearchConfig(0.6, population=population, generations=3, batch=32)
    one, two = (wc.search(net, (x, y), config, backend=b, key=wc.key(5)) for b in (shared, alone))
    assert one.origin == two.origin
    for mine, theirs in zip(one.history, two.history):
        # Weights within 1.1e-5 of themselves move a fitness of order 1 by a few times that.
        np.testing.assert_allclose(mine.fitness, theirs.fitness, rtol=1e-4)
print(shared.devices)
"""


def test_eight_xla_devices_share_a_population() -> None:
    pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "reference", "backends"))
    done = subprocess.run(
        [sys.executable, "-c", SPMD],
        env=os.environ | {"PJRT_DEVICE": "CPU", "CPU_NUM_DEVICES": "8", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["8"]


@pytest.mark.parametrize("kind", ["Adam", "RMSprop"])
def test_any_torch_optimiser_trains(kind: str) -> None:
    backend = wc.load_backend("torch", device="cpu")
    params, config = backend.initialise(NET, wc.key(0)), wc.TrainConfig(epochs=3, batch_size=16)
    before = {path: backend.to_numpy(value).copy() for path, value in params.items()}
    trained = wc.train(
        NET, params, None, examples(), config, backend=backend, key=wc.key(0),
        optimiser=lambda weights: getattr(torch.optim, kind)(weights, lr=1e-2),
    )  # fmt: skip
    plain = wc.train(NET, params, None, examples(), config, backend=backend, key=wc.key(0))
    assert trained.losses[-3:].mean() < trained.losses[:3].mean(), f"{kind} does not learn"
    assert not np.allclose(trained.params["logits/kernel"], plain.params["logits/kernel"]), f"{kind} was not used"
    for path, value in before.items():
        np.testing.assert_array_equal(backend.to_numpy(params[path]), value, err_msg="the weights handed in")


def test_own_sgd_is_torch_sgd() -> None:
    backend = wc.load_backend("torch", device="cpu")
    params = backend.initialise(NET, wc.key(0))
    config = wc.TrainConfig(epochs=2, batch_size=16, schedule="constant", decayed="all")
    own = wc.train(NET, params, None, examples(), config, backend=backend, key=wc.key(0))
    theirs = wc.train(
        NET, params, None, examples(), config, backend=backend, key=wc.key(0),
        optimiser=lambda weights: torch.optim.SGD(
            weights, config.learning_rate, config.momentum, weight_decay=config.weight_decay, nesterov=True
        ),
    )  # fmt: skip
    # The same arithmetic in another order: six steps, each of which may round a weight differently a few times.
    np.testing.assert_allclose(own.losses, theirs.losses, rtol=64 * 2.0**-24)


def test_the_users_precision_is_put_back() -> None:
    setting = torch.backends.cuda.matmul
    before = setting.fp32_precision
    try:
        setting.fp32_precision = "tf32"
        backend = wc.load_backend("torch", device="cpu")
        backend.apply(NET, backend.initialise(NET, wc.key(0)), examples()[0])
        assert setting.fp32_precision == "tf32"
    finally:
        setting.fp32_precision = before


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("torch", {"device": "toaster"}, "the torch backend has the devices .* here; got 'toaster'"),
        ("torch", {"devices": 2}, "the torch backend runs on 1 device; got devices=2"),
        ("torch_xla", {"device": "tpu"}, "PyTorch/XLA runs on CPU in this process; got device='tpu'"),
    ],
)
def test_devices_that_are_not_there(name: str, arguments: dict[str, Any], text: str) -> None:
    if name == "torch_xla":
        pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    with pytest.raises(wc.BackendError, match=text):
        wc.load_backend(name, **arguments)


def test_tpu_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tpu", None)
    with pytest.raises(wc.BackendNotInstalledError, match=r"pip install 'weedout-core\[tpu\]'"):
        wc.load_backend("tpu")


@pytest.mark.parametrize(("finds", "trains", "measures"), [("jax", "torch", "numpy"), ("torch", "jax", "torch")])
def test_what_one_backend_finds_another_trains_and_a_third_measures(finds: str, trains: str, measures: str) -> None:
    config, learning = wc.SearchConfig(0.5, population=6, generations=2), wc.TrainConfig(epochs=2, batch_size=16)
    found = wc.search(NET, examples(), config, backend=finds, key=wc.key(1))
    trained = wc.train(NET, found.params, found.mask, examples(), learning, backend=trains, key=wc.key(1))
    alone = wc.train(NET, found.params, found.mask, examples(), learning, backend="numpy", key=wc.key(1))
    # Six steps in float32 against float64, from the same weights.
    np.testing.assert_allclose(trained.losses, alone.losses, rtol=1e-4)
    seen = wc.evaluate(NET, trained.params, found.mask, examples(), backend=measures)
    assert seen.accuracy == wc.evaluate(NET, alone.params, found.mask, examples(), backend="numpy").accuracy
