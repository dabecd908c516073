"""Models of JAX that their masks make smaller: which sites, and that the smaller model is the masked one."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported

jax = imported("jax", "jax")
eqx = pytest.importorskip("equinox")
nnx = pytest.importorskip("flax.nnx")
nn = pytest.importorskip("flax.linen")
jnp = jax.numpy

pytestmark = pytest.mark.slow

IMAGE = (8, 8, 3)
#: Logits are sums of at most some hundred float32 terms of order 1, in another order; so are gradients.
ROUNDED: Any = {"rtol": 1e-5, "atol": 1e-5}


class Mlp(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.first, self.second, self.head = (
            nnx.Linear(12, 10, rngs=rngs), nnx.Linear(10, 8, rngs=rngs), nnx.Linear(8, 4, rngs=rngs)
        )  # fmt: skip

    def __call__(self, x: Any) -> Any:
        return self.head(nnx.gelu(self.second(nnx.relu(self.first(x)))))


class Cnn(nnx.Module):
    """Layer normalisation needs every channel before it, and the layer after its activation reads some."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.conv, self.norm = nnx.Conv(3, 6, (3, 3), rngs=rngs), nnx.LayerNorm(6, rngs=rngs)
        self.hidden, self.head = nnx.Conv(6, 8, (3, 3), rngs=rngs), nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(nnx.gelu(self.hidden(nnx.relu(self.norm(self.conv(x))))).mean((1, 2)))


class Flattened(nnx.Module):
    """Single nodes of an image are no channels; what they are flattened to is read."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.conv, self.hidden = nnx.Conv(3, 4, (3, 3), (2, 2), rngs=rngs), nnx.Linear(64, 8, rngs=rngs)
        self.head = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.head(nnx.gelu(self.hidden(nnx.relu(self.conv(x)).reshape(len(x), -1))))


class Depthwise(nnx.Module):
    """As in MobileNets, with batch normalisation."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.wide, self.first = nnx.Conv(3, 8, (1, 1), rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.each = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.narrow, self.head = nnx.Conv(8, 6, (1, 1), rngs=rngs), nnx.Linear(6, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        h = nnx.relu(self.each(nnx.relu(self.first(self.wide(x)))))
        return self.head(nnx.silu(self.narrow(h)).mean((1, 2)))


class EquinoxCnn(eqx.Module):
    conv: Any
    hidden: Any
    head: Any

    def __init__(self) -> None:
        keys = jax.random.split(jax.random.key(0), 3)
        self.conv, self.hidden = eqx.nn.Conv2d(3, 6, 3, key=keys[0]), eqx.nn.Linear(216, 8, key=keys[1])
        self.head = eqx.nn.Linear(8, 4, key=keys[2])

    def __call__(self, x: Any) -> Any:
        h = jax.nn.relu(self.conv(jnp.moveaxis(x, -1, 0))).ravel()
        return self.head(jax.nn.gelu(self.hidden(h)))


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        h = nn.relu(nn.Dense(10, name="first")(x))
        return nn.Dense(4, name="head")(nn.gelu(nn.Dense(8, name="second")(h)))


def shortcut(params: Any, x: Any) -> Any:
    """The sum of a layer and what came to it, which needs every node."""
    h = jax.nn.relu(x @ params["stem"])
    h = jax.nn.relu(jax.nn.relu(h @ params["one"]) @ params["two"] + h)
    return h @ params["head"]


def _shortcut() -> Any:
    rng = np.random.default_rng(0)
    shapes = {"stem": (12, 6), "one": (6, 8), "two": (8, 6), "head": (6, 4)}
    return shortcut, {name: rng.normal(size=shape).astype(np.float32) / 2 for name, shape in shapes.items()}


def numbered(params: Any, x: Any) -> Any:
    """A shape that is written down."""
    return jax.nn.relu(x @ params["first"]).reshape(-1, 2, 4).mean(1) @ params["head"]


def _numbered() -> Any:
    rng = np.random.default_rng(0)
    return numbered, {"first": rng.normal(size=(12, 8)).astype(np.float32), "head": np.eye(4, dtype=np.float32)}


SMALLER, READ, WITHIN, MASKED = "smaller", "read", "within", "masked"


class Case(NamedTuple):
    make: Callable[[], Any]
    shape: tuple[int, ...]
    states: list[str]
    granularity: wc.nn.Granularity = "channel"


CASES = {
    "nnx mlp": Case(Mlp, (12,), [SMALLER, SMALLER]),
    "nnx cnn": Case(Cnn, IMAGE, [READ, SMALLER]),
    "nnx flattened": Case(Flattened, IMAGE, [READ, SMALLER], "node"),
    "nnx depthwise": Case(Depthwise, IMAGE, [WITHIN, SMALLER, SMALLER]),
    "equinox mlp": Case(lambda: eqx.nn.MLP(12, 4, 8, 2, key=jax.random.key(0)), (12,), [SMALLER, SMALLER]),
    "equinox cnn": Case(EquinoxCnn, IMAGE, [SMALLER, SMALLER]),
    "shortcut": Case(_shortcut, (12,), [READ, SMALLER, READ]),
    "numbered": Case(_numbered, (12,), [MASKED]),
    "linen": Case(lambda: (Linen(), Linen().init(jax.random.key(0), jnp.ones((1, 12)))), (12,), [SMALLER, SMALLER]),
}
every = pytest.mark.parametrize("name", CASES)


@cache
def adopted(name: str) -> wc.Network:
    make, shape, _, granularity = CASES[name]
    return wc.adopt(make(), shape, backend="jax", granularity=granularity)


@cache
def masked(name: str) -> wc.Subnetwork:
    """Under a mask, with weights that have moved from where they began."""
    net, rng = adopted(name), np.random.default_rng(1)
    model = cast(Any, net).layers[0].model
    params = {path: value + rng.normal(scale=0.2, size=value.shape) for path, value in model.params.items()}
    statistics = {path: value + rng.uniform(size=value.shape) for path, value in model.statistics.items()}
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(1), 1), wc.mask_plan(wc.nn.mask_space(net), 0.5))
    mask = {site: one[0] for site, one in masks.items()}
    single, moving = (
        {path: one.astype(np.float32) for path, one in tree.items()} for tree in (params, statistics)
    )  # fmt: skip
    return wc.Subnetwork(net, single, mask, moving or None)


def examples(name: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, *CASES[name].shape)).astype(np.float32), np.arange(32) % 4


def called(model: Any, x: np.ndarray) -> np.ndarray:
    """The logits of a model, as a user of its library would compute them."""
    if isinstance(model, tuple):
        module, rest = model
        return np.asarray(module.apply(rest, x) if isinstance(module, nn.Module) else module(rest, x))
    return np.asarray((jax.vmap(model) if isinstance(model, eqx.Module) else model)(x))


@every
def test_the_sites_that_leave_a_smaller_model(name: str) -> None:
    layer = cast(Any, adopted(name).layers[0])
    followed = {one.site for held in layer.params for one in held.follows}

    def state(one: wc.backend.Place) -> str:
        if one.site in followed:
            return READ if one.whole else SMALLER
        return WITHIN if one.within else MASKED

    assert [state(one) for one in layer.places] == CASES[name].states
    assert not layer.trained_whole


@every
def test_a_smaller_model_computes_what_the_masked_one_does(name: str) -> None:
    network, (x, y) = masked(name), examples(name)
    small = network.compact()
    expected = called(network.rebuild(), x)
    np.testing.assert_allclose(called(small.rebuild(), x), expected, **ROUNDED)
    loss = -np.mean(np.asarray(jax.nn.log_softmax(expected))[np.arange(len(y)), y])
    assert wc.evaluate(small, (x, y), backend="jax").loss == pytest.approx(float(loss), rel=1e-5)
    sizes = [sum(value.size for value in one.params.values()) for one in (small, network)]
    assert (sizes[0] < sizes[1]) == (set(CASES[name].states) != {MASKED})
    assert small.compact().net == small.net, "a network that was compacted stays as it is"


@every
def test_a_smaller_model_is_trained_as_the_masked_one(name: str) -> None:
    one, other = (
        wc.train(
            masked(name), examples(name), config=wc.TrainConfig(epochs=2, batch_size=16, compaction=small),
            backend="jax", key=wc.key(3),
        )
        for small in (True, False)
    )  # fmt: skip
    for path, value in other.network.params.items():
        np.testing.assert_allclose(one.network.params[path], value, **ROUNDED)
    for path, value in other.network.moving.items():
        np.testing.assert_allclose(one.network.moving[path], value, **ROUNDED)


def test_a_search_scores_smaller_models_as_masked_ones() -> None:
    data = examples("shortcut")
    config = wc.SearchConfig(population=4, generations=1, validation_batch=32)
    found = wc.search(adopted("shortcut"), data, sparsity=0.5, config=config, backend="jax", key=wc.key(0))
    logits = np.asarray(jax.nn.log_softmax(called(found.network.rebuild(), data[0])))
    assert found.fitness == pytest.approx(float(np.mean(logits[np.arange(32), data[1]])), rel=1e-5)


def test_a_smaller_model_is_one_of_its_library_as_any_other() -> None:
    mlp = masked("nnx mlp").compact().rebuild()
    assert isinstance(mlp, Mlp)
    assert [(one.in_features, one.out_features) for one in (mlp.first, mlp.second, mlp.head)] == [
        (12, 5), (5, 4), (4, 4)
    ]  # fmt: skip
    conv = masked("nnx depthwise").compact().rebuild().model
    assert (conv.each.in_features, conv.each.out_features, conv.each.feature_group_count) == (4, 4, 4)
    assert (conv.narrow.in_features, conv.narrow.out_features, conv.narrow.kernel_shape) == (4, 3, (1, 1, 4, 3))
    assert conv.first.num_features == 4
    cnn = masked("equinox cnn").compact().rebuild()
    assert isinstance(cnn, EquinoxCnn)
    assert (cnn.conv.in_channels, cnn.conv.out_channels, cnn.conv.groups) == (3, 3, 1)
    assert (cnn.hidden.in_features, cnn.hidden.out_features, cnn.head.in_features) == (108, 4, 4)
    module, variables = masked("linen").compact().rebuild()
    assert isinstance(module.module, Linen)
    assert jax.tree.map(np.shape, variables) == {
        "params": {
            "first": {"kernel": (12, 5), "bias": (5,)}, "second": {"kernel": (5, 4), "bias": (4,)},
            "head": {"kernel": (4, 4), "bias": (4,)},
        }
    }  # fmt: skip
