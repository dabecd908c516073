"""Convolutions of one input channel, at first or under a mask, and groups, in each library."""

from collections.abc import Callable
from typing import Any, cast

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

SHAPE = (6, 6, 1)
#: The features, the size of the window and the groups of each convolution: the third one is depthwise.
CONVOLUTIONS = ((4, 3, 1), (6, 3, 1), (6, 3, 6), (4, 1, 1))


class Nnx(nnx.Module):
    def __init__(self) -> None:
        rngs, before = nnx.Rngs(0), (1, *(features for features, *_ in CONVOLUTIONS))
        self.layers = nnx.List([
            nnx.Conv(inputs, features, (size, size), feature_group_count=groups, rngs=rngs)
            for inputs, (features, size, groups) in zip(before, CONVOLUTIONS, strict=False)
        ])  # fmt: skip
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.head(x.mean((1, 2)))


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        for features, size, groups in CONVOLUTIONS:
            x = nn.relu(nn.Conv(features, (size, size), feature_group_count=groups)(x))
        return nn.Dense(3)(x.mean((1, 2)))


class Equinox(eqx.Module):
    layers: Any
    head: Any

    def __init__(self) -> None:
        key, before = jax.random.key(0), (1, *(features for features, *_ in CONVOLUTIONS))
        self.layers = [
            eqx.nn.Conv2d(inputs, features, size, padding=size // 2, groups=groups, key=key)
            for inputs, (features, size, groups) in zip(before, CONVOLUTIONS, strict=False)
        ]
        self.head = eqx.nn.Linear(4, 3, key=key)

    def __call__(self, x: Any) -> Any:
        x = jnp.moveaxis(x, -1, 0)
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return self.head(x.mean((1, 2)))


MADE: dict[str, Callable[[], Any]] = {
    "nnx": Nnx,
    "linen": lambda: (Linen(), Linen().init(jax.random.key(0), jnp.ones((1, *SHAPE)))),
    "equinox": Equinox,
}


def called(model: Any, x: np.ndarray) -> np.ndarray:
    if isinstance(model, tuple):
        return np.asarray(model[0].apply(model[1], x))
    return np.asarray((jax.vmap(model) if isinstance(model, eqx.Module) else model)(x))


@pytest.mark.parametrize("library", MADE)
def test_groups_are_those_of_the_whole_model(library: str) -> None:
    sites = "relu", "relu#3", "relu#4"  # a mask after the depthwise layer decides which of its channels are needed
    net = wc.adopt(MADE[library](), SHAPE, backend="jax", granularity="channel", sites=sites)
    layer = cast(Any, net.layers[0])
    followed = {one.site for held in layer.params for one in held.follows}
    assert followed == set(sites)
    x = np.random.default_rng(0).normal(size=(8, *SHAPE)).astype(np.float32)
    for kept in ((1, 3), (2, 1)):
        masks = {
            site: np.arange(before) < left for site, before, left in zip(sites, (4, 6, 4), (*kept, 2), strict=True)
        }
        network = wc.Subnetwork(net, layer.model.params, masks)
        expected, small = called(network.rebuild(), x), network.compact()
        np.testing.assert_allclose(called(small.rebuild(), x), expected, rtol=1e-5, atol=1e-5)
        ends = (0, 1) if library == "equinox" else (-1, -2)
        got = [tuple(value.shape[end] for end in ends) for value in small.params.values() if value.ndim == 4]
        assert got == [(kept[0], 1), (kept[1], kept[0]), (kept[1], 1), (2, kept[1])]
        y = expected.argmax(1)
        np.testing.assert_array_equal(wc.evaluate(network, (x, y), backend="jax").predictions, y)
