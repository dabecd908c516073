"""What a model of JAX raises, and what it changes beside running statistics, is said by name."""

import threading
from typing import Any, cast

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError

jax = imported("jax", "jax")
eqx = pytest.importorskip("equinox")
nnx = pytest.importorskip("flax.nnx")
nn = pytest.importorskip("flax.linen")
jnp = jax.numpy

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
WEIGHTS = {"a": RNG.normal(size=(6, 5)).astype(np.float32), "b": RNG.normal(size=(5, 3)).astype(np.float32)}
X, Y = RNG.normal(size=(12, 6)).astype(np.float32) + 1, np.arange(12) % 3
TRAIN: Any = {"config": wc.TrainConfig(epochs=2, batch_size=4), "backend": "jax", "key": wc.key(0)}


class Mean(nnx.Variable):
    pass


class RunningMean(nnx.BatchStat):
    pass


class Moving(nnx.Module):
    def __init__(self, kind: Any) -> None:
        rngs = nnx.Rngs(0)
        self.first, self.head = nnx.Linear(6, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)
        self.moved, self.fixed = kind(jnp.zeros(5)), jnp.full(5, 0.5)

    def __call__(self, x: Any, train: bool = False) -> Any:
        h = self.first(x)
        if train:
            self.moved[...] = 0.9 * self.moved[...] + 0.1 * jax.lax.stop_gradient(h).mean(0)
        return self.head(nnx.relu(h - self.moved[...] + self.fixed))


class Guarded(nn.Module):
    """It changes what it may, as a module of linen can ask."""

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        h, moved = nn.Dense(5)(x), self.variable("ema", "mean", jnp.zeros, 5)
        if train and self.is_mutable_collection("ema"):
            moved.value = 0.9 * moved.value + 0.1 * h.mean(0)
        return nn.Dense(3)(nn.relu(h - moved.value))


def test_what_a_module_of_linen_moves_must_be_among_its_running_statistics() -> None:
    variables = Guarded().init(jax.random.key(0), jnp.ones((1, 6)))
    said = r"Guarded may change nothing but running .*'ema/mean'\. Hold it in the collection 'batch_stats'"
    with pytest.raises(BackendError, match=said):
        wc.adopt((Guarded(), variables), (6,), backend="jax")


def test_what_a_module_moves_must_be_a_running_statistic() -> None:
    with pytest.raises(BackendError, match=r"Moving may change nothing but running .*'moved'\. Make it an nnx"):
        wc.adopt(Moving(Mean), (6,), backend="jax")
    net = wc.adopt(Moving(RunningMean), (6,), backend="jax")
    layer = cast(Any, net.layers[0])
    start = wc.Subnetwork(net, layer.model.params, None, layer.model.statistics)
    config = wc.TrainConfig(epochs=1, batch_size=12, precision="highest")
    after = wc.train(start, (X, Y), **{**TRAIN, "config": config}).network.rebuild()
    expected = 0.1 * np.asarray(Moving(RunningMean).first(X)).mean(0)
    np.testing.assert_allclose(np.asarray(after.moved[...]), expected, rtol=1e-5, atol=1e-6)


class Clock:
    calls, stop = 0, 0

    @classmethod
    def tick(cls) -> None:
        cls.calls += 1
        if cls.calls == cls.stop:
            raise ZeroDivisionError("the clock\nhas stopped.")


def ticking(params: Any, x: Any, train: bool = False) -> Any:
    Clock.tick()
    return jax.nn.relu(x @ params["a"]) @ params["b"]


def test_an_exception_of_a_model_names_it_and_the_call() -> None:
    said = r"ticking cannot be run on inputs \(\d+, 6\), {}: ZeroDivisionError: the clock\."
    Clock.calls, Clock.stop = 0, 0
    network = wc.Subnetwork(wc.adopt((ticking, WEIGHTS), (6,), backend="jax"), WEIGHTS, {"relu": np.arange(5) < 2})
    for call in (1, 4, 10):  # the first trace, one of more examples, and one when masks are tried
        Clock.calls, Clock.stop = 0, call
        with pytest.raises(BackendError, match="ticking cannot be run on inputs") as raised:
            wc.adopt((ticking, WEIGHTS), (6,), backend="jax")
        assert isinstance(raised.value.__cause__, ZeroDivisionError)
    jax.clear_caches()
    Clock.calls, Clock.stop = 0, 1
    with pytest.raises(BackendError, match=said.format("in training")) as raised:
        wc.train(network, (X, Y), **TRAIN)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    Clock.calls = 0
    with pytest.raises(BackendError, match=said.format("after training")):
        network.rebuild()(X)


def test_a_module_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BackendError, match="Dense cannot be read: TypeError: 'int' object is not a mapping"):
        wc.adopt((nn.Dense(3), 7), (6,), backend="jax")


def test_threads_have_their_own_masks() -> None:
    net = wc.adopt(eqx.nn.MLP(6, 3, 16, 1, key=jax.random.key(0)), (6,), backend="jax")
    params, got = cast(Any, net.layers[0]).model.params, {}
    masks = [np.arange(16) < kept for kept in range(2, 14)]

    def evaluated(turn: int) -> None:
        for place in range(len(masks)):
            kept = (place + 5 * turn) % len(masks)
            network = wc.Subnetwork(net, params, {"relu": masks[kept]})
            got[turn, kept] = wc.evaluate(network, (X, Y), backend="jax").loss

    threads = [threading.Thread(target=evaluated, args=(turn,)) for turn in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, two = ((params[f"layers/{place}/weight"], params[f"layers/{place}/bias"]) for place in (0, 1))
    for (_, kept), loss in got.items():
        h = np.maximum(X @ one[0].T + one[1], 0) * masks[kept]
        logits = np.asarray(jax.nn.log_softmax(h @ two[0].T + two[1]))
        assert loss == pytest.approx(-float(logits[np.arange(12), Y].mean()), rel=1e-5)
    assert len(got) == 2 * len(masks)
