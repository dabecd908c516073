"""On real data: what every backend learns is what the reference learns."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.lab.data.datasets import load_dataset

NET = wc.mlp((8, 8, 1), (64, 48), 10)
KEY = wc.key(0)
CONFIG = wc.TrainConfig(epochs=6, learning_rate=0.1)


def learnt(backend: str, sparsity: float) -> tuple[wc.SearchResult, wc.Trained, wc.Evaluation]:
    data: Any = load_dataset("digits")
    config = wc.SearchConfig(population=20, generations=3)
    found = wc.search(NET, data.validation, sparsity=sparsity, backend=backend, key=KEY, config=config)
    trained = wc.train(found.network, data.train, backend=backend, key=KEY, config=CONFIG)
    return found, trained, wc.evaluate(trained.network, data.test, backend=backend)


@pytest.mark.parametrize("sparsity", [0.2, 0.8])
@pytest.mark.parametrize("backend", ["jax", "torch", "torch_xla"])
def test_winners_losses_and_predictions(backend: str, sparsity: float) -> None:
    found, trained, seen = learnt(backend, sparsity)
    winner, reference, wanted = learnt("numpy", sparsity)
    assert found.origin == winner.origin
    for network in (found.network, trained.network, reference.network):
        assert network.mask is not None
        assert winner.network.mask is not None
        for site, mask in winner.network.mask.items():
            np.testing.assert_array_equal(network.mask[site], mask)
    # What the project promises of float32 against float64: rounding grows with the steps, and little in ten.
    np.testing.assert_allclose(trained.losses[:10], reference.losses[:10], rtol=1e-2)
    differ = np.mean(seen.predictions != wanted.predictions)
    assert differ <= 0.01, f"{differ:.2%} of the test images get another class"
    assert wanted.accuracy > 0.8, "and it has learnt: chance is 0.1"
