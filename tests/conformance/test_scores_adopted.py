"""Scores of adopted models: those of the library's own network with the same weights."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.errors import ConfigError

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")

KEY = wc.key(3)
X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
Y = np.arange(40) % 3
NET = wc.mlp(6, (8,), 3)
PARAMS = {path: np.asarray(value, np.float32) for path, value in wc.load_backend("numpy").initialise(NET, KEY).items()}
FIRST, LAST = (tuple(PARAMS[f"{name}/{part}"] for part in ("kernel", "bias")) for name in ("dense_0", "logits"))


def of_torch() -> wc.Network:
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for layer, (kernel, bias) in ((model[0], FIRST), (model[2], LAST)):
            layer.weight.copy_(torch.tensor(kernel.T.copy()))
            layer.bias.copy_(torch.tensor(bias.copy()))
    return wc.adopt(model, (6,), backend="torch", names={"1": "hidden_0"})


def of_jax() -> wc.Network:
    def apply(params: Any, x: Any) -> Any:
        return jax.nn.relu(x @ params["k"] + params["b"]) @ params["l"] + params["c"]

    weights = dict(zip("kblc", (*FIRST, *LAST), strict=True))
    return wc.adopt((apply, weights), (6,), backend="jax", names={"relu": "hidden_0"})


MODELS = {"torch": of_torch, "jax": of_jax}


def params_of(net: wc.Network) -> Any:
    layer = wc.backend.adopted(net)
    assert layer is not None
    return layer.model.params


@pytest.mark.parametrize("backend", MODELS)
def test_snip_of_an_adopted_model_is_that_of_the_same_network(backend: str) -> None:
    net = MODELS[backend]()
    wanted = wc.scores.snip(NET, PARAMS, (X, Y), backend="numpy", key=KEY)
    found = wc.scores.snip(net, params_of(net), (X, Y), backend=backend, key=KEY)
    np.testing.assert_allclose(found["hidden_0"], wanted["hidden_0"], rtol=1e-9)  # both compute in float64


@pytest.mark.parametrize("backend", MODELS)
def test_synflow_of_an_adopted_model_is_that_of_the_same_network(backend: str) -> None:
    net, plan = MODELS[backend](), wc.mask_plan({"hidden_0": (8,)}, 0.5)
    wanted = wc.scores.synflow(NET, PARAMS, plan, backend="numpy", key=KEY, steps=3)
    found = wc.scores.synflow(net, params_of(net), plan, backend=backend, key=KEY, steps=3)
    np.testing.assert_allclose(found["hidden_0"], wanted["hidden_0"], rtol=1e-9)


@pytest.mark.parametrize("backend", MODELS)
def test_magnitude_of_an_adopted_model_is_refused(backend: str) -> None:
    net = MODELS[backend]()
    with pytest.raises(ConfigError, match="the magnitude of weights that lead to a node is known of the library's own"):
        wc.scores.magnitude(net, params_of(net))


@pytest.mark.parametrize("weights", ["per_candidate", "shared"])
def test_a_search_that_cannot_be_is_refused_by_its_check(weights: Any) -> None:
    config = wc.SearchConfig(weights=weights)
    if weights == "shared":
        return wc.backend.check_search(of_jax(), config, 40)
    with pytest.raises(ConfigError, match='weights="per_candidate" needs a way to draw weights'):
        wc.backend.check_search(of_jax(), config, 40)
    return None


def test_programs_of_an_adopted_model_are_compiled_ahead() -> None:
    """But for those that draw weights."""
    memory = wc.load_backend("jax").compiled_memory
    assert memory is not None
    found = memory(of_jax(), 0.5, wc.SearchConfig(), wc.TrainConfig(batch_size=8), 16, 2, None)
    assert set(found) == {"score shared weights", "train_epoch", "predict"}
    assert min(found.values()) > 0
