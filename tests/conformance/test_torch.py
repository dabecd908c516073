"""What only the PyTorch backends promise: compilation on XLA, devices, the user's optimizers and settings."""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.processes import SOON, run_python

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'weedout-core[torch]'")

ROOT = Path(__file__).resolve().parents[2]
NET = wc.mlp(8, (32, 16), 4)
IMAGES = wc.vgg(2, 4, (4, 4, 3))


def examples(count: int = 48, shape: tuple[int, ...] = (8,)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *shape)).astype(np.float32), rng.integers(0, 4, count)


def untrained(net: wc.Network = NET, backend: str = "numpy") -> wc.Subnetwork:
    """A network that keeps every node, at initial weights."""
    drawing = wc.load_backend(backend)
    params = {path: drawing.to_numpy(value) for path, value in drawing.initialise(net, wc.key(0)).items()}
    return wc.Subnetwork(net, params, statistics=wc.nn.initial_statistics(net) or None)


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


@pytest.mark.slow
def test_xla_compiles_one_generation_and_fetches_its_fitness_only(metrics: Any) -> None:
    seen: list[tuple[int, int]] = []
    config = wc.SearchConfig(population=17, generations=4, validation_batch=32)
    wc.search(
        NET,
        examples(),
        sparsity=0.45,
        backend="torch_xla",
        key=wc.key(0),
        config=config,
        on_generation=lambda _: seen.append(recorded(metrics)),
    )
    assert seen[0][0] > 0, "the count of compilations is not read as it should be"
    assert [compiled for compiled, _ in seen] == [seen[0][0]] * 4, f"(compilations, fetches) after each: {seen}"
    fetches = np.diff([fetched for _, fetched in seen])
    assert fetches.tolist() == [1, 1, 1], f"each generation fetches its fitness and nothing else; got {fetches}"


_PRECISION = """
import numpy as np, torch_xla
import weedout_core as wc
backend, x, y = wc.load_backend("torch_xla"), np.ones((8, 4, 4, 2), np.float32), np.arange(8) % 3
for net, data in ((wc.vgg(2, 3, (4, 4, 2)), (x, y)), (wc.mlp(32, (4,), 3), (x.reshape(8, 32), y))):
    config = wc.SearchConfig(population=2, generations=1, precision=precision)
    found = wc.search(net, data, sparsity=0.5, backend=backend, key=wc.key(0), config=config)
    wc.evaluate(found.network, data, backend=backend)
config = wc.TrainConfig(epochs=1, batch_size=8, precision=precision)
wc.train(found.network, data, backend=backend, key=wc.key(0), config=config)
assert torch_xla._XLAC._xla_get_mat_mul_precision() == "default"
"""


CONNECTS = """
import weedout_core as wc
try:
    wc.load_backend("torch_xla")
except wc.errors.BackendError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("XLA_USE_BF16", "1", "PyTorch/XLA turns float32 into bfloat16 in this process"),
        ("XLA_DOWNCAST_BF16", "1", "PyTorch/XLA turns float32 into bfloat16 in this process"),
        ("PJRT_DEVICE", "NOWHERE", "PyTorch/XLA finds no device"),
    ],
)
@pytest.mark.slow
def test_xla_that_cannot_compute_in_float32_says_so(variable: str, value: str, said: str) -> None:
    pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    assert said in run_alone(CONNECTS, **{variable: value})


@pytest.mark.slow
def test_connecting_is_done_in_settings_of_its_own() -> None:
    """Numbers of the random stream go around: no warning of that, which a filter could make an error."""
    script = 'import numpy, weedout_core as wc; numpy.seterr(all="raise"); print(wc.load_backend("torch").name)'
    assert run_alone(script, NUMBA_DISABLE_JIT="1").strip() == "torch"


@pytest.mark.slow
def test_xla_is_told_in_how_many_bits_products_are_computed(tmp_path: Path) -> None:
    """On a CPU it makes no difference: so what is read is the programs that it is handed."""
    pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    told: dict[str, list[bool]] = {}
    for precision in ("highest", "default"):
        dumped = tmp_path / precision
        script = f"precision = {precision!r}\n{_PRECISION}"
        run_alone(script, XLA_SAVE_TENSORS_FILE=str(dumped), XLA_SAVE_TENSORS_FMT="hlo")
        lines = [line for path in tmp_path.glob(f"{precision}*") for line in path.read_text().splitlines()]
        products = [line for line in lines if " dot(" in line or " convolution(" in line]
        assert any(" dot(" in line for line in products)
        assert any(" convolution(" in line for line in products)
        told[precision] = ["operand_precision={highest,highest}" in line for line in products]
    assert all(told["highest"])
    assert not all(told["default"]), "training leaves it to the user"
    assert any(told["default"]), "an evaluation never does"


@pytest.mark.slow
def test_xla_compiles_for_each_precision(metrics: Any) -> None:
    """It knows a program by its operations alone."""
    backend = wc.load_backend("torch_xla")
    network, batch = untrained(backend="torch_xla"), examples(37)
    masks = {site: np.ones((2, *shape), bool) for site, shape in wc.mask_space(NET).items()}
    compiled: list[int] = []
    for precision in ("highest", "default", "highest", "default"):
        backend.score(NET, dict(network.params), masks, *batch, precision=precision)
        compiled.append(recorded(metrics)[0])
    first, second, *again = compiled
    assert first < second, "the programs of another precision are others"
    assert again == [second] * 2


@pytest.mark.slow
def test_xla_compiles_the_masks_of_one_shape_once(metrics: Any) -> None:
    # Numbers that no other test of this process has: XLA keeps what it has compiled.
    backend, keys, shape = wc.load_backend("torch_xla"), wc.random.split(wc.key(0), 11), (31, 37)
    seen: list[int] = []
    for space, sparsity in (({"a": shape}, 0.5), ({"b": shape, "c": shape}, 0.25)):
        backend.masks_from_keys(keys, wc.mask_plan(space, sparsity))
        seen.append(recorded(metrics)[0])
    assert seen[0] == seen[1] == 2, f"words and their selection, for every site: {seen} compilations"


@pytest.mark.slow
def test_xla_compiles_one_epoch(metrics: Any) -> None:
    network = untrained(backend="torch_xla")
    seen: list[int] = []
    wc.train(
        network, examples(49), backend="torch_xla", key=wc.key(0), config=wc.TrainConfig(epochs=4, batch_size=7),
        test=examples(31), on_epoch=lambda _: seen.append(recorded(metrics)[0]),
    )  # fmt: skip
    assert seen[0] > 0, "the count of compilations is not read as it should be"
    assert seen[1:] == [seen[0]] * 3, f"compilations after each epoch: {seen}"


@pytest.mark.slow
def test_xla_compiles_a_step_with_convolutions_once(metrics: Any) -> None:
    backend = wc.load_backend("torch_xla")
    config = wc.TrainConfig(epochs=3, batch_size=8, batch_norm_group=4, augmentation="crop_flip")
    params = {path: backend.to_numpy(value) for path, value in backend.initialise(IMAGES, wc.key(0)).items()}
    seen: list[tuple[int, int]] = []
    for steps in (3, 5):
        x, y = (backend.asarray(part) for part in examples(8 * steps, (4, 4, 3)))
        plan, keys = wc.backend.train_plan(config, 8 * steps), wc.random.split(wc.key(0), 2)
        two = [{path: backend.asarray(np.stack([value] * 2)) for path, value in tree.items()}
               for tree in (params, wc.nn.initial_statistics(IMAGES))]  # fmt: skip
        state = backend.train_init(IMAGES, plan, keys, *two)
        metrics.clear_all()
        for epoch in range(3):
            batches = wc.backend.epoch_batches(list(keys), epoch, plan)
            state, _ = backend.train_epoch(IMAGES, plan, state, None, x, y, batches)
            seen.append(recorded(metrics))
        assert seen[-3][0] == seen[-1][0], f"(compilations, fetches) after each epoch: {seen}"
    assert all(fetched == 0 for _, fetched in seen), f"an epoch fetches nothing; got {seen}"
    # Of two networks: where each begins in what is handed in, a step, and the losses side by side.
    assert seen[0][0] <= 5, f"a graph for each step, or each network: {seen}"


def test_networks_with_convolutions_learn_as_if_alone() -> None:
    backend = wc.load_backend("torch", device="cpu")
    config = wc.TrainConfig(epochs=2, batch_size=8, batch_norm_group=4, augmentation="crop_flip")
    params, keys = (
        [backend.initialise(IMAGES, key) for key in wc.random.split(wc.key(1), 2)],
        list(wc.random.split(wc.key(0), 2)),
    )
    drawn = backend.sample_masks(wc.key(2), wc.mask_space(IMAGES), sparsity=0.5, count=2)
    networks = [
        wc.Subnetwork(
            IMAGES,
            {path: backend.to_numpy(value) for path, value in params[r].items()},
            {site: backend.to_numpy(mask)[r] for site, mask in drawn.items()},
            wc.nn.initial_statistics(IMAGES),
        )
        for r in range(2)
    ]
    for optimizer in (None, lambda weights: torch.optim.Adam(weights, lr=1e-2)):
        together = wc.train_together(
            networks, examples(24, (4, 4, 3)), backend=backend, keys=keys, config=config, optimizer=optimizer
        )
        for r in range(2):
            alone = wc.train(
                networks[r], examples(24, (4, 4, 3)),
                backend=backend, key=keys[r], config=config, optimizer=optimizer,
            )  # fmt: skip
            mine, wanted = together[r].network, alone.network
            assert wanted.moving, "there are statistics to compare"
            for tree, true in ((mine.params, wanted.params), (mine.moving, wanted.moving)):
                assert set(tree) == set(true)
                for path, value in true.items():
                    np.testing.assert_array_equal(tree[path], value, err_msg=f"{path} of network {r}")


def test_products_in_bfloat16_leave_weights_and_statistics_in_float32() -> None:
    backend = wc.load_backend("torch", device="cpu")
    network = untrained(IMAGES, "torch")
    whole, half = (
        wc.train(
            network, examples(24, (4, 4, 3)), backend=backend, key=wc.key(0),
            config=wc.TrainConfig(epochs=1, batch_size=8, compute=compute),
        )
        for compute in ("float32", "bfloat16")
    )  # fmt: skip
    assert not np.array_equal(whole.losses, half.losses), "compute changes nothing"
    for tree in (half.network.params, half.network.moving):
        assert tree
        assert {value.dtype for value in tree.values()} == {np.dtype(np.float32)}
        assert not any((value.view(np.uint32) & 0xFFFF == 0).all() for value in tree.values()), "kept in bfloat16"


@pytest.mark.parametrize("norm", ["batch", "given", "own"])
@pytest.mark.parametrize("net", [IMAGES, wc.wide_resnet(10, 1, 4, (4, 4, 3))], ids=["vgg", "residual first"])
def test_what_comes_before_the_first_mask_is_computed_once(
    net: wc.Network, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from weedout_torch import network

    backend, calls = wc.load_backend("torch", device="cpu"), []

    def counted(h: Any, kernel: Any, *rest: Any) -> Any:
        calls.append(tuple(kernel.shape))
        return convolve(h, kernel, *rest)

    convolve = network.convolve
    monkeypatch.setattr(network, "convolve", counted)
    x, y = examples(16, (4, 4, 3))
    params = backend.initialise(net, wc.key(0))
    masks = backend.sample_masks(wc.key(2), wc.mask_space(net), sparsity=0.5, count=5)
    taken: dict[str, dict[str, Any]] = {
        "batch": {},
        "given": {"statistics": wc.nn.initial_statistics(net)},
        "own": {"calibration": x[:8]},
    }
    backend.score(net, params, masks, x, y, **taken[norm])
    first, *others = [path for path, value in params.items() if value.ndim == 4]
    kernels = [tuple(params[path].shape) for path in (first, *others)]
    passes = 2 if norm == "own" else 1
    assert calls[:passes] == kernels[:1] * passes
    assert len(calls) == passes * (1 + 5 * len(others)), f"{len(calls)} convolutions"


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
    config = wc.SearchConfig(population=population, generations=3, validation_batch=32)
    one, two = (
        wc.search(net, (x, y), sparsity=0.6, backend=b, key=wc.key(5), config=config) for b in (shared, alone)
    )
    assert one.origin == two.origin
    for mine, theirs in zip(one.history, two.history):
        # Weights within 1.1e-5 of themselves move a fitness of order 1 by a few times that.
        np.testing.assert_allclose(mine.fitness, theirs.fitness, rtol=1e-4)
print(shared.devices)
"""


def run_alone(script: str, **environment: str) -> str:
    """What a script prints in a process of its own, whose programs run a few times: XLA does not optimise them."""
    pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    return run_python("-c", script, environment={"XLA_FLAGS": SOON, **environment})


@pytest.mark.slow
def test_eight_xla_devices_share_a_population() -> None:
    assert run_alone(SPMD, CPU_NUM_DEVICES="8").split() == ["8"]


KEPT = """
import os, weedout_core as wc, torch_xla.debug.metrics as metrics
backend, compiled = wc.load_backend("torch_xla", devices=8), []
for n in (8, 16, 24, 32, 8):
    backend.random_bits(wc.key(0), n)
    compiled.append(metrics.metric_data("CompileTime")[0])
print(os.environ["XLA_COMPILATION_CACHE_SIZE"], compiled[-1] > compiled[-2])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"), [({}, ["512", "False"]), ({"XLA_COMPILATION_CACHE_SIZE": "2"}, ["2", "True"])]
)
def test_programs_for_eight_xla_devices_do_not_use_up_the_maps_of_memory(
    given: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_COMPILATION_CACHE_SIZE", raising=False)  # tests keep few of their programs
    assert run_alone(KEPT, CPU_NUM_DEVICES="8", **given).split() == said, "so many are kept, and others compiled again"


SHARED_BATCH = """
import numpy as np, weedout_core as wc, torch_xla
from weedout_core.testing.tolerances import trained_error
from weedout_torch import training
net = wc.vgg(2, 3, (4, 4, 3))
rng = np.random.default_rng(0)
x, y = rng.standard_normal((48, 4, 4, 3)).astype(np.float32), rng.integers(0, 3, 48)
shared, alone = wc.load_backend("torch_xla", devices=8), wc.load_backend("torch", device="cpu")
params = {path: alone.to_numpy(value) for path, value in alone.initialise(net, wc.key(0)).items()}
network = wc.Subnetwork(net, params, statistics=wc.nn.initial_statistics(net))
shardings, batch = set(), training._batch
def watched(place, *arguments):
    images, labels = batch(place, *arguments)
    if place.recorded:
        place.sync()
        shardings.add(torch_xla._XLAC._get_xla_sharding_spec(images))
    return images, labels
training._batch = watched
for config in (
    wc.TrainConfig(epochs=1, batch_size=48, batch_norm_group=None),
    wc.TrainConfig(epochs=1, batch_size=16, batch_norm_group=4, augmentation="crop_flip"),
):
    trained = [wc.train(network, (x, y), backend=b, key=wc.key(5), config=config) for b in (shared, alone)]
    one, two = (one.network for one in trained)
    # Behind a gradient: the pixels of a batch, and the nodes of the layers after them.
    terms, steps = 16 * config.batch_size + 300, len(trained[0].losses)
    for path, start in params.items():
        moved, largest = abs(two.params[path] - start).max(), abs(two.params[path]).max()
        off, bound = abs(one.params[path] - two.params[path]).max(), trained_error(moved, largest, terms, steps)
        assert off <= bound, (path, off, bound)
    for path, value in two.statistics.items():
        np.testing.assert_allclose(one.statistics[path], value, rtol=1e-4, atol=1e-5, err_msg=path)
print(shardings)
"""


@pytest.mark.slow
def test_eight_xla_devices_share_a_training_batch() -> None:
    shown = run_alone(SHARED_BATCH, CPU_NUM_DEVICES="8").strip()
    assert shown == "{'{devices=[1,8,1,1,1]0,1,2,3,4,5,6,7}'}", "the examples are the axis that is shared"


TRAIN = """
import numpy as np, weedout_core as wc
net, config = wc.mlp(8, (32, 16), 4), wc.TrainConfig(epochs=1, batch_size=16)
x, y = np.ones((48, 8), np.float32), np.zeros(48, np.int32)
network = wc.Subnetwork(net, wc.load_backend("numpy").initialise(net, wc.key(0)))
try:
    for name in CONNECTED:
        wc.load_backend(name)
    for name in TRAINED:
        wc.train(network, (x, y), backend=name, key=wc.key(0), config=config)
        print(name)
except wc.errors.BackendError as error:
    print(error)
"""


@pytest.mark.slow
def test_xla_after_training_with_torch_says_what_to_do() -> None:
    shown = run_alone('CONNECTED, TRAINED = [], ["torch", "torch_xla"]' + TRAIN).splitlines()
    assert shown[0] == "torch"
    assert "Connect to torch_xla before training with torch in the same process" in shown[1], shown


@pytest.mark.slow
def test_xla_connected_before_training_with_torch_trains() -> None:
    names = 'CONNECTED, TRAINED = ["torch_xla"], ["torch", "torch_xla", "torch"]'
    assert run_alone(names + TRAIN).split() == ["torch", "torch_xla", "torch"]


@pytest.mark.parametrize("name", ["torch", "torch_xla"])
@pytest.mark.parametrize(("count", "n"), [(1, 2**17 + 3), (300, 1000)], ids=["one key", "many keys"])
def test_words_do_not_depend_on_the_block_in_which_they_are_drawn(name: str, count: int, n: int) -> None:
    if name == "torch_xla":
        pytest.importorskip("torch_xla", reason="PyTorch/XLA is not installed: pip install 'weedout-core[torch-xla]'")
    from weedout_torch.stream import bits

    keys = wc.random.split(wc.key(3), count)
    device = wc.load_backend(name).asarray(np.zeros(1, np.float32)).device
    before = torch.from_numpy(keys.view(np.int32).copy()).to(device)
    drawn = bits(before, n).cpu().numpy().view(np.uint32)
    for key, words in list(zip(keys, drawn, strict=True))[:: max(1, count // 7)]:
        np.testing.assert_array_equal(words, wc.random.bits(key, n), err_msg=f"key {key}")
    np.testing.assert_array_equal(before.cpu().numpy().view(np.uint32), keys, err_msg="the keys handed in")


def test_devices_that_do_not_divide_the_keys_share_them_too() -> None:
    from weedout_torch.devices import torch_place
    from weedout_torch.masks import masks_from_keys

    spread: list[int] = []

    def over_three(keys: Any) -> Any:
        spread.append(len(keys))
        return keys

    alone, plan, keys = torch_place("cpu", 1), wc.mask_plan({"a": (5, 7)}, 0.4), wc.random.split(wc.key(2), 5)
    shared = masks_from_keys(replace(alone, devices=3, spread=over_three), keys, plan)
    assert spread == [6], "three devices have two candidates each, one of them to fill up"
    np.testing.assert_array_equal(shared["a"], masks_from_keys(alone, keys, plan)["a"])


@pytest.mark.parametrize("kind", ["Adam", "RMSprop"])
def test_any_torch_optimizer_trains(kind: str) -> None:
    backend = wc.load_backend("torch", device="cpu")
    network, config = untrained(backend="torch"), wc.TrainConfig(epochs=3, batch_size=16)
    before = {path: value.copy() for path, value in network.params.items()}
    trained = wc.train(
        network, examples(), backend=backend, key=wc.key(0), config=config,
        optimizer=lambda weights: getattr(torch.optim, kind)(weights, lr=1e-2),
    )  # fmt: skip
    plain = wc.train(network, examples(), backend=backend, key=wc.key(0), config=config)
    assert trained.losses[-3:].mean() < trained.losses[:3].mean(), f"{kind} does not learn"
    theirs, sgd = trained.network.params["logits/kernel"], plain.network.params["logits/kernel"]
    assert not np.allclose(theirs, sgd), f"{kind} was not used"
    assert trained.velocity == {}, "what the momentum remembers is SGD's"
    for path, value in before.items():
        np.testing.assert_array_equal(network.params[path], value, err_msg="the weights handed in")


def test_own_sgd_is_torch_sgd() -> None:
    backend = wc.load_backend("torch", device="cpu")
    network = untrained(backend="torch")
    config = wc.TrainConfig(epochs=2, batch_size=16, schedule="constant", decayed="all")
    own = wc.train(network, examples(), backend=backend, key=wc.key(0), config=config)
    theirs = wc.train(
        network, examples(), backend=backend, key=wc.key(0), config=wc.TrainConfig(epochs=2, batch_size=16),
        optimizer=lambda weights: torch.optim.SGD(
            weights, config.learning_rate, config.momentum, weight_decay=config.weight_decay, nesterov=True
        ),
    )  # fmt: skip
    # The same arithmetic in another order: six steps, each of which may round a weight differently a few times.
    np.testing.assert_allclose(own.losses, theirs.losses, rtol=64 * 2.0**-24)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_velocities_are_the_references(momentum: float) -> None:
    """PyTorch's kernel of SGD keeps none without momentum; a ``Trained`` has them whatever the momentum is."""
    config = wc.TrainConfig(epochs=1, batch_size=16, momentum=momentum, weight_decay=0.1)
    network = untrained()
    trained = {
        name: wc.train(network, examples(), backend=name, key=wc.key(0), config=config) for name in ("numpy", "torch")
    }
    for path, value in trained["numpy"].velocity.items():
        # Three steps; behind a gradient sums of 8 + 32 + 16 products forward, 16 + 4 backward and 16 examples.
        bound = 3 * 92 * 2.0**-24 * np.abs(value).max()
        np.testing.assert_allclose(trained["torch"].velocity[path], value, rtol=0, atol=bound, err_msg=path)


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
    with pytest.raises(wc.errors.BackendError, match=text):
        wc.load_backend(name, **arguments)


def test_tpu_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tpu", None)
    with pytest.raises(wc.errors.BackendNotInstalledError, match=r"pip install 'weedout-core\[tpu\]'"):
        wc.load_backend("tpu")


@pytest.mark.parametrize(("finds", "trains", "measures"), [("jax", "torch", "numpy"), ("torch", "jax", "torch")])
def test_what_one_backend_finds_another_trains_and_a_third_measures(finds: str, trains: str, measures: str) -> None:
    config, learning = wc.SearchConfig(population=6, generations=2), wc.TrainConfig(epochs=2, batch_size=16)
    found = wc.search(NET, examples(), sparsity=0.5, backend=finds, key=wc.key(1), config=config)
    trained, alone = (
        wc.train(found.network, examples(), backend=name, key=wc.key(1), config=learning) for name in (trains, "numpy")
    )
    # Six steps in float32 against float64, from the same weights.
    np.testing.assert_allclose(trained.losses, alone.losses, rtol=1e-4)
    seen = wc.evaluate(trained.network, examples(), backend=measures)
    assert seen.accuracy == wc.evaluate(alone.network, examples(), backend="numpy").accuracy


def test_a_fitness_does_not_depend_on_who_is_scored_beside() -> None:
    backend = wc.load_backend("torch", device="cpu")
    net = wc.mlp(20, (64, 48), 4)
    params, (x, y) = backend.initialise(net, wc.key(1)), examples(33, (20,))
    keys, plan = wc.random.split(wc.key(2), 11), wc.mask_plan(wc.mask_space(net), 0.5)

    def scores(some: slice, chunk: int) -> np.ndarray:
        population = wc.backend.Population(len(keys[some]), plan, keys[some], None, None)
        return backend.to_numpy(backend.score(net, params, population, x, y, chunk=chunk))

    whole = scores(slice(None), 11)
    assert len(set(whole)) == 11
    for start, stop, chunk in ((0, 11, 4), (0, 11, 6), (3, 10, 7), (5, 9, 4)):
        found = scores(slice(start, stop), chunk)
        np.testing.assert_array_equal(found, whole[start:stop], err_msg=f"{start} to {stop} in chunks of {chunk}")


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("recorded", [False, True])
def test_turns_divide_chunks_and_populations_and_are_no_larger_than_allowed(devices: int, recorded: bool) -> None:
    from weedout_torch.devices import torch_place
    from weedout_torch.scoring import sizes

    place = replace(torch_place("cpu", 1), devices=devices, recorded=recorded)
    for size, asked, turn in product((1, 2, 3, 7, 16, 100, 1000), (1, 3, 64, 2000), (None, 1, 4)):
        for most in {place.padded(min(asked, one)) for one in (1, 2, 5, 64, 2000)}:
            padded, chunk, batch = sizes(place, size, asked, most, turn)
            assert padded % batch == 0
            assert chunk % batch == 0
            assert batch % devices == 0
            assert batch <= most
            assert batch <= chunk <= max(batch, asked)
            assert chunk == batch or not recorded
            turns = -(-size // batch)
            assert 0 <= padded - size < (batch if turn else turns * devices), (size, most, turn)
    alone = replace(place, devices=1)
    assert sizes(alone, 100, 100, 60, None)[::2] == (100, 50), "not 60 and 40, nor twice 60"
    assert sizes(alone, 100, 100, 1, 1) == (100, 1 if recorded else 100, 1)


def test_masks_of_many_candidates_are_drawn_together_though_they_are_scored_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from weedout_torch import scoring

    backend, net = wc.load_backend("torch"), wc.wide_resnet(10, 1, 10, granularity="channel")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 32, 32, 3)).astype(np.float32), rng.integers(0, 10, 4)
    drawn: list[int] = []

    def counted(place: Any, keys: Any, plan: Any, draw: Any = scoring.draw_masks) -> Any:
        drawn.append(len(keys))
        return draw(place, keys, plan)

    monkeypatch.setattr(scoring, "draw_masks", counted)
    origins = [wc.backend.Origin(0, number) for number in range(12)]
    population = wc.backend.draw_population(
        wc.key(0), wc.mask_plan(wc.mask_space(net), 0.5), wc.SearchConfig(population=12), origins
    )
    weights = backend.initialise(net, wc.key(1))
    chunks = [backend.to_numpy(backend.score(net, weights, population, x, y, chunk=chunk)) for chunk in (12, 5, 1)]
    assert drawn == [12, 5, 5, 2, *[1] * 12]
    assert all((one == chunks[0]).all() for one in chunks)
