"""What only the JAX backend promises: the user's settings, recompilation, devices, a TPU that is not here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'weedout-core[jax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'weedout-core[jax]'")

ROOT = Path(__file__).resolve().parents[2]
NET = wc.mlp(8, (32, 16), 4)


def examples(count: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, 8)).astype(np.float32), rng.integers(0, 4, count)


def in_a_process(program: str, **environment: str) -> str:
    """Run a program with its own settings of JAX, and return what it printed."""
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "reference", "backends"))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_words_are_those_of_jax_random() -> None:
    backend = wc.load_backend("jax")
    for seed in (0, 1, 2**31, 2**32 - 1):
        wanted = jax.random.bits(jax.random.key(seed), (1001,), "uint32")
        np.testing.assert_array_equal(backend.to_numpy(backend.random_bits(wc.key(seed), 1001)), np.asarray(wanted))


def test_weights_are_those_of_jax_random_normal() -> None:
    backend = wc.load_backend("jax")
    drawn = backend.initialise(NET, wc.key(7))
    for spec in wc.he_normal(NET):
        key = jax.random.wrap_key_data(wc.fold_in(wc.key(7), spec.code), impl="threefry2x32")
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
found = wc.search(net, (x, y), wc.SearchConfig(0.6, population=20, generations=3), backend=b, key=wc.key(3))
config = wc.TrainConfig(epochs=2, batch_size=16)
trained = wc.train(net, found.params, found.mask, (x, y), config, backend=b, key=wc.key(3))
digest = hashlib.sha256()
arrays = [b.random_bits(wc.key(2**32 - 1), 999), b.keep_smallest(b.random_bits(wc.key(1), 99), 9)]
for a in [*arrays, *masks.values(), *loose.values(), *found.mask.values()]:
    digest.update(b.to_numpy(a).tobytes())
dtypes = {str(v.dtype) for v in [*found.params.values(), *trained.params.values()]}
print(digest.hexdigest(), found.origin, dtypes, [round(float(loss), 4) for loss in trained.losses])
"""


@pytest.fixture(scope="module")
def plain_draws() -> str:
    return in_a_process(DRAWS)


@pytest.mark.parametrize(
    "setting",
    [
        {"JAX_THREEFRY_PARTITIONABLE": "0"},
        {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
        {"JAX_ENABLE_X64": "1"},
        {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"},
        {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_settings_of_the_user_move_no_draw(setting: dict[str, str], plain_draws: str) -> None:
    assert in_a_process(DRAWS, **setting) == plain_draws


def test_nothing_is_compiled_after_the_first_generation(caplog: pytest.LogCaptureFixture) -> None:
    compiled: list[int] = []
    with jax.log_compiles():
        wc.search(
            NET,
            examples(),
            wc.SearchConfig(0.45, population=17, generations=4, batch=32),
            backend="jax",
            key=wc.key(0),
            on_generation=lambda generation: compiled.append(compilations(caplog)),
        )
    assert compiled[0] > 0, "the log of compilations is not read as it should be"
    assert compiled[1:] == [compiled[0]] * 3, f"compilations after each generation: {compiled}"


def test_nothing_is_compiled_after_the_first_epoch(caplog: pytest.LogCaptureFixture) -> None:
    params = wc.load_backend("jax").initialise(NET, wc.key(0))
    compiled: list[int] = []
    with jax.log_compiles():
        wc.train(
            NET,
            params,
            None,
            examples(49),
            wc.TrainConfig(epochs=4, batch_size=7),
            backend="jax",
            key=wc.key(0),
            test=examples(31),
            on_epoch=lambda epoch: compiled.append(compilations(caplog)),
        )
    assert compiled[0] > 0, "the log of compilations is not read as it should be"
    assert compiled[1:] == [compiled[0]] * 3, f"compilations after each epoch: {compiled}"


def compilations(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.getMessage().startswith("Finished XLA compilation") for record in caplog.records)


def test_a_large_split_is_predicted_in_parts() -> None:
    backend = wc.load_backend("jax")
    params, (x, _) = backend.initialise(NET, wc.key(0)), examples(9001)
    whole = backend.to_numpy(backend.apply(NET, params, x))
    parts = np.concatenate([backend.to_numpy(backend.apply(NET, params, x[i : i + 3001])) for i in (0, 3001, 6002)])
    assert whole.shape == (9001, 4)
    # Logits of order 1 through three layers of at most 33 terms, compiled as two programs.
    np.testing.assert_allclose(whole, parts, rtol=0, atol=3 * 2 * 33 * 2.0**-24 * np.abs(whole).max())


def test_any_optax_optimiser_trains() -> None:
    backend = wc.load_backend("jax")
    params, data = backend.initialise(NET, wc.key(0)), examples()
    config = wc.TrainConfig(epochs=3, batch_size=16)
    trained = wc.train(NET, params, None, data, config, backend=backend, key=wc.key(0), optimiser=optax.adam(1e-2))
    plain = wc.train(NET, params, None, data, config, backend=backend, key=wc.key(0))
    assert trained.history[-1].loss < trained.history[0].loss, "Adam does not learn"
    assert not np.allclose(trained.params["logits/kernel"], plain.params["logits/kernel"]), "Adam was not used"


def test_own_sgd_is_optax_sgd() -> None:
    backend = wc.load_backend("jax")
    params, data = backend.initialise(NET, wc.key(0)), examples()
    config = wc.TrainConfig(epochs=2, batch_size=16, schedule="constant", weight_decay=0.0)
    own = wc.train(NET, params, None, data, config, backend=backend, key=wc.key(0))
    theirs = wc.train(
        NET, params, None, data, config, backend=backend, key=wc.key(0),
        optimiser=optax.sgd(config.learning_rate, config.momentum, config.nesterov),
    )  # fmt: skip
    # The same arithmetic, compiled as two programs: six steps, each of which may round a weight differently once.
    np.testing.assert_allclose(own.losses, theirs.losses, rtol=64 * 2.0**-24)


DEVICES = """
import numpy as np, weedout_core as wc
net = wc.mlp(8, (32, 16), 4)
rng = np.random.default_rng(0)
x, y = rng.standard_normal((48, 8)).astype(np.float32), rng.integers(0, 4, 48)
for reading in ("algorithm1", "section3"):
    for population, chunk in ((20, None), (16, 1), (3, None)):
        config = wc.SearchConfig(0.6, population=population, generations=3, reading=reading, chunk=chunk, batch=32)
        one, all = (
            wc.search(net, (x, y), config, backend=wc.load_backend("jax", devices=devices), key=wc.key(5))
            for devices in (1, 8)
        )
        assert one.origin == all.origin
        for site in one.mask:
            assert (one.mask[site] == all.mask[site]).all()
        for single, shared in zip(one.history, all.history):
            assert (single.fitness == shared.fitness).all(), (reading, single.fitness - shared.fitness)
print(wc.load_backend("jax", devices=8).devices)
"""


def test_eight_devices_score_as_one_does_to_the_bit() -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
    assert in_a_process(DEVICES, XLA_FLAGS=flags).split() == ["8"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"device": "toaster"}, "JAX has no device 'toaster'"),
        ({"devices": 99}, r"devices must be in \[1, "),
        ({"devices": 0}, "got 0"),
    ],
)
def test_devices_that_are_not_there(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(wc.BackendError, match=text):
        wc.load_backend("jax", **arguments)


AHEAD = """
import weedout_core as wc
from jax.experimental import topologies
from weedout_jax.ahead import compile_ahead
topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x4")
assert len(topology.devices) == 8
programs = compile_ahead(
    topology.devices, wc.mlp(64, (128, 96), 10), wc.SearchConfig(0.8, population=104), wc.TrainConfig(), 300, 4
)
for name, program in programs.items():
    memory = program.memory_analysis()
    print(name.replace(" ", "_"), memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="libtpu is for Linux on x86-64 only"
)
def test_every_program_compiles_for_a_tpu_slice() -> None:
    printed = in_a_process(AHEAD, TPU_SKIP_MDS_QUERY="1")
    memory = {name: tuple(map(int, sizes)) for name, *sizes in (line.split() for line in printed.splitlines())}
    assert set(memory) == {
        "score_shared_weights", "score_own_weights", "score_explicit_masks", "train_epoch", "predict",
        "random_bits", "draw_parameters", "keep_smallest", "masks_from_keys",
    }  # fmt: skip
    parameters = 4 * sum(int(np.prod(shape)) for shape in wc.parameter_shapes(wc.mlp(64, (128, 96), 10)).values())
    arguments, output, temporary = memory["train_epoch"]
    # Four networks' weights and momentum, in and out; and far below the 16 GB of a v5e core.
    assert arguments >= 2 * 4 * parameters
    assert output >= 2 * 4 * parameters
    assert temporary < 1e9
    # Each of the eight devices holds its share of the fitness: 104/8 floats, rounded up to the device's tile.
    assert 13 * 4 <= memory["score_shared_weights"][1] < 104 * 4 * 8
