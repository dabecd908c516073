"""Adopted models of the JAX world: what a search, a training and an evaluation do with them is what they compute."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError, ConfigError
from weedout_core.testing import tolerances

jax = pytest.importorskip("jax")
eqx = pytest.importorskip("equinox")
nnx = pytest.importorskip("flax.nnx")
nn = pytest.importorskip("flax.linen")
jnp = jax.numpy
checkpoint_name = pytest.importorskip("jax.ad_checkpoint").checkpoint_name

KEY = wc.random.key(5)


class Cnn(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.conv, self.norm = nnx.Conv(1, 4, (3, 3), rngs=rngs), nnx.LayerNorm(4, rngs=rngs)
        self.dropout, self.dense = nnx.Dropout(0.3, rngs=rngs), nnx.Linear(64, 8, rngs=rngs)
        self.out = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        h = self.dropout(nnx.relu(self.norm(self.conv(x))))
        return self.out(nnx.gelu(self.dense(h.reshape(len(h), -1))))


class Normed(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(1)
        self.first, self.norm, self.out = (
            nnx.Linear(6, 5, rngs=rngs), nnx.BatchNorm(5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)
        )  # fmt: skip

    def __call__(self, x: Any) -> Any:
        return self.out(jnp.maximum(self.norm(self.first(x)), 0))


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        h = nn.Dropout(0.3, deterministic=not train)(nn.gelu(nn.Dense(5)(x)))
        h = nn.BatchNorm(use_running_average=not train)(nn.Dense(7)(h))
        return nn.Dense(3)(nn.silu(h))


class EquinoxCnn(eqx.Module):
    conv: Any
    dropout: Any
    out: Any

    def __init__(self) -> None:
        key = jax.random.key(0)
        self.conv, self.dropout = eqx.nn.Conv2d(1, 4, 3, key=key), eqx.nn.Dropout(0.2)
        self.out = eqx.nn.Linear(16, 3, key=key)

    def __call__(self, x: Any, key: Any = None) -> Any:
        return self.out(self.dropout(jax.nn.relu(self.conv(x)), key=key).ravel())


class EquinoxNormed(eqx.Module):
    first: Any
    norm: Any
    out: Any

    def __init__(self) -> None:
        key = jax.random.key(0)
        self.first, self.norm = eqx.nn.Linear(6, 5, key=key), eqx.nn.BatchNorm(5, "examples", mode="batch")
        self.out = eqx.nn.Linear(5, 3, key=key)

    def __call__(self, x: Any, state: Any) -> Any:
        h, state = self.norm(self.first(x), state)
        return self.out(jax.nn.relu(h)), state


def vmapped(params: Any, x: Any) -> Any:
    return jax.vmap(lambda x: params["b"]["w"] @ jax.nn.gelu(params["a"] @ x, approximate=False))(x)


def _linen() -> Any:
    return Linen(), Linen().init(jax.random.key(0), jnp.ones((1, 6)), False)


def _vmapped() -> Any:
    rng = np.random.default_rng(0)
    draw: Callable[..., Any] = lambda *shape: rng.standard_normal(shape, np.float32)  # noqa: E731
    return vmapped, {"a": draw(5, 6), "b": {"w": draw(3, 5)}}


class Case(NamedTuple):
    make: Callable[[], Any]
    shape: tuple[int, ...]
    space: dict[str, tuple[int, ...]]


CASES = {
    "nnx cnn": Case(Cnn, (4, 4, 1), {"relu": (4, 4, 4), "gelu": (8,)}),
    "nnx normed": Case(Normed, (6,), {"relu": (5,)}),
    "linen": Case(_linen, (6,), {"gelu": (5,), "silu": (7,)}),
    "equinox mlp": Case(
        lambda: eqx.nn.MLP(6, 3, 5, 2, key=jax.random.key(0)), (6,), {"relu": (5,), "relu#2": (5,)}
    ),
    "equinox cnn": Case(EquinoxCnn, (1, 4, 4), {"relu": (2, 2, 4)}),
    "equinox normed": Case(lambda: eqx.nn.make_with_state(EquinoxNormed)(), (6,), {"relu": (5,)}),
    "function": Case(_vmapped, (6,), {"gelu": (5,)}),
}  # fmt: skip
every = pytest.mark.parametrize("name", list(CASES))


@cache
def adopted(name: str) -> wc.Network:
    return wc.adopt(CASES[name].make(), CASES[name].shape, backend="jax")


def data(shape: tuple[int, ...], examples: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((examples, *shape), np.float32)
    return x, (np.argmax(x.reshape(examples, -1)[:, :3], axis=1)).astype(np.int32)


def arrays(model: Any) -> list[np.ndarray]:
    """Every array of a model, those of random streams as their words."""
    leaves = jax.tree.leaves(nnx.split(model)[1] if isinstance(model, nnx.Module) else model)
    typed = [leaf for leaf in leaves if isinstance(leaf, jax.Array | np.ndarray)]
    return [
        np.array(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
        for leaf in typed
    ]


def called(model: Any, x: np.ndarray) -> np.ndarray:
    """The logits of a model, as a user of its library would compute them."""
    first, rest = model if isinstance(model, tuple) else (model, None)
    if isinstance(first, nn.Module):
        return np.asarray(first.apply(rest, x, False))
    if isinstance(first, eqx.Module) and rest is not None:
        return np.asarray(jax.vmap(lambda one: first(one, rest)[0], axis_name="examples")(x))
    if isinstance(first, eqx.Module):
        return np.asarray(jax.vmap(first)(x))
    return np.asarray(first(x) if rest is None else first(rest, x))


@pytest.mark.slow
@every
def test_its_sites_are_found_and_its_masks_are_those_of_the_reference(name: str) -> None:
    net = adopted(name)
    space = wc.mask_space(net)
    assert space == CASES[name].space
    masks = wc.load_backend("jax").sample_masks(KEY, space, 0.5, 3)
    for site, wanted in wc.load_backend("numpy").sample_masks(KEY, space, 0.5, 3).items():
        np.testing.assert_array_equal(np.asarray(masks[site]), wanted, err_msg="a mask is drawn by name and shape")


@pytest.mark.slow
def test_sites_that_are_called_alike_have_the_same_masks_in_both_libraries() -> None:
    """The CNN of flax, written for PyTorch with channels first, whose sites are renamed."""
    layers = imported("torch", "torch").nn
    stem = layers.Conv2d(1, 4, 3, padding=1), layers.ReLU(), layers.Flatten()
    module = layers.Sequential(*stem, layers.Linear(64, 8), layers.GELU(), layers.Linear(8, 3))
    names = {"1": "relu", "4": "gelu"}
    nets = {"jax": adopted("nnx cnn"), "torch": wc.adopt(module, (1, 4, 4), backend="torch", names=names)}
    wanted = wc.load_backend("numpy").sample_masks(KEY, CASES["nnx cnn"].space, 0.5, 3)
    controls: list[Any] = []
    for name, net in nets.items():
        backend, space = wc.load_backend(name), wc.mask_space(net)
        assert space == CASES["nnx cnn"].space
        drawn = backend.sample_masks(KEY, space, 0.5, 3)
        for site, mask in wanted.items():
            np.testing.assert_array_equal(backend.to_numpy(drawn[site]), mask)
        controls.append(wc.draw_control(net, sparsity=0.5, backend=backend, key=KEY).network.mask)
    for site in wanted:
        np.testing.assert_array_equal(controls[0][site], controls[1][site], err_msg="one key, one control")


@pytest.mark.slow
@every
def test_it_is_searched_trained_evaluated_and_rebuilt(name: str) -> None:
    case = CASES[name]
    model = case.make()
    before = arrays(model)
    net, (x, y) = wc.adopt(model, case.shape, backend="jax"), data(case.shape)
    assert net == adopted(name), "the same model, adopted twice, is one network"
    config = wc.SearchConfig(population=4, generations=2)
    one, two = (wc.search(net, (x, y), sparsity=0.4, backend="jax", key=KEY, config=config) for _ in range(2))
    for path, value in one.network.params.items():
        np.testing.assert_array_equal(value, two.network.params[path])
    for site in case.space:
        np.testing.assert_array_equal(one.network.mask[site], two.network.mask[site])  # type: ignore[index]
    train = wc.TrainConfig(epochs=8, batch_size=16, learning_rate=0.1)
    first, again = (wc.train(one.network, (x, y), backend="jax", key=KEY, config=train) for _ in range(2))
    for path, value in first.network.params.items():
        np.testing.assert_array_equal(value, again.network.params[path], err_msg="a key decides a training")
    start, end = (wc.evaluate(it, (x, y), backend="jax") for it in (one.network, first.network))
    assert end.loss < start.loss, "training lowers the loss"
    masked = first.network.rebuild()
    np.testing.assert_array_equal(np.argmax(masked(x), axis=1), end.predictions)
    assert set(masked.mask) == set(case.space)
    dense = wc.Subnetwork(net, first.network.params, None, first.network.statistics)
    logits = wc.load_backend("jax").apply(net, dense.params, x, None, dense.statistics)
    np.testing.assert_allclose(called(dense.rebuild(), x), np.asarray(logits), atol=1e-5)
    after = arrays(model)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new, err_msg="the user's own model is as it was")


def _layers(params: Any, x: Any) -> Any:
    h = x
    for name in ("dense0", "dense1"):
        h = jax.nn.relu(h @ params[name]["kernel"] + params[name]["bias"])
    return h @ params["out"]["kernel"] + params["out"]["bias"]


@pytest.mark.slow
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_computes_what_the_network_of_our_own_layers_computes(weight_decay: float) -> None:
    own, backend = wc.mlp(6, (7, 5), 3), wc.load_backend("jax")
    sites, names = list(wc.mask_space(own)), list(dict.fromkeys(path.partition("/")[0] for path in parameters(own)))
    params = {path: np.asarray(value) for path, value in backend.initialise(own, KEY).items()}
    tree = {
        ours: {part: params[f"{theirs}/{part}"] for part in ("kernel", "bias")}
        for ours, theirs in zip(("dense0", "dense1", "out"), names, strict=True)
    }
    net = wc.adopt((_layers, tree), (6,), backend="jax", names=dict(zip(("relu", "relu#2"), sites, strict=True)))
    assert wc.mask_space(net) == wc.mask_space(own)
    x, y = data((6,))
    masks = {site: np.asarray(value) for site, value in backend.sample_masks(KEY, wc.mask_space(own), 0.5, 4).items()}
    theirs = {f"{ours}/{part}": tree[ours][part] for ours in tree for part in tree[ours]}
    fitness = [np.asarray(backend.score(one, weights, masks, x, y)) for one, weights in ((own, params), (net, theirs))]
    for r in range(4):
        mask = {site: value[r] for site, value in masks.items()}
        logits, bound = tolerances.logit_error(own, params, mask, x)
        got = np.asarray(backend.apply(net, theirs, x, mask))
        assert np.all(np.abs(got - logits) <= bound)
        assert abs(fitness[0][r] - fitness[1][r]) <= 2 * tolerances.cross_entropy_error(logits, bound)
    assert np.argmax(fitness[0]) == np.argmax(fitness[1])
    mask = {site: value[0] for site, value in masks.items()}
    config = wc.TrainConfig(epochs=2, batch_size=12, weight_decay=weight_decay, compaction=False)
    trained = [
        wc.train(wc.Subnetwork(one, weights, mask), (x, y), backend="jax", key=KEY, config=config).network.params
        for one, weights in ((own, params), (net, theirs))
    ]
    for ours, name in zip(("dense0", "dense1", "out"), names, strict=True):
        for part in ("kernel", "bias"):
            one, other = trained[0][f"{name}/{part}"], trained[1][f"{ours}/{part}"]
            moved = float(np.abs(one - params[f"{name}/{part}"]).max())
            bound = tolerances.trained_error(moved, float(np.abs(one).max()), 12 + 7, 10)
            np.testing.assert_allclose(other, one, rtol=0, atol=2 * bound)


def parameters(net: wc.Network) -> list[str]:
    return list(wc.nn.parameter_shapes(net))


def _scanned(params: Any, x: Any) -> Any:
    h = jax.lax.scan(lambda h, w: (jax.nn.relu(h @ w), None), x, params["layers"])[0]
    return h @ params["out"]


def _tagged(params: Any, x: Any) -> Any:
    h = jax.nn.relu(x @ params["a"])
    return checkpoint_name(h * 2, "weedout:h") @ params["b"]


def _helped(params: Any, x: Any, train: bool) -> Any:
    """As a classifier that has a second one, whose logits it gives too while it is trained."""
    logits = jax.nn.relu(x @ params["a"]) @ params["b"]
    return (logits, logits) if train else logits


WEIGHTS = {"a": np.ones((6, 5), np.float32), "b": np.ones((5, 3), np.float32)}
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "scan": (
        (_scanned, {"layers": np.ones((2, 6, 6), np.float32), "out": np.ones((6, 3), np.float32)}),
        BackendError, "is inside scan, where one mask would be laid on every turn",
    ),
    "no activation": ((lambda p, x: x @ p["a"] @ p["b"], WEIGHTS), ConfigError, "must have an activation between"),
    "wrong shape": ((lambda p, x: jax.nn.relu(x @ p["b"]) @ p["b"], WEIGHTS), BackendError, "cannot be run on inputs"),
    "not logits": (
        (lambda p, x: jnp.sum(jax.nn.relu(x @ p["a"]) @ p["b"], 1), WEIGHTS), BackendError, "must give logits",
    ),
    "not logits alone": (
        (lambda p, x: (jax.nn.relu(x @ p["a"]) @ p["b"], x), WEIGHTS), BackendError, "must give logits.*gives tuple",
    ),
    "named logits": (
        (lambda p, x: {"y": jax.nn.relu(x @ p["a"]) @ p["b"]}, WEIGHTS), BackendError, "must give logits.*gives dict",
    ),
    "not logits alone in training": (
        (_helped, WEIGHTS), BackendError, "_helped, in training, must give logits.*gives tuple.*returns the logits",
    ),
    "no model": (7, BackendError, "adopts an nnx.Module"),
    "half": (
        (lambda p, x: jax.nn.relu(x @ p["a"]) @ p["b"], {**WEIGHTS, "a": jnp.ones((6, 5), jnp.bfloat16)}),
        BackendError, "must be float32; 'a'",
    ),
    "decides nothing": (
        (lambda p, x: x @ p["a"] @ p["b"] + 0 * jnp.isnan(jax.nn.relu(x @ p["a"])) @ p["b"], WEIGHTS),
        BackendError, "decides no logit",
    ),
    "callback": (
        (lambda p, x: jax.nn.relu(jax.pure_callback(lambda x: x, x, x) @ p["a"]) @ p["b"], WEIGHTS),
        BackendError, "calls back into Python",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("why", list(REFUSED))
def test_what_cannot_be_adopted_is_refused_with_the_reason(why: str) -> None:
    model, kind, said = REFUSED[why]
    with pytest.raises(kind, match=said):
        wc.adopt(model, (6,), backend="jax")


@pytest.mark.slow
def test_an_exception_leaves_the_model_as_it_was() -> None:
    model = Cnn()
    before = arrays(model)
    with pytest.raises(ConfigError, match="none is called 'selu'"):
        wc.adopt(model, (4, 4, 1), backend="jax", sites=("selu",))
    for old, new in zip(before, arrays(model), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not model.dropout.deterministic


@pytest.mark.slow
def test_a_tag_names_a_site_exactly() -> None:
    net = wc.adopt((_tagged, WEIGHTS), (6,), backend="jax")
    assert wc.mask_space(net) == {"h": (5,)}
    assert [held.macs for held in net.layers[0].params] == [30, 15]  # type: ignore[union-attr]


@pytest.mark.slow
def test_channels_are_masked_by_one_bit_each() -> None:
    net = wc.adopt(EquinoxCnn(), (1, 4, 4), backend="jax", granularity="channel")
    assert wc.mask_space(net) == {"relu": (4,)}
    x, _ = data((1, 4, 4), 3)
    model, backend = EquinoxCnn(), wc.load_backend("jax")
    mask = np.array([True, False, True, False])
    got = backend.apply(net, net.layers[0].model.params, x, {"relu": mask})  # type: ignore[union-attr]
    h = np.maximum(np.asarray(jax.vmap(model.conv)(x)), 0) * mask[None, :, None, None]
    wanted = h.reshape(3, -1) @ np.asarray(model.out.weight).T + np.asarray(model.out.bias)
    np.testing.assert_allclose(np.asarray(got), wanted, atol=1e-5)


@pytest.mark.slow
def test_recalibrated_statistics_are_refused() -> None:
    config = wc.SearchConfig(population=3, generations=1, batch_norm="recalibrated")
    with pytest.raises(ConfigError, match="gives their running mean alone"):
        wc.search(adopted("nnx normed"), data((6,)), sparsity=0.4, backend="jax", key=KEY, config=config)


@pytest.mark.parametrize("rate", [0.0, 1e-3])
def test_a_model_that_draws_is_trained_whole_though_a_step_may_draw_nothing(rate: float) -> None:
    class Dropping(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.dropout, self.dense = nnx.Dropout(rate, rngs=rngs), nnx.Linear(6, 8, rngs=rngs)
            self.out = nnx.Linear(8, 3, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.out(self.dropout(nnx.relu(self.dense(x))))

    layer: Any = wc.adopt(Dropping(nnx.Rngs(0)), (6,), backend="jax").layers[0]
    assert layer.trained_whole == (rate > 0)
