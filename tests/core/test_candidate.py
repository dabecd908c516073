"""A mask and weights of any origin, as what is trained, measured, scored and judged."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.lab.arms.tasks import task
from weedout_core.errors import ConfigError, MaskError
from weedout_core.lab.arms.starts import start_of

NET = wc.mlp(6, (12, 8), 3)
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 6)).astype(np.float32), RNG.integers(0, 3, 40)
MASK = {site: RNG.random(shape) < 0.5 for site, shape in wc.mask_space(NET).items()}
PARAMS = {path: RNG.normal(size=shape).astype(np.float32) for path, shape in wc.nn.parameter_shapes(NET).items()}


def test_it_is_what_its_parts_say_and_is_trained_measured_and_scored() -> None:
    one = wc.candidate(NET, MASK, PARAMS)
    assert one == wc.Subnetwork(NET, PARAMS, MASK)
    config = wc.TrainConfig(epochs=1, batch_size=8)
    trained = wc.train(one, DATA, backend="numpy", key=wc.key(0), config=config).network
    assert wc.evaluate(trained, DATA, backend="numpy").not_finite == 0
    backend = wc.load_backend("numpy")
    scored = backend.score(NET, one.params, {site: mask[None] for site, mask in MASK.items()}, *DATA)
    assert float(scored[0]) == pytest.approx(-wc.evaluate(one, DATA, backend=backend).loss, abs=1e-12)


def test_without_weights_it_has_those_that_a_search_of_the_key_shares() -> None:
    config = wc.SearchConfig(population=3, generations=1)
    winner = wc.search(NET, DATA, sparsity=0.5, backend="numpy", key=wc.key(3), config=config).network
    assert winner.mask is not None
    assert wc.candidate(NET, winner.mask, backend="numpy", key=wc.key(3)) == winner


@pytest.mark.parametrize("framework", ["jax.numpy", "torch"])
def test_arrays_may_be_of_any_framework(framework: str) -> None:
    there = pytest.importorskip(framework)
    mask, params = ({name: there.asarray(value) for name, value in tree.items()} for tree in (MASK, PARAMS))
    assert wc.candidate(NET, mask, params) == wc.candidate(NET, MASK, PARAMS)


def test_batch_normalisation_begins_as_before_training_unless_statistics_are_handed_in() -> None:
    net = wc.vgg(2, 3, (8, 8, 2))
    mask = {site: np.ones(shape, bool) for site, shape in wc.mask_space(net).items()}
    one = wc.candidate(net, mask, backend="numpy", key=wc.key(0))
    assert one.statistics is not None
    for path, value in wc.nn.initial_statistics(net).items():
        np.testing.assert_array_equal(one.statistics[path], value)
    moved = {path: value + 1 for path, value in one.statistics.items()}
    assert wc.candidate(net, mask, one.params, statistics=moved) == wc.Subnetwork(net, one.params, mask, moved)


def test_an_arm_takes_one() -> None:
    given = task()
    mask = {site.site: np.arange(site.nodes).reshape(site.shape) < site.kept for site in given.plan.sites}
    one = wc.candidate(given.net, mask, given.params)
    assert start_of(one, given).network is one


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a candidate needs params, or a backend and a key, .* Got no weights and no backend, no key"),
        ({"backend": "numpy"}, "Got no weights and a backend, no key"),
        ({"key": wc.key(0)}, "Got no weights and no backend, a key"),
        ({"params": PARAMS, "backend": "numpy", "key": wc.key(0)}, "Got weights and a backend, a key"),
        ({"params": {"logits/bias": np.zeros(3)}}, "params must be those of the network"),
        ({"params": PARAMS, "statistics": {"a": np.zeros(3)}}, "statistics"),
    ],
    ids=["nothing", "no key", "no backend", "both", "some", "statistics"],
)
def test_weights_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wc.candidate(NET, MASK, **given)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"hidden_0": MASK["hidden_0"]}, "masks must have exactly the network's sites"),
        ({**MASK, "hidden_1": MASK["hidden_0"]}, r"the mask of site 'hidden_1' must have shape \(8"),
        ({**MASK, "hidden_1": np.ones(8)}, "the mask of site 'hidden_1' must be of booleans"),
        (
            {**MASK, "hidden_1": np.zeros(8, bool)},
            "the mask must keep at least one node of site 'hidden_1'; it removes",
        ),
    ],
    ids=["site", "shape", "floats", "emptied"],
)
def test_masks_that_do_not_fit_are_refused(mask: dict[str, Any], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        wc.candidate(NET, mask, PARAMS)


def test_what_is_compacted_already_is_refused() -> None:
    net = wc.wide_resnet(10, 1, 3, (8, 8, 2), granularity="channel")
    mask = {site: np.arange(shape[-1]) < 1 for site, shape in wc.mask_space(net).items()}
    one = wc.candidate(net, mask, backend="numpy", key=wc.key(0)).compact()
    with pytest.raises(ConfigError, match="it is compacted already"):
        wc.candidate(one.net, one.mask or {}, one.params)
