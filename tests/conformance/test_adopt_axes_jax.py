"""Channels of models of JAX are those of the weight layer before, wherever its axis has moved, of whatever length."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError

jax = imported("jax", "jax")
jnp = jax.numpy

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
TIME = 8  # as many steps as channels: lengths tell nothing
SHAPES = {"a": (4, 8), "wide": (4, 16), "b": (8, 8), "c": (8, 3)}
WEIGHTS: Any = {path: RNG.normal(size=shape).astype(np.float32) for path, shape in SHAPES.items()}
X = RNG.normal(size=(6, TIME, 4)).astype(np.float32)
KEPT = np.arange(8) < 3


def _head(params: Any, h: Any) -> Any:
    """The logits of (examples, channels, time), whose channels and steps count alike."""
    return jnp.tanh(jnp.einsum("nct,cd->ntd", h, params["b"])).mean(1) @ params["c"]


def _last(params: Any, x: Any, kept: Any) -> Any:
    return _head(params, (jax.nn.relu(x @ params["a"]) * kept).swapaxes(1, 2))


def _turned(params: Any, x: Any, kept: Any) -> Any:
    return _head(params, jax.nn.relu((x @ params["a"]).swapaxes(1, 2)) * kept[:, None])


def _mapped(params: Any, x: Any, kept: Any) -> Any:
    """As modules of equinox, which compute one example, with their channels first."""
    h = jax.vmap(lambda x: jax.nn.gelu(params["a"].T @ x.T))(x)
    return _head(params, h * kept[:, None])


def _grouped(params: Any, x: Any, kept: Any) -> Any:
    """Normalised in groups, in another shape, and moved around it."""
    h = (x @ params["a"]).transpose(0, 2, 1)
    groups = h.reshape(len(h), 2, -1)
    groups = (groups - groups.mean(-1, keepdims=True)) / jnp.sqrt(groups.var(-1, keepdims=True) + 1e-5)
    return _head(params, jax.nn.silu(groups.reshape(h.shape)[:, ::-1]) * kept[:, None])


def _halved(params: Any, x: Any, kept: Any) -> Any:
    one, gate = jnp.split((x @ params["wide"]).swapaxes(1, 2), 2, axis=1)
    return _head(params, one * (jax.nn.sigmoid(gate) * kept[:, None]))


def _pooled(params: Any, x: Any, kept: Any) -> Any:
    h = jnp.pad((x @ params["a"]).swapaxes(1, 2), ((0, 0), (0, 0), (1, 0)))
    h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 2), (1, 1, 1), "VALID")
    return _head(params, jax.nn.relu(jnp.stack([h, h]).sum(0)) * kept[:, None])


MODELS = _last, _turned, _mapped, _grouped, _halved, _pooled


@pytest.mark.parametrize("model", MODELS)
def test_channels_are_found_where_their_axis_went(model: Callable[..., Any]) -> None:
    def apply(params: Any, x: Any) -> Any:
        return model(params, x, jnp.ones(8))

    adopt: Any = wc.load_backend("jax").adopt
    layer = adopt((apply, WEIGHTS), (TIME, 4), None, {}, "channel")
    site = layer.places[0].site
    assert layer.places[0].shape == (8,)
    got, _ = layer.model.forward(layer.model.params, {}, {site: KEPT}, X, "running")
    np.testing.assert_allclose(np.asarray(got), np.asarray(model(WEIGHTS, X, KEPT)), rtol=1e-4, atol=1e-4)


def _shuffled(params: Any, x: Any) -> Any:
    """The channels of each step are split between two steps."""
    h = jax.nn.relu((x @ params["a"]).reshape(len(x), 2 * TIME, 4))
    return h.reshape(len(x), TIME, 8).mean(1) @ params["b"] @ params["c"]


def _attending(params: Any, x: Any) -> Any:
    h = x @ params["a"]
    scores = jax.nn.softmax(jnp.einsum("ntd,nsd->nts", h, h))
    return _head(params, jax.nn.relu(jnp.einsum("nts,nsd->ntd", scores, h)))


@pytest.mark.parametrize("model", [_shuffled, _attending])
def test_channels_that_cannot_be_told_are_refused_and_nodes_are_not(model: Callable[..., Any]) -> None:
    adopt: Any = wc.load_backend("jax").adopt
    with pytest.raises(
        BackendError, match=r"the axis of channels of 'relu' in .* must be known .* Take granularity='node'"
    ):
        adopt((model, WEIGHTS), (TIME, 4), None, {}, "channel")
    layer = adopt((model, WEIGHTS), (TIME, 4), None, {}, "node")
    assert layer.places[0].site == "relu"
