"""What only the JAX backend promises: the user's settings, recompilation, devices, a TPU that is not here."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import weedout_core as wc
from tests.processes import run_python
from weedout_core.testing.networks import COMPACTABLE, COMPACTED_SPARSITY, NETWORKS

pytestmark = [pytest.mark.slow, pytest.mark.optimised]

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'weedout-core[jax]'")
cached = pytest.importorskip("jax.experimental.compilation_cache.compilation_cache")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'weedout-core[jax]'")

ROOT = Path(__file__).resolve().parents[2]
NET = wc.mlp(8, (32, 16), 4)
IMAGES = wc.vgg(2, 4, (4, 4, 3))  # few layers, for each takes long to compile


def examples(count: int = 48, net: wc.Network = NET) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *net.input_shape)).astype(np.float32), rng.integers(0, net.classes, count)


def untrained(net: wc.Network = NET) -> wc.Subnetwork:
    """A network that keeps every node, at initial weights."""
    backend = wc.load_backend("jax")
    params = {path: backend.to_numpy(value) for path, value in backend.initialise(net, wc.key(0)).items()}
    return wc.Subnetwork(net, params, statistics=wc.nn.initial_statistics(net) or None)


def in_a_process(program: str, **environment: str) -> str:
    """What a program prints that has its own settings of JAX."""
    return run_python("-c", program, environment=environment)


def test_words_are_those_of_jax_random() -> None:
    backend = wc.load_backend("jax")
    for seed in (0, 1, 2**31, 2**32 - 1):
        wanted = jax.random.bits(jax.random.key(seed), (1001,), "uint32")
        np.testing.assert_array_equal(backend.to_numpy(backend.random_bits(wc.key(seed), 1001)), np.asarray(wanted))


def test_weights_are_those_of_jax_random_normal() -> None:
    backend = wc.load_backend("jax")
    drawn = backend.initialise(NET, wc.key(7))
    for spec in wc.nn.he_normal(NET):
        key = jax.random.wrap_key_data(wc.random.fold_in(wc.key(7), spec.code), impl="threefry2x32")
        wanted = spec.std * np.asarray(jax.random.normal(key, spec.shape))
        # Both are √2·erfinv(u) in float32, rounded at most three times each, in different order.
        np.testing.assert_allclose(backend.to_numpy(drawn[spec.path]), wanted, rtol=8 * 2.0**-24, err_msg=spec.path)


DRAWS = """
import hashlib, numpy as np, weedout_core as wc
b = wc.load_backend("jax")
net = wc.mlp(8, (32, 16), 4)
rng = np.random.default_rng(0)
x, y = rng.standard_normal((48, 8)).astype(np.float32), rng.integers(0, 4, 48)
masks = b.sample_masks(wc.key(3), wc.mask_space(net), sparsity=0.6, count=20)
loose = b.sample_masks(wc.key(3), wc.mask_space(net), sparsity=0.6, count=20, sampling="bernoulli")
config = wc.SearchConfig(population=20, generations=3)
found = wc.search(net, (x, y), sparsity=0.6, backend=b, key=wc.key(3), config=config)
config = wc.TrainConfig(epochs=2, batch_size=16)
trained = wc.train(found.network, (x, y), backend=b, key=wc.key(3), config=config)
digest = hashlib.sha256()
arrays = [b.random_bits(wc.key(2**32 - 1), 999), b.keep_smallest(b.random_bits(wc.key(1), 99), 9)]
for a in [*arrays, *masks.values(), *loose.values(), *found.network.mask.values()]:
    digest.update(b.to_numpy(a).tobytes())
images = wc.vgg(2, 4, (4, 4, 3), rescale=True)
x = rng.standard_normal((24, 4, 4, 3)).astype(np.float32)
config = wc.SearchConfig(population=4, generations=2, validation_batch=12, batch_norm="recalibrated")
best = wc.search(images, (x, y[:24]), sparsity=0.5, backend=b, key=wc.key(1), config=config)
config = wc.TrainConfig(epochs=2, batch_size=8, batch_norm_group=4, augmentation="crop_flip", compute="bfloat16")
convolved = wc.train(best.network, (x, y[:24]), backend=b, key=wc.key(2), config=config)
learnt = convolved.network
trees = found.network.params, trained.network.params, learnt.params, learnt.statistics, convolved.velocity
losses = [round(float(loss), 4) for loss in [*trained.losses, *convolved.losses]]
print(digest.hexdigest(), found.origin, best.origin, {str(v.dtype) for tree in trees for v in tree.values()}, losses)
"""


OF_A_NETWORK = """
import numpy as np, weedout_core as wc
data = np.ones((8, 4), np.float32), np.arange(8) % 2
net, how = wc.mlp(4, (3,), 2), dict(backend="jax", key=wc.key(0))
search = wc.SearchConfig(population=2, generations=1, validation_batch=8)
found = wc.search(net, data, sparsity=0.5, config=search, **how).network
wc.train(found, data, test=data, config=wc.TrainConfig(epochs=1, batch_size=4), **how)
wc.scores.snip(net, found.params, data, **how)
"""


def test_a_gpu_is_told_to_give_the_same_bits_each_time(tmp_path: Path) -> None:
    """XLA writes down with what options it has compiled each program; the option is known on a CPU too."""
    in_a_process(OF_A_NETWORK, XLA_FLAGS=f"--xla_dump_to={tmp_path} --xla_dump_hlo_module_re=^jit_")
    told = {
        path.name.split(".")[1] for path in tmp_path.glob("*.debug_options")
        if "xla_gpu_exclude_nondeterministic_ops: true" in path.read_text(encoding="utf-8")
    }  # fmt: skip
    assert told >= {"jit_score", "jit_epoch", "jit_logits", "jit__gradient"}


SETTINGS = {
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_ENABLE_X64": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
}


def test_settings_of_the_user_move_no_draw() -> None:
    assert in_a_process(DRAWS, **SETTINGS) == in_a_process(DRAWS), f"each alone may tell which: {SETTINGS}"


def test_nothing_is_compiled_after_the_first_generation(caplog: pytest.LogCaptureFixture) -> None:
    compiled: list[int] = []
    with jax.log_compiles():
        wc.search(
            NET,
            examples(),
            sparsity=0.45,
            backend="jax",
            key=wc.key(0),
            config=wc.SearchConfig(population=17, generations=4, validation_batch=32),
            on_generation=lambda generation: compiled.append(compilations(caplog)),
        )
    assert compiled[0] > 0, "the log of compilations is not read as it should be"
    assert compiled[1:] == [compiled[0]] * 3, f"compilations after each generation: {compiled}"


@pytest.mark.parametrize(("net", "augmentation"), [(NET, "none"), (IMAGES, "crop_flip")], ids=["dense", "convolutions"])
def test_nothing_is_compiled_after_the_first_epoch(
    net: wc.Network, augmentation: Any, caplog: pytest.LogCaptureFixture
) -> None:
    network = untrained(net)
    compiled: list[int] = []
    with jax.log_compiles():
        wc.train(
            network,
            examples(49, net),
            backend="jax",
            key=wc.key(0),
            config=wc.TrainConfig(epochs=4, batch_size=7, augmentation=augmentation, warmup_epochs=2),
            test=examples(31, net),
            on_epoch=lambda epoch: compiled.append(compilations(caplog)),
        )
    assert compiled[0] > 0, "the log of compilations is not read as it should be"
    assert compiled[1:] == [compiled[0]] * 3, f"compilations after each epoch: {compiled}"


def compilations(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.getMessage().startswith("Finished XLA compilation") for record in caplog.records)


def test_what_lies_on_the_devices_is_not_put_there_again() -> None:
    from weedout_jax.devices import everywhere, find_mesh, put

    where, host = everywhere(find_mesh(None, 1)), np.arange(3)
    placed = put({"host": host, "elsewhere": jax.numpy.arange(3)}, where)
    host[0] = 9
    assert placed["host"][0] == 0, "NumPy's memory is copied"
    assert {one.sharding for one in placed.values()} == {where}
    again = put(placed, where)
    assert all(again[name] is placed[name] for name in placed)


def test_a_large_split_is_predicted_in_parts() -> None:
    backend = wc.load_backend("jax")
    params, (x, _) = backend.initialise(NET, wc.key(0)), examples(9001)
    whole = backend.to_numpy(backend.apply(NET, params, x))
    parts = np.concatenate([backend.to_numpy(backend.apply(NET, params, x[i : i + 3001])) for i in (0, 3001, 6002)])
    assert whole.shape == (9001, 4)
    # Logits of order 1 through three layers of at most 33 terms, compiled as two programs.
    np.testing.assert_allclose(whole, parts, rtol=0, atol=3 * 2 * 33 * 2.0**-24 * np.abs(whole).max())


def test_any_optax_optimizer_trains() -> None:
    backend = wc.load_backend("jax")
    network, data = untrained(), examples()
    config = wc.TrainConfig(epochs=3, batch_size=16)
    trained = wc.train(network, data, backend=backend, key=wc.key(0), config=config, optimizer=optax.adam(1e-2))
    plain = wc.train(network, data, backend=backend, key=wc.key(0), config=config)
    assert trained.history[-1].loss < trained.history[0].loss, "Adam does not learn"
    adam, sgd = trained.network.params["logits/kernel"], plain.network.params["logits/kernel"]
    assert not np.allclose(adam, sgd), "Adam was not used"
    assert trained.velocity == {}, "what the momentum remembers is SGD's"


def test_own_sgd_is_optax_sgd() -> None:
    backend = wc.load_backend("jax")
    network, data = untrained(), examples()
    config = wc.TrainConfig(epochs=2, batch_size=16, schedule="constant", weight_decay=0.0)
    own = wc.train(network, data, backend=backend, key=wc.key(0), config=config)
    theirs = wc.train(
        network, data, backend=backend, key=wc.key(0), config=wc.TrainConfig(epochs=2, batch_size=16),
        optimizer=optax.sgd(config.learning_rate, config.momentum, config.nesterov),
    )  # fmt: skip
    # The same arithmetic, compiled as two programs: six steps, each of which may round a weight differently once.
    np.testing.assert_allclose(own.losses, theirs.losses, rtol=64 * 2.0**-24)


EIGHT = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"

DEVICES = """
import numpy as np, weedout_core as wc
net = wc.mlp(8, (16,), 4)  # one site, for what is drawn at each takes long to compile
rng = np.random.default_rng(0)
x, y = rng.standard_normal((48, 8)).astype(np.float32), rng.integers(0, 4, 48)
divided = (20, None), (16, 1), (3, None)
for reading, populations in (("algorithm1", divided), ("section3", divided[:1])):  # own weights are divided alike
    for population, chunk in populations:
        config = wc.SearchConfig(
            population=population, generations=3, reading=reading, chunk=chunk, validation_batch=32
        )
        one, all = (
            wc.search(net, (x, y), sparsity=0.6, backend=b, key=wc.key(5), config=config)
            for b in (wc.load_backend("jax", devices=devices) for devices in (1, 8))
        )
        assert one.origin == all.origin
        for site, mask in one.network.mask.items():
            assert (mask == all.network.mask[site]).all()
        for single, shared in zip(one.history, all.history):
            assert (single.fitness == shared.fitness).all(), (reading, single.fitness - shared.fitness)
print(wc.load_backend("jax", devices=8).devices)
"""


def test_eight_devices_score_as_one_does_to_the_bit() -> None:
    assert in_a_process(DEVICES, XLA_FLAGS=EIGHT).split() == ["8"]


IMAGES_ON_DEVICES = """
import numpy as np, weedout_core as wc
from weedout_core.testing.networks import NETWORKS
rng = np.random.default_rng(0)
backends = [wc.load_backend("jax", devices=devices) for devices in (1, 8)]
residual, small = NETWORKS[3], wc.vgg(2, 4, (8, 8, 3))
for net, norm in (
    (residual, {}),
    (small, {"calibration": rng.standard_normal((13, 8, 8, 3)).astype(np.float32)}),
    (small, {"statistics": wc.nn.initial_statistics(small)}),
):
    x, y = rng.standard_normal((48, *net.input_shape)).astype(np.float32), rng.integers(0, net.classes, 48)
    params = backends[0].initialise(net, wc.key(5))
    masks = {site: rng.random((20, *shape)) < 0.5 for site, shape in wc.mask_space(net).items()}
    one, all = (b.to_numpy(b.score(net, params, masks, x, y, **norm)) for b in backends)
    assert (one == all).all(), one - all
"""


def test_eight_devices_score_images_as_one_does_to_the_bit() -> None:
    in_a_process(IMAGES_ON_DEVICES, XLA_FLAGS=EIGHT)


TRAINING_ON_DEVICES = """
import numpy as np, weedout_core as wc
from weedout_core.testing.tolerances import trained_error
from weedout_jax import training
rng = np.random.default_rng(0)
backends = [wc.load_backend("jax", devices=devices) for devices in (1, 8)]
reference = wc.load_backend("numpy")
programs = 0
STEP, EPOCHS = 1, 2
# Of images by the reference alone, which is within the same bound of one device as of eight: each program takes long.
for net, augmentation, batches, besides in (
    (wc.mlp(8, (32, 16), 4), "none", ((32, None, EPOCHS),), (backends[0], reference)),
    (
        wc.vgg(2, 4, (8, 8, 3)), "crop_flip",
        ((32, 4, STEP), (32, None, STEP), (20, 5, EPOCHS)), (reference,),
    ),
):
    x, y = rng.standard_normal((96, *net.input_shape)).astype(np.float32), rng.integers(0, 4, 96)
    masks = [{site: rng.random(shape) < 0.5 for site, shape in wc.mask_space(net).items()} for _ in range(2)]
    params = [wc.load_backend("numpy").initialise(net, wc.key(i)) for i in range(2)]
    moving = wc.nn.initial_statistics(net) or None
    networks = [wc.Subnetwork(net, *pair, moving) for pair in zip(params, masks)]
    keys = [wc.key(0), wc.key(1)]
    for size, group, epochs in batches:
        config = wc.TrainConfig(
            epochs=epochs, batch_size=size, batch_norm_group=group, augmentation=augmentation, learning_rate=0.01
        )
        examples = size if epochs == STEP else 96
        all, *others = (
            wc.train_together(networks, (x[:examples], y[:examples]), backend=b, keys=keys, config=config)
            for b in (backends[1], *besides)
        )
        programs += 1 + (backends[0] in besides)
        assert training.epoch._cache_size() == programs, "an epoch was compiled again"
        terms = size * 64 + sum(int(np.prod(shape)) for shape in wc.nn.activation_shapes(net))
        all, *others = (
            {
                name: {path: np.stack([tree[path] for tree in trees]) for path in trees[0]}
                for name, trees in (
                    ("params", [one.network.params for one in trained]),
                    ("statistics", [one.network.moving for one in trained]),
                    ("velocity", [one.velocity for one in trained]),
                )
            }
            for trained in (all, *others)
        )
        for name in ("params", "statistics", "velocity"):
            for path, value in all[name].items():
                before = np.stack([tree[path] for tree in params]) if name == "params" else 0
                moved, largest = np.abs(value - before).max(), np.abs(value).max()
                error = trained_error(moved, largest, terms, epochs * (examples // size))
                off = max(np.abs(value - other[name][path]).max() for other in others)
                assert off <= error, (name, path, size, group, off, error)
print(programs)
"""


def test_eight_devices_train_as_one_does() -> None:
    """And as the reference: batch norm over groups and over the whole batch, and a batch that eight do not divide."""
    assert int(in_a_process(TRAINING_ON_DEVICES, XLA_FLAGS=EIGHT, JAX_DISABLE_MOST_OPTIMIZATIONS="1")) == 5


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"device": "toaster"}, wc.errors.BackendError, "JAX has no device 'toaster'"),
        ({"devices": 99}, wc.errors.BackendError, r"devices must be in \[1, "),
        ({"devices": 0}, wc.errors.ConfigError, "devices must be an integer of at least 1; got 0"),
    ],
)
def test_devices_that_are_not_there(arguments: dict[str, Any], error: type[wc.WeedoutError], text: str) -> None:
    with pytest.raises(error, match=text):
        wc.load_backend("jax", **arguments)


ON_LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="libtpu is for Linux on x86-64 only"
)

# Ask no cloud what machine this is, and load libtpu beside another process that has it.
LIBTPU = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1", "XLA_FLAGS": ""}  # it knows fewer flags

AHEAD = """
import re
import weedout_core as wc
from weedout_core.testing.networks import NETWORKS
from weedout_jax.ahead import compile_ahead, topology_devices
from weedout_jax.devices import mesh_of
mesh = mesh_of(topology_devices("v5e:2x4"))
assert mesh.size == 8
for name, net, size, wanted in (
    ("mlp", wc.mlp(64, (128, 96), 10), 128, None),
    ("images", NETWORKS[3], 64, ("score shared weights", "train_epoch", "predict")),
):
    search = wc.SearchConfig(population=100, validation_batch=64)
    train = wc.TrainConfig(
        batch_size=size, batch_norm_group=8, compute="bfloat16", augmentation="none" if name == "mlp" else "crop_flip"
    )
    for program, compiled in compile_ahead(mesh, net, 0.8, search, train, 300, 4, wanted).items():
        memory = compiled.memory_analysis()
        text = compiled.as_text()
        waits = len(re.findall(r" (?:infeed|outfeed|send|recv)\\(", text))
        reduced = len(re.findall(r" all-reduce(?:-start)?\\(", text))
        print(
            name, program.replace(" ", "_"), memory.argument_size_in_bytes, memory.output_size_in_bytes,
            memory.temp_size_in_bytes, waits, reduced,
        )
"""


@ON_LINUX
def test_every_program_compiles_for_a_tpu_slice() -> None:
    printed = in_a_process(AHEAD, **LIBTPU)
    lines = (line.split() for line in printed.splitlines())
    found = {(net, program): tuple(map(int, sizes)) for net, program, *sizes in lines}
    assert set(found) == {
        *(("mlp", name) for name in (
            "score_shared_weights", "score_own_weights", "score_explicit_masks", "train_epoch", "predict",
            "random_bits", "draw_parameters", "keep_smallest", "masks_from_keys",
        )),
        *(("images", name) for name in ("score_shared_weights", "train_epoch", "predict")),
    }  # fmt: skip
    for net, parent in (("mlp", wc.mlp(64, (128, 96), 10)), ("images", NETWORKS[3])):
        small = wc.compact(parent, wc.mask_plan(wc.mask_space(parent), 0.8).counts).net
        parameters = 4 * sum(int(np.prod(shape)) for shape in wc.nn.parameter_shapes(small).values())
        arguments, output, temporary, waits, reduced = found[net, "train_epoch"]
        # Four compacted networks' weights and momentum, in and out; and far below the 16 GB of a v5e core.
        assert arguments >= 2 * 4 * parameters
        assert output >= 2 * 4 * parameters
        assert temporary < 1e9
        assert waits == 0, "an epoch waits for the host"
        assert reduced > 0, "the batch is not shared: no gradient is summed over the devices"
        # Each of the eight devices holds its share of the fitness: 13 floats of 104, rounded up to the device's tile.
        assert 13 * 4 <= found[net, "score_shared_weights"][1] < 104 * 4 * 8


def test_memory_is_that_of_a_search_and_its_training() -> None:
    backend = wc.load_backend("jax")
    assert backend.compiled_memory is not None
    net, search = wc.vgg(2, 4, (4, 4, 3)), wc.SearchConfig(population=4, validation_batch=8, batch_norm="recalibrated")
    small, large = (
        backend.compiled_memory(net, 0.5, search, wc.TrainConfig(batch_size=8), examples, 2, None)
        for examples in (8, 800)
    )
    assert large["train_epoch"] - small["train_epoch"] >= 4 * 792 * 48, "the training split is not counted"
    assert set(small) == {"score shared weights", "train_epoch", "predict", "draw_parameters"}


@pytest.mark.parametrize(
    ("net", "sparsity", "sampling", "compaction"),
    [
        (NET, 0.5, "exact", True),
        (NET, 0.0, "exact", True),
        (NET, 0.5, "exact", False),
        (NET, 0.5, "bernoulli", True),
        (COMPACTABLE[1], COMPACTED_SPARSITY, "exact", True),  # with Gather layers
        (wc.vgg(2, 4, (4, 4, 3), hidden=(6,)), 0.5, "exact", True),  # whose masks of nodes remain
    ],
)
def test_the_programs_compiled_ahead_are_those_of_a_run(
    net: wc.Network, sparsity: float, sampling: Any, compaction: bool
) -> None:
    """They take exactly what a run's programs take, shapes and types."""
    from weedout_jax.ahead import compile_ahead
    from weedout_jax.devices import mesh_of
    from weedout_jax.training import Learner

    train, networks = wc.TrainConfig(epochs=1, batch_size=8, compaction=compaction), 2
    search = wc.SearchConfig(population=4, validation_batch=8, sampling=sampling)
    taken = dict[str, Any]()
    backend = wc.load_backend("jax")

    def train_epoch(net: Any, plan: Any, state: Any, masks: Any, *data: Any) -> Any:
        batches = data[-1]
        learner = Learner(state.params, state.statistics, state.optimizer)
        taken["train_epoch"] = (learner, masks, *data[:2], batches, np.zeros(plan.steps, np.float32), None)
        return backend.train_epoch(net, plan, state, masks, *data)

    def predict(net: Any, *arguments: Any) -> Any:
        taken["predict"] = arguments
        return backend.predict(net, *arguments)

    drawn = backend.sample_masks(wc.key(0), wc.mask_space(net), sparsity, networks, sampling)
    masks = [{site: backend.to_numpy(mask)[index] for site, mask in drawn.items()} for index in range(networks)]
    data = examples(16, net)
    wc.train_together(
        [replace(untrained(net), mask=mask) for mask in masks], data,
        backend=replace(backend, train_epoch=train_epoch, predict=predict), keys=[wc.key(0)] * networks,
        config=train, test=data,
    )  # fmt: skip
    programs = compile_ahead(mesh_of(jax.devices()[:1]), net, sparsity, search, train, 16, networks, tuple(taken))
    assert set(programs) == {"train_epoch", "predict"}
    for name, program in programs.items():
        program(*taken[name])  # which raises TypeError where they are others


NO_TOPOLOGY = """
import weedout_core as wc
from weedout_jax.ahead import topology_devices
for name in "v5e:9x9x9 v5e:0x0 v5e:2x0 v5e:-1x2 v5e:99999x99999 v5e:101x101 v5e: 2x4 v5e:2x2x2x2".split():
    try:
        topology_devices(name)
    except wc.errors.BackendError as error:
        print(error)
"""


@ON_LINUX
def test_a_topology_that_is_not_there() -> None:
    printed = in_a_process(NO_TOPOLOGY, **LIBTPU)
    unlike, *malformed = [line for line in printed.splitlines() if line.startswith("topology")]
    assert unlike.startswith("topology must be one that libtpu can describe, such as 'v5e:2x4'; got 'v5e:9x9x9'")
    said = "the sides of its slice, each at least 1 and together at most 10,000 chips, such as 'v5e:2x4'; got '"
    assert len(malformed) == 8, "libtpu ends the process for some of them"
    assert all(said in line for line in malformed)


COMPILES = """
import os, jax
import weedout_core as wc
jax.numpy.ones(3).sum().block_until_ready()  # JAX has compiled before it is told of the folder
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event.endswith("/cache_hits")))
backend = wc.load_backend("jax", cache=os.environ["FOLDER"])
before = backend.compile_seconds()
backend.masks_from_keys(wc.random.split(wc.key(0), 3), wc.mask_plan({"a": (50,)}, 0.5))
assert backend.compile_seconds() > before
print(sum(hits))
"""


def test_programs_are_kept_for_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    hits = [int(in_a_process(COMPILES, FOLDER=str(folder))) for _ in range(2)]
    assert hits[0] == 0
    assert hits[1] > 0, "the second process compiled again"
    assert any(folder.iterdir())
    assert folder.stat().st_mode & 0o077 == 0, "a new one is closed to others"


def _folder(path: Path, mode: int, inside: int | None = None) -> Path:
    """A folder with the mode, and in it a file with the mode ``inside``."""
    path.mkdir()
    if inside is not None:
        (path / "program").write_bytes(b"")
        (path / "program").chmod(inside)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("mode", "inside"), [(0o770, None), (0o702, None), (0o777, None), (0o1777, None), (0o755, 0o602), (0o710, 0o660)]
)
def test_a_cache_that_others_can_write_is_refused(tmp_path: Path, mode: int, inside: int | None) -> None:
    folder = _folder(tmp_path / "cache", mode, inside)
    named = folder if inside is None else folder / "program"
    with pytest.raises(wc.errors.BackendError) as error:
        wc.load_backend("jax", cache=folder)
    assert str(error.value) == (
        "cache must be a folder that is your own and that no other user can write, because the programs in it are run; "
        f"got {folder}, where another user owns or can write {named}. Take a new one."
    )


@pytest.mark.parametrize("whose", ["cache", "program"])
def test_a_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    folder = _folder(tmp_path / "cache", 0o755, 0o644)
    known = Path.stat

    def stat(path: Path, **options: Any) -> os.stat_result:
        found = known(path, **options)
        return os.stat_result((*found[:4], found.st_uid + (path.name == whose), *found[5:]))

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(
        wc.errors.BackendError, match=rf"where another user owns or can write .*{whose}\. Take a new one"
    ):
        wc.load_backend("jax", cache=folder)


@pytest.mark.parametrize(("mode", "inside"), [(0o700, 0o666), (0o755, 0o644), (0o711, 0o600), (0o744, 0o664)])
def test_a_cache_that_others_cannot_change_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, inside: int
) -> None:
    folder = _folder(tmp_path / "cache", mode, inside)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    try:
        wc.load_backend("jax", cache="~/cache")
        assert jax.config.jax_compilation_cache_dir == str(folder)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        cached.reset_cache()


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path, shown in ((file, ".*file"), (file / "below", ".*file"), ("", "''"), (tmp_path / "\udcff", ".* as text")):
        with pytest.raises(wc.errors.BackendError, match=rf"^cache must be a folder that can be written; got {shown}"):
            wc.load_backend("jax", cache=path)


_IN_A_MESH = """
import jax, numpy as np
import weedout_core as wc
net = wc.mlp(8, (32, 16), 4)
rng = np.random.default_rng(0)
data = rng.standard_normal((48, 8)).astype(np.float32), rng.integers(0, 4, 48)
kinds = jax.sharding.AxisType

def work(devices):
    backend = wc.load_backend("jax", devices=devices)
    config = wc.SearchConfig(population=5, generations=2, validation_batch=16)
    found = wc.search(net, data, sparsity=0.5, backend=backend, key=wc.key(0), config=config)
    config = wc.TrainConfig(epochs=2, batch_size=16)
    trained = wc.train(found.network, data, backend=backend, key=wc.key(0), config=config)
    return [found.history[-1].fitness, trained.losses, wc.evaluate(trained.network, data, backend=backend).loss]

for devices in (1, 8):
    wanted = work(devices)
    for kind in (kinds.Auto, kinds.Explicit):
        mesh = jax.make_mesh((2, 4), ("x", "devices"), axis_types=(kind, kind))
        for context in (jax.set_mesh(mesh), jax.default_device(jax.devices()[3])):
            with context:
                found = work(devices)
            print(all(np.array_equal(one, other) for one, other in zip(found, wanted)), end=" ")
        jax.set_mesh(mesh)
        work(devices)
        print(jax.sharding.get_mesh() == mesh, end=" ")
        jax.set_mesh(None)
"""


def test_a_mesh_or_a_device_of_the_caller_changes_nothing() -> None:
    printed = in_a_process(_IN_A_MESH, XLA_FLAGS="--xla_force_host_platform_device_count=8")
    assert printed.split() == ["True"] * 12


def test_a_call_inside_of_jit_says_what_to_do() -> None:
    """Though its data are none of the program's."""
    net, backend = wc.mlp(4, (3,), 2), wc.load_backend("jax")
    data = np.ones((4, 4), np.float32), np.arange(4) % 2
    found = wc.Subnetwork(net, backend.initialise(net, wc.key(0)))
    with pytest.raises(wc.WeedoutError, match=r"outside of jax\.jit"):
        jax.jit(lambda added: wc.evaluate(found, data, backend=backend).loss + added)(0.0)


def test_default_precision_is_the_callers() -> None:
    from importlib import import_module

    layers = import_module("weedout_jax.layers")

    def program(precision: str) -> str:
        how = layers.Arithmetic("cpu", layers.products_of(precision))
        ones = np.ones((2, 2), np.float32)
        return str(jax.make_jaxpr(lambda h: layers.dense(h, ones, ones[0], how))(ones))

    with jax.default_matmul_precision("high"):
        assert "Precision.HIGH," in program("default")
        assert "Precision.HIGHEST," in program("highest")
    assert "Precision" not in program("default")


def test_what_lies_on_the_device_is_not_fetched_to_be_checked() -> None:
    """The indices of Gather layers, which a compacted network takes among its masks, are looked at by shape alone."""
    backend, net = wc.load_backend("jax"), wc.Network((wc.nn.Gather("g", 2), wc.nn.Dense("logits", 2)), (3,))
    params = {path: np.ones((1, *shape), np.float32) for path, shape in wc.nn.parameter_shapes(net).items()}
    there = {path: backend.asarray(value) for path, value in params.items()}
    indices, x = {"g": backend.asarray(np.array([[0, 2]]))}, backend.asarray(np.ones((4, 3)))
    with jax.transfer_guard_device_to_host("disallow"), mock.patch("jax.numpy.any", side_effect=AssertionError):
        logits = backend.predict(net, there, {}, indices, x)
    np.testing.assert_array_equal(backend.to_numpy(logits), np.full((1, 4, 2), 3.0))
