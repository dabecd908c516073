"""The four calls that everything is built around, on every backend, with batch normalisation and without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected

pytestmark = pytest.mark.optimised

WIDE = wc.wide_resnet(10, 1, 3, (4, 4, 3), granularity="channel")
NETWORKS = {
    "mlp": wc.mlp(12, (16, 8), 3),
    # Of two groups, the second with a stride. A third is more to compile, and would predict less by its statistics.
    "wide_resnet": replace(WIDE, layers=tuple(layer for layer in WIDE.layers if "group_1/" not in repr(layer))),
}
SEARCH = wc.SearchConfig(population=4, generations=2, validation_batch=16)
TRAIN = wc.TrainConfig(epochs=3, batch_size=8, batch_norm_group=8)


def split(net: wc.Network, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes that can be told apart: each has a mean of its own."""
    rng = np.random.default_rng(seed)
    y = np.arange(examples) % 3
    means = np.random.default_rng(0).normal(size=(3, *net.input_shape))
    return (means[y] + 0.3 * rng.normal(size=(examples, *net.input_shape))).astype(np.float32), y


@pytest.mark.parametrize("which", NETWORKS)
@pytest.mark.parametrize("name", ["numpy", "jax", "torch", "torch_xla"])
def test_search_control_train_evaluate(name: str, which: str, tmp_path: Path) -> None:
    backend, net, key = connected(name), NETWORKS[which], wc.key(0)
    validation, training, test = (split(net, examples, seed) for seed, examples in enumerate((24, 48, 30)))
    found = wc.search(net, validation, sparsity=0.5, backend=backend, key=key, config=SEARCH)
    control = wc.draw_control(net, sparsity=0.5, backend=backend, key=key, config=SEARCH)
    wanted = wc.search(net, validation, sparsity=0.5, backend="numpy", key=key, config=SEARCH)
    assert found.origin == wanted.origin
    for start in (found.network, control.network):
        assert start.sparsity == pytest.approx(0.5)
        assert (start.statistics is None) == (which == "mlp")
        trained = wc.train(start, training, backend=backend, key=key, config=TRAIN, test=test)
        assert trained.losses.shape == (18,)
        path = tmp_path / "trained"
        trained.network.save(path)
        measured = wc.evaluate(wc.Subnetwork.load(path), test, backend=backend)
        assert measured.accuracy == trained.history[-1].test_accuracy, "with its own statistics, wherever it has been"
        assert measured.accuracy > 0.5, "more than chance, a third"
        elsewhere = wc.evaluate(trained.network, test, backend="numpy")
        # Predictions may differ where two logits are all but equal: of 30 examples in one at most.
        assert abs(elsewhere.accuracy - measured.accuracy) <= 1 / 30


def test_forgotten_statistics_would_be_another_network() -> None:
    """Why they cannot be left out: the same weights with the statistics of before training are another function."""
    net, key = NETWORKS["wide_resnet"], wc.key(0)
    trained = wc.train(
        wc.draw_control(net, sparsity=0.5, backend="numpy", key=key, config=SEARCH).network,
        split(net, 48, 1), backend="numpy", key=key, config=TRAIN,
    ).network  # fmt: skip
    forgotten = wc.Subnetwork(net, trained.params, trained.mask, wc.nn.initial_statistics(net))
    losses = [wc.evaluate(one, split(net, 30, 2), backend="numpy").loss for one in (trained, forgotten)]
    assert abs(losses[0] - losses[1]) > 0.01
