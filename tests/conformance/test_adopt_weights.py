"""Adopted models whose single weights are masked: their sites, what they compute, and what is given back."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import ConfigError

RNG = np.random.default_rng(0)
DATA = RNG.standard_normal((24, 12)).astype(np.float32), RNG.integers(0, 3, 24)
SEARCH = wc.SearchConfig(population=4, generations=2, validation_batch=12)
TRAIN = wc.TrainConfig(epochs=2, batch_size=12)
#: Float32 sums of at most 12 products of order 1, in another order.
CLOSE: Any = {"rtol": 1e-5, "atol": 1e-5}


def module() -> Any:
    """Two layers with normalisation between them, whose weights are vectors, and no site."""
    nn = imported("torch", "torch").nn
    return nn.Sequential(nn.Linear(12, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))


def function() -> Any:
    """The same in JAX, without the normalisation."""
    jnp = imported("jax", "jax").numpy
    shapes = {"one": (12, 8), "two": (8, 3)}
    params = {name: {"w": RNG.standard_normal(shape) / 3, "b": np.zeros(shape[1])} for name, shape in shapes.items()}

    def apply(params: Any, x: Any) -> Any:
        h = jnp.maximum(x @ params["one"]["w"] + params["one"]["b"], 0)
        return h @ params["two"]["w"] + params["two"]["b"]

    return apply, params


MODELS = {"torch": (module, ["0.weight", "3.weight"]), "jax": (function, ["one/w", "two/w"])}
BOTH = pytest.mark.parametrize("backend", list(MODELS))


def adopted(backend: str, **options: Any) -> wc.Network:
    return wc.adopt(MODELS[backend][0](), (12,), backend=backend, **options)


def logits(network: wc.Subnetwork, backend: str) -> np.ndarray:
    """What a network makes of the data."""
    there = wc.load_backend(backend)
    params = {path: there.asarray(value[None]) for path, value in network.params.items()}
    masks = network.mask and {site: there.asarray(mask[None]) for site, mask in network.mask.items()}
    return there.to_numpy(there.predict(network.net, params, {}, masks, there.asarray(DATA[0])))


@BOTH
def test_the_sites_are_the_weights_of_weight_layers(backend: str) -> None:
    net, paths = adopted(backend, granularity="connection"), MODELS[backend][1]
    shapes = wc.nn.parameter_shapes(net)
    assert wc.mask_space(net) == {path: shapes[path] for path in paths}
    assert list(wc.mask_space(adopted(backend, granularity="connection", sites=[paths[1][:1] + "*"]))) == paths[1:]
    assert wc.nn.network_from_json(wc.nn.network_to_json(net)) == net


@BOTH
def test_its_masks_are_those_of_the_reference(backend: str) -> None:
    net, keys = adopted(backend, granularity="connection"), wc.random.split(wc.key(3), 4)
    plan = wc.mask_plan(wc.mask_space(net), 0.7)
    ours, theirs = (wc.load_backend(name).masks_from_keys(keys, plan) for name in (backend, "numpy"))
    for site, mask in theirs.items():
        np.testing.assert_array_equal(np.asarray(wc.load_backend(backend).to_numpy(ours[site])), mask)


@BOTH
def test_a_masked_weight_is_one_that_is_0(backend: str) -> None:
    given = MODELS[backend][0]()
    net = wc.adopt(given, (12,), backend=backend, granularity="connection")
    found = wc.search(net, DATA, sparsity=0.5, backend=backend, config=SEARCH, key=wc.key(0)).network
    assert found.mask is not None
    zeroed = dict(found.params) | {path: found.params[path] * mask for path, mask in found.mask.items()}
    plain = wc.Subnetwork(net, zeroed)
    np.testing.assert_allclose(logits(found, backend), logits(plain, backend), **CLOSE)
    assert np.abs(logits(found, backend) - logits(wc.Subnetwork(net, found.params), backend)).max() > 0.01


@BOTH
def test_training_leaves_removed_weights_and_a_rebuilt_model_has_zeros(backend: str) -> None:
    net = adopted(backend, granularity="connection")
    found = wc.search(net, DATA, sparsity=0.5, backend=backend, config=SEARCH, key=wc.key(0)).network
    config = wc.TrainConfig(epochs=2, batch_size=12, weight_decay=0.0)
    trained = wc.train(found, DATA, config=config, backend=backend, key=wc.key(0)).network
    rebuilt = trained.rebuild()
    weights = (
        rebuilt.state_dict()
        if backend == "torch"
        else {"one/w": rebuilt[1]["one"]["w"], "two/w": rebuilt[1]["two"]["w"]}
    )
    assert trained.mask is not None
    for path, mask in trained.mask.items():
        np.testing.assert_array_equal(trained.params[path][~mask], found.params[path][~mask])
        assert (trained.params[path][mask] != found.params[path][mask]).any()
        np.testing.assert_array_equal(np.asarray(weights[path]), np.where(mask, trained.params[path], 0))


@BOTH
def test_masks_of_weights_stand_beside_those_of_nodes_and_are_made_smaller_with_them(backend: str) -> None:
    net = wc.nn.with_connections(adopted(backend))
    found = wc.search(net, DATA, sparsity=0.5, backend=backend, config=SEARCH, key=wc.key(0)).network
    small = found.compact()
    assert small.costs.macs < found.costs.macs
    assert small.costs.active_parameters == found.costs.active_parameters
    np.testing.assert_allclose(logits(small, backend), logits(found, backend), **CLOSE)


def test_a_search_without_any_site_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r'sites must be some; got none\. Masks of single weights need granularity="connection"'
    ):
        adopted("torch", sites=())


@BOTH
def test_an_activation_must_not_have_the_name_of_masked_weights(backend: str) -> None:
    net, path = adopted(backend), MODELS[backend][1][0]
    (site,) = wc.mask_space(net)
    named = adopted(backend, names={site: path})
    assert list(wc.mask_space(named)) == [path], "it may have it where the weights are no site"
    assert wc.costs(named, {path: np.arange(8) < 4}).active_parameters < wc.costs(named).parameters
    with pytest.raises(ConfigError, match=f"'{path}'"):
        wc.nn.with_connections(named)


@BOTH
def test_weights_that_are_not_there_are_listed(backend: str) -> None:
    paths = ", ".join(MODELS[backend][1])
    with pytest.raises(ConfigError, match=f"weights must be those of the network, {paths}; got 'nine'"):
        adopted(backend, granularity="connection", sites=["nine"])


@BOTH
def test_erk_and_magnitude_know_the_weights_of_an_adopted_model(backend: str) -> None:
    net, paths = adopted(backend, granularity="connection"), MODELS[backend][1]
    counts = wc.erk(net)(wc.mask_space(net), 0.5)
    assert counts == {paths[0]: 39, paths[1]: 21}, "half of 96 and 24, as 20 to 11, the sums of their sides"
    params = {path: RNG.standard_normal(shape) for path, shape in wc.nn.parameter_shapes(net).items()}
    found = wc.scores.magnitude(net, params)
    assert {path: value.tolist() for path, value in found.items()} == {
        path: np.abs(params[path]).tolist() for path in paths
    }
    with pytest.raises(ConfigError, match="of weights that lead to a node is known of the library's own layers"):
        wc.scores.magnitude(wc.nn.with_connections(adopted(backend)), params)
