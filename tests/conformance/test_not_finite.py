"""A number that is none shows in what depends on it: in every layer of every backend, at sizes around those of vectors.

A ReLU makes 0 of −∞, as it should: what is infinite is looked for in statistics, where 1/√∞ = 0 would hide it.
"""

import math
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from weedout_core._networks.layers import OWN_LAYERS
from weedout_core.backend import Backend, Population, ScoredBatch, Scoring, map_tree
from weedout_core.errors import ConfigError
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    every_layer,
)

BACKENDS = ["numpy", "jax", "torch", "torch_xla"]
EXAMPLES = [1, 32, 33, 257]
RNG = np.random.default_rng(0)
#: With so many channels each. For XLA every size is another program, which takes seconds to compile.
SIZES = [*((n, 8) for n in EXAMPLES), (32, 1), (33, 33)]


def images(channels: int) -> wc.Network:
    """Every layer but Flatten."""
    return wc.Network(
        (
            Conv("first", channels),
            BatchNorm("first_norm"),
            Relu(),
            MaxPool(2),
            Scale(0.5),
            Residual(
                (
                    Gather("picked", channels),
                    Conv("inside", channels),
                    BatchNorm("norm"),
                    Relu(),
                    Mask("site", granularity="channel", rescale=True),
                    Conv("outside", channels, stride=2),
                ),
                (Conv("shortcut", channels, kernel_size=1, stride=2),),
            ),
            MaxPool(2),
            GlobalAveragePool(),
            Dense("logits", 3),
        ),
        (8, 8, 2),
    )


def flat(units: int) -> wc.Network:
    """Flat layers; without batch normalisation, which takes two examples."""
    return wc.Network(
        (Flatten(), Dense("dense", units), Relu(), Mask("site"), Dense("hidden", units), Relu(), Dense("logits", 3)),
        (3, 2, 2),
    )


NETS = [images, flat]


def drawn(net: wc.Network) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Weights, statistics, and masks that remove the first of several nodes."""
    params = {path: np.asarray(w, np.float32) for path, w in wc.load_backend("numpy").initialise(net, KEY).items()}
    masks = {site: np.arange(math.prod(shape)).reshape(shape) > 0 for site, shape in wc.nn.mask_space(net).items()}
    masks = {site: mask if mask.any() else ~mask for site, mask in masks.items()}
    gathers = {one.name: np.arange(one.count) for one in every_layer(net.layers) if isinstance(one, Gather)}
    return params, dict(wc.nn.initial_statistics(net)), masks | gathers


KEY = wc.key(3)


def broken(tree: dict[str, np.ndarray], path: str, value: float = math.nan) -> dict[str, np.ndarray]:
    """The last value of an array, which no mask removes, is another."""
    array = np.array(tree[path])
    array[(-1,) * array.ndim] = value
    return {**tree, path: array}


def stacked(backend: Backend, trees: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    return {path: backend.asarray(np.stack([tree[path] for tree in trees])) for path in trees[0]}


def predicted(backend: Backend, net: wc.Network, networks: list[Any], masks: Any, x: np.ndarray) -> np.ndarray:
    """The logits of networks, each its weights and statistics."""
    params, statistics = (stacked(backend, list(trees)) for trees in zip(*networks, strict=True))
    there = stacked(backend, [masks] * len(networks))
    return backend.to_numpy(backend.predict(net, params, statistics, there, backend.asarray(x)))


def inputs(net: wc.Network, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of which an output's windows all meet positive numbers, so that no ReLU is 0 at all of them."""
    return RNG.normal(size=(examples, *net.input_shape)).astype(np.float32), np.arange(examples) % 3


def test_every_layer_is_there() -> None:
    kinds = {type(layer) for one in NETS for layer in every_layer(one(2).layers)}
    assert kinds == set(OWN_LAYERS)


@pytest.mark.parametrize("of", NETS)
@pytest.mark.parametrize(("examples", "channels"), SIZES)
@pytest.mark.parametrize("name", BACKENDS)
def test_it_shows_in_logits(name: str, examples: int, channels: int, of: Any) -> None:
    """Of a weight or a statistic in those of all examples, of an input in those of its example alone."""
    backend, net = connected(name), of(channels)
    params, statistics, masks = drawn(net)
    x, _ = inputs(net, examples)
    weights = [(broken(params, path), statistics) for path in params]
    moving = [(params, broken(statistics, path, value)) for path in statistics for value in (math.nan, math.inf)]
    moving += [(params, broken(statistics, path, -1e-6)) for path in statistics if path.endswith("variance")]
    networks = [*weights, *moving, (params, statistics)]
    *found, whole = np.isfinite(predicted(backend, net, networks, masks, x))
    assert not any(finite.all(axis=-1).any() for finite in found)
    assert whole.all()
    bad = examples // 2
    x[bad, -2, 1, -1] = math.nan
    *_, logits = predicted(backend, net, networks, masks, x)  # of all of them again: the program is there
    np.testing.assert_array_equal(np.isfinite(logits), np.broadcast_to(np.arange(examples) != bad, (3, examples)).T)


@pytest.mark.parametrize(
    ("of", "batch_norm", "examples"),
    [
        *((images, "batch", n) for n in EXAMPLES),
        *((flat, "batch", n) for n in EXAMPLES),
        *((images, other, n) for other in ("running", "recalibrated") for n in (1, 33)),
    ],
)
@pytest.mark.parametrize("name", BACKENDS)
def test_it_shows_in_fitness(name: str, examples: int, of: Any, batch_norm: str) -> None:
    backend, net, other = connected(name), of(8), wc.load_backend("numpy")
    params, statistics, masks = drawn(net)
    x, y = inputs(net, examples)
    given = {"running": {"statistics": statistics}, "recalibrated": {"calibration": x[::-1]}}.get(batch_norm, {})
    candidates = {name: np.stack([mask] * 2) for name, mask in masks.items()}

    def scored(on: Backend, params: Any, x: np.ndarray, given: Any) -> np.ndarray:
        there = map_tree(on.asarray, params)
        moved = {
            name: map_tree(on.asarray, value) if isinstance(value, dict) else on.asarray(value)
            for name, value in given.items()
        }
        batch = ScoredBatch(on.asarray(x), on.asarray(y), **moved)
        population = Population(2, None, None, None, candidates)
        scoring = Scoring("negative_cross_entropy", "highest", 2)
        return on.to_numpy(on.score_population(net, there, population, batch, scoring))

    assert np.isfinite(scored(backend, params, x, given)).all()
    for path in params:
        assert np.isnan(scored(backend, broken(params, path), x, given)).all(), path
    bad = np.array(x)
    bad[examples // 2, -2, 1, -1] = math.nan
    assert np.isnan(scored(backend, params, bad, given)).all()
    if batch_norm == "recalibrated":
        assert np.isnan(scored(backend, params, x, {"calibration": bad})).all()
    for path in statistics if batch_norm == "running" else ():
        for value in (math.nan, math.inf, -math.inf, -1e-6 if path.endswith("variance") else math.nan):
            moved = {"statistics": broken(statistics, path, value)}
            for on in (backend, other):
                if on.name == "numpy" and path.endswith("variance") and value < 0:  # what lies in NumPy is looked at
                    with pytest.raises(ConfigError, match="variances of at least 0"):
                        scored(on, params, x, moved)
                else:
                    assert np.isnan(scored(on, params, x, moved)).all(), (path, value)


@pytest.mark.parametrize("of", NETS)
@pytest.mark.parametrize("name", BACKENDS)
def test_candidates_that_remove_it_have_a_fitness(name: str, of: Any) -> None:
    """Compacted, as they are drawn: those that keep the node have none, in every backend the same ones."""
    backend, reference = connected(name), wc.load_backend("numpy")
    net = wc.vgg(2, 3, (4, 4, 2), granularity="channel") if of is images else flat(8)
    params = drawn(net)[0]
    first = next(iter(params))
    array = np.array(params[first])
    array[..., 1] = math.nan
    x, y = inputs(net, 33)
    plan = wc.mask_plan(wc.nn.mask_space(net), 0.5)
    keys = wc.random.split(KEY, 12)
    found = [
        one.to_numpy(one.score(net, params | {first: array}, Population(12, plan, keys, None, None), x, y))
        for one in (backend, reference)
    ]
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(found[1]))
    assert 0 < np.count_nonzero(np.isnan(found[0])) < 12


@pytest.mark.parametrize("of", NETS)
@pytest.mark.parametrize("examples", [1, 32, 257])
@pytest.mark.parametrize("name", BACKENDS)
def test_it_shows_in_the_loss_of_a_step_and_stays(name: str, examples: int, of: Any) -> None:
    """Without Gather layers, whose indices stand among masks."""
    backend = connected(name)
    net = wc.Network((Conv("conv", 8), BatchNorm("norm"), Relu(), MaxPool(2), *flat(8).layers), (6, 4, 2))
    net = flat(8) if of is flat else net
    params, statistics, masks = drawn(net)
    networks = [
        *(wc.Subnetwork(net, broken(params, path), masks, statistics or None) for path in params),
        wc.Subnetwork(net, params, masks, statistics or None),
    ]
    config = wc.TrainConfig(epochs=2, batch_size=examples, batch_norm_group=examples, learning_rate=0.01)
    *found, whole = wc.train_together(
        networks, inputs(net, examples), backend=backend, keys=[KEY] * len(networks), config=config
    )
    for path, one in zip(params, found, strict=True):
        assert np.isnan(one.losses).all(), path
        assert one.diverged, path
    assert np.isfinite(whole.losses).all()


@pytest.mark.parametrize("channels", [3, 16])  # PyTorch has a kernel for multiples of 16
@pytest.mark.parametrize("batch_norm", ["batch", "running", "recalibrated"])
@pytest.mark.parametrize("name", ["jax", "torch", "torch_xla"])
def test_a_variance_that_overflows_is_no_fitness_and_no_loss(name: str, batch_norm: Any, channels: int) -> None:
    """Of activations around 1e25 the variance is beyond float32: divided by it they would all be 0, and look fine."""
    backend = connected(name)
    layers = (Conv("conv", channels), BatchNorm("norm"), Relu(), Mask("site", granularity="channel"))
    net = wc.Network((*layers, GlobalAveragePool(), Dense("logits", 3)), (4, 4, 2))
    x, y = inputs(net, 12)
    config = wc.SearchConfig(population=3, generations=1, batch_norm=batch_norm)
    search: Any = {"sparsity": 0.5, "backend": backend, "key": KEY, "config": config}
    assert wc.search(net, (x, y), **search).history[0].not_finite == 0
    start = wc.draw_control(net, sparsity=0.5, backend=backend, key=KEY).network
    huge = np.float32(1e25) * x
    one_step = wc.TrainConfig(epochs=1, batch_size=12, batch_norm_group=12, learning_rate=1e-3)
    trained = wc.train(start, (huge, y), backend=backend, key=KEY, config=one_step)
    assert math.isnan(trained.losses[0])
    assert trained.diverged
    if batch_norm == "running":  # that of before training is 1
        return
    with pytest.raises(wc.errors.SearchError, match="all 3 candidates of generation 0 have a fitness that is NaN"):
        wc.search(net, (huge, y), **search)
