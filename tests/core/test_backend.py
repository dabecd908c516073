"""How a backend is found, what its absence says, and what the methods on the contract check."""

import importlib.metadata
import sys
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

NET = wc.mlp(inputs=3, hidden=(4, 2), classes=2)
SPACE = wc.mask_space(NET)
X = np.linspace(-1, 1, 15).reshape(5, 3)
Y = np.asarray([0, 1, 0, 1, 1])


@pytest.fixture(scope="module")
def backend() -> wc.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def params(backend: wc.Backend) -> Any:
    return backend.initialise(NET, wc.key(0))


def announce(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Pretend that an installed package announces a backend."""
    point = importlib.metadata.EntryPoint(name, value, "weedout_core.backends")
    points = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **params: points.select(**params))


def test_the_built_in_backends_are_known() -> None:
    assert {"numpy", "jax"} <= set(wc.backend_names())
    assert wc.backend_names() == sorted(wc.backend_names())


def test_an_unknown_backend_is_an_error_that_lists_the_known() -> None:
    known = ", ".join(wc.backend_names())
    with pytest.raises(wc.BackendError) as caught:
        wc.load_backend("numpi")
    assert str(caught.value) == f"unknown backend 'numpi'; known are {known}."


def test_a_backend_that_cannot_be_imported_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weedout_jax", None)
    with pytest.raises(wc.BackendNotInstalledError) as caught:
        wc.load_backend("jax")
    message = str(caught.value)
    assert message.startswith("backend 'jax' cannot be imported (")
    assert message.endswith("): pip install 'weedout-core[jax]'.")
    assert isinstance(caught.value, ImportError), "who catches ImportError catches this one"
    assert isinstance(caught.value.__cause__, ImportError), "the first cause stays visible"


def test_what_a_backend_imports_while_connecting_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "late", "weedout_numpy:no_such_module")
    monkeypatch.setattr("weedout_numpy.no_such_module", connect_without_its_framework, raising=False)
    with pytest.raises(
        wc.BackendNotInstalledError, match=r"backend 'late' cannot be imported \(.*\): install what is missing\."
    ):
        wc.load_backend("late")


def connect_without_its_framework(device: str | None, devices: int) -> wc.Backend:
    raise ImportError(f"no framework for {devices} of {device}")


def test_a_third_party_announces_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "mine", "weedout_numpy:connect")
    assert "mine" in wc.backend_names()
    assert wc.load_backend("mine").name == "numpy", "the entry point's function connects"


def test_a_third_party_cannot_take_the_place_of_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "numpy", "weedout_jax:connect")
    assert wc.load_backend("numpy").name == "numpy"


def test_a_backend_is_passed_through(backend: wc.Backend) -> None:
    assert wc.load_backend(backend) is backend


def test_sample_masks_draws_candidate_i_from_fold_in_i(backend: wc.Backend) -> None:
    masks = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3)
    expected = wc.masks_from_keys(wc.split(wc.key(4), 3), wc.mask_plan(SPACE, 0.5))
    assert set(masks) == set(SPACE)
    for site in SPACE:
        np.testing.assert_array_equal(backend.to_numpy(masks[site]), expected[site])
    bernoulli = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3, sampling="bernoulli")
    expected = wc.masks_from_keys(wc.split(wc.key(4), 3), wc.mask_plan(SPACE, 0.5, "bernoulli"))
    for site in SPACE:
        np.testing.assert_array_equal(backend.to_numpy(bernoulli[site]), expected[site])


def test_initialise_draws_he_normal_unless_told_otherwise(backend: wc.Backend) -> None:
    params = backend.initialise(NET, wc.key(1))
    assert {path: np.shape(value) for path, value in params.items()} == wc.parameter_shapes(NET)
    kept = backend.initialise(NET, wc.key(1), wc.he_normal(NET, kept={"hidden_0": 1}))
    # std = sqrt(2 / fan): counting 1 of 4 inputs doubles the same normals; doubling is exact in binary.
    np.testing.assert_allclose(kept["dense_1/kernel"], 2 * np.asarray(params["dense_1/kernel"]), rtol=1e-15)


def test_apply_without_masks_is_apply_with_all_ones(backend: wc.Backend, params: Any) -> None:
    ones = {site: np.ones(shape, dtype=bool) for site, shape in SPACE.items()}
    parent = backend.to_numpy(backend.apply(NET, params, X))
    assert parent.shape == (5, 2)
    np.testing.assert_array_equal(backend.to_numpy(backend.apply(NET, params, X, ones)), parent)


def test_apply_to_a_network_without_sites_takes_no_masks(backend: wc.Backend) -> None:
    net = wc.mlp(3, (), 2)
    params = backend.initialise(net, wc.key(0))
    np.testing.assert_array_equal(backend.apply(net, params, X, {}), backend.apply(net, params, X))


def test_score_takes_masks_or_a_population(backend: wc.Backend, params: Any) -> None:
    config = wc.SearchConfig(sparsity=0.5, population=4)
    population = wc.ask(wc.init(wc.key(2), SPACE, config))
    assert population.mask_keys is not None
    masks = wc.masks_from_keys(population.mask_keys, wc.mask_plan(SPACE, 0.5))
    by_masks = backend.to_numpy(backend.score(NET, params, masks, X, Y))
    assert by_masks.shape == (4,)
    np.testing.assert_array_equal(backend.to_numpy(backend.score(NET, params, population, X, Y)), by_masks)
    in_chunks = backend.score(NET, params, population, X, Y, chunk=3)
    np.testing.assert_array_equal(backend.to_numpy(in_chunks), by_masks, "chunks change no result")


def test_apply_and_score_check_what_they_are_given(backend: wc.Backend, params: Any) -> None:
    masks = backend.sample_masks(wc.key(4), SPACE, sparsity=0.5, count=3)
    one = {site: mask[0] for site, mask in masks.items()}
    with pytest.raises(wc.MaskError, match="the mask of site 'hidden_0' must have shape"):
        backend.apply(NET, params, X, masks)
    with pytest.raises(wc.MaskError, match="the mask of site 'hidden_0' must have shape"):
        backend.score(NET, params, one, X, Y)
    with pytest.raises(wc.MaskError, match="masks must have exactly the network's sites"):
        backend.apply(NET, params, X, {"hidden_0": one["hidden_0"]})
    with pytest.raises(wc.DataError, match="inputs must have shape"):
        backend.apply(NET, params, X[:, :2], one)
    with pytest.raises(wc.DataError, match="labels must be in"):
        backend.score(NET, params, masks, X, Y + 1)
    with pytest.raises(wc.ConfigError, match="fitness must be one of 'negative_cross_entropy', 'accuracy'; got 'f1'"):
        backend.score(NET, params, masks, X, Y, fitness="f1")


def test_a_population_needs_sites() -> None:
    backend, plain = wc.load_backend("numpy"), wc.mlp(3, (), 2)
    params = backend.initialise(plain, wc.key(0))
    with pytest.raises(wc.MaskError, match="at least one site"):
        backend.score(plain, params, {}, np.zeros((2, 3)), np.zeros(2, dtype=int))


def test_a_chunk_must_be_positive() -> None:
    backend, net = wc.load_backend("numpy"), wc.mlp(3, (4,), 2)
    masks = backend.sample_masks(wc.key(0), wc.mask_space(net), 0.5, 3)
    with pytest.raises(wc.ConfigError, match="chunk must be an integer of at least 1; got -1"):
        backend.score(
            net, backend.initialise(net, wc.key(0)), masks, np.zeros((2, 3)), np.zeros(2, dtype=int), chunk=-1
        )
