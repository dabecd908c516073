"""Masks of models of JAX lie where they belong: what is called otherwise in another trace is refused, never counted."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError

jax = imported("jax", "jax")
jnp = jax.numpy

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
SHAPES = {"a": (8, 16), "b": (16, 16), "c": (16, 3)}
WEIGHTS: Any = {path: RNG.normal(size=shape).astype(np.float32) / 4 for path, shape in SHAPES.items()}
X, Y = RNG.normal(size=(64, 8)).astype(np.float32), np.arange(64) % 3
FEW = np.arange(16) < 5


def adopted(model: Callable[..., Any], **options: Any) -> wc.Network:
    return wc.adopt((model, WEIGHTS), (8,), backend="jax", **options)


def _variance(params: Any, x: Any, kept: Any = 1) -> Any:
    """Layer normalisation by hand: the maximum of its variance and 0 is none of its activations."""
    h = x @ params["a"]
    mean = h.mean(-1, keepdims=True)
    variance = jnp.maximum((h * h).mean(-1, keepdims=True) - mean * mean, 0)
    return (jnp.maximum((h - mean) / jnp.sqrt(variance + 1e-5), 0) * kept) @ params["c"]


def _gain(params: Any, x: Any, kept: Any = 1) -> Any:
    """A gain for each example, between two activations of its kind."""
    h = jnp.maximum(x @ params["a"], 0)
    gain = jnp.maximum(h.sum(-1, keepdims=True), 0)
    return (jnp.maximum((h / (1 + gain)) @ params["b"], 0) * kept) @ params["c"]


@pytest.mark.parametrize(("model", "site"), [(_variance, "relu"), (_gain, "relu#2")])
def test_a_maximum_that_is_no_activation_has_no_mask(model: Callable[..., Any], site: str) -> None:
    net = adopted(model, sites=[site])
    network = wc.Subnetwork(net, WEIGHTS, {site: FEW})
    expected = np.asarray(model(WEIGHTS, X, FEW))
    np.testing.assert_allclose(np.asarray(network.rebuild()(X)), expected, atol=1e-4)
    np.testing.assert_array_equal(wc.evaluate(network, (X, Y), backend="jax").predictions, expected.argmax(1))


def _more_in_training(params: Any, x: Any, train: bool = False) -> Any:
    h = jax.nn.relu(x @ params["a"])
    more = jax.nn.relu(h / 2) if train else h
    return jax.nn.relu(h @ params["b"] + 0 * more) @ params["c"]


def _fewer_in_training(params: Any, x: Any, train: bool = False) -> Any:
    h = jax.nn.relu(x @ params["a"])
    return (h if train else jax.nn.relu(h @ params["b"])) @ params["c"]


def _others_in_training(params: Any, x: Any, train: bool = False) -> Any:
    act = jax.nn.gelu if train else jax.nn.silu
    return jax.nn.relu(act(x @ params["a"]) @ params["b"]) @ params["c"]


def _turned_in_training(params: Any, x: Any, train: bool = False) -> Any:
    """Two branches of one shape, which are computed in the other order."""
    one = x @ params["a"]
    other = one @ params["b"]
    pair = [jax.nn.relu(branch) for branch in ((other, one) if train else (one, other))]
    return (pair[1] - pair[0] if train else pair[0] - pair[1]) @ params["c"]


def _by_pairs(params: Any, x: Any) -> Any:
    parts = [jax.nn.relu(part @ params["a"]) for part in jnp.split(x, [*range(2, len(x), 2)])]
    return jnp.concatenate(parts) @ params["c"]


def _by_number(params: Any, x: Any) -> Any:
    h = jax.nn.relu(x @ params["a"])
    return (jax.nn.silu(h @ params["b"]) if len(x) > 4 else jax.nn.gelu(h @ params["b"])) @ params["c"]


ONE, TWO = (rf"relu of the shape \(16,\) for each example, computed of {params}" for params in ("a", "a, b"))
REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "more": (_more_in_training, f"in training call 2 is {ONE}, and not {TWO}"),
    "fewer": (_fewer_in_training, f"in training call 2 is none, and not {TWO}"),
    "others": (_others_in_training, r"in training call 1 is gelu .* and not silu"),
    "turned": (_turned_in_training, f"in training call 1 is {TWO}, and not {ONE}"),
    "by pairs": (_by_pairs, r"the same for 3 as for 5 examples; then call \d is .*, and not"),
    "by number": (_by_number, r"the same for 3 as for 5 examples; then call 4 is silu .*, and not gelu"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_model_that_calls_others_in_another_trace_is_refused(why: str) -> None:
    model, said = REFUSED[why]
    with pytest.raises(BackendError, match=said):
        adopted(model)


def _in_parts(params: Any, x: Any) -> Any:
    parts = [jax.nn.relu(part @ params["a"]) for part in jnp.split(x, [*range(32, len(x), 32)])]
    return jnp.concatenate([jax.nn.relu(part @ params["b"]) @ params["c"] for part in parts])


@cache
def in_parts() -> wc.Subnetwork:
    return wc.Subnetwork(adopted(_in_parts), WEIGHTS, {"relu": FEW, "relu#2": FEW})


@pytest.mark.parametrize("compaction", [True, False])
def test_parts_of_more_examples_than_were_tried_are_refused_when_they_are_met(compaction: bool) -> None:
    network, config = in_parts(), wc.TrainConfig(epochs=1, batch_size=64, compaction=compaction)
    said = rf"64 of them call 1 is relu of the shape \(32, (5|16)\), computed of a, and not {ONE}"
    with pytest.raises(BackendError, match=said):
        wc.train(network, (X, Y), config=config, backend="jax", key=wc.key(0))
    with pytest.raises(BackendError, match=f"_in_parts, after training, must have .*{said}"):
        cast(Any, network.rebuild())(X)
    h = np.maximum(X[:32] @ WEIGHTS["a"], 0) * FEW
    expected = (np.maximum(h @ WEIGHTS["b"], 0) * FEW) @ WEIGHTS["c"]
    np.testing.assert_allclose(np.asarray(network.rebuild()(X[:32])), expected, atol=1e-5)
