"""Scores of other methods, against a few lines of PyTorch written from their papers."""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected, imported
from weedout_core._algorithm.agreement import score_agreement
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    initial_statistics,
)

BACKENDS = ("numpy", "torch", "jax", "torch_xla")
NETS = {
    "mlp": wc.mlp(12, (16, 9), 3),
    "wrn, nodes": wc.wide_resnet(10, 1, 3, (8, 8, 3)),
    "wrn, channels": wc.wide_resnet(10, 1, 3, (8, 8, 3), granularity="channel", mask_residual=True),
    "vgg": wc.vgg(2, 3, (8, 8, 3)),
}
KEY = wc.key(11)


def weights(net: wc.Network) -> dict[str, np.ndarray]:
    """Initial weights; γ and β of batch normalisation are others, so that they count where they should."""
    reference, rng = wc.load_backend("numpy"), np.random.default_rng(0)
    drawn = {path: reference.to_numpy(value) for path, value in reference.initialise(net, KEY).items()}
    moved = {path: (value + 0.1 * rng.normal(size=value.shape)).astype(np.float32) for path, value in drawn.items()}
    return {path: value.astype(np.float32) if value.ndim > 1 else moved[path] for path, value in drawn.items()}


def split(net: wc.Network, examples: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(examples, *net.input_shape)).astype(np.float32)
    return x, rng.choice(3, examples, p=[0.6, 0.3, 0.1])


def plain(layers: Any, params: Mapping[str, Any], masks: Mapping[str, Any], h: Any) -> Any:
    """A network in PyTorch, images channels first; statistics are 0 and 1."""
    torch = imported("torch", "torch")
    for layer in layers:
        match layer:
            case Dense(name):
                h = h @ params[f"{name}/kernel"] + params[f"{name}/bias"]
            case Conv(name, stride=stride):
                kernel = params[f"{name}/kernel"].permute(3, 2, 0, 1)
                h = torch.nn.functional.conv2d(h, kernel, stride=stride, padding=kernel.shape[-1] // 2)
            case BatchNorm(name, epsilon=epsilon):
                scale, bias = params[f"{name}/scale"], params[f"{name}/bias"]
                shape = (-1, *[1] * (h.ndim - 2))
                h = scale.reshape(shape) * h / (1 + epsilon) ** 0.5 + bias.reshape(shape)
            case Relu():
                h = torch.relu(h)
            case Flatten():
                h = h.movedim(1, -1).flatten(1) if h.ndim == 4 else h
            case MaxPool(window):
                h = torch.nn.functional.max_pool2d(h, window)
            case GlobalAveragePool():
                h = h.mean(dim=(2, 3))
            case Mask(site):
                mask = masks[site]
                by_pixel = mask.movedim(-1, 0) if mask.ndim == 3 else mask[:, None, None]
                h = h * (by_pixel if h.ndim == 4 else mask)
            case Residual(main, shortcut):
                h = plain(main, params, masks, h) + plain(shortcut, params, masks, h)
            case _:
                raise AssertionError(f"the network written in PyTorch here has no {layer}: add it")
    return h


def slope(net: wc.Network, params: Mapping[str, np.ndarray], masks: Any, x: np.ndarray, y: Any) -> dict[str, Any]:
    """∂L/∂m by PyTorch's automatic differentiation, in float64."""
    torch = imported("torch", "torch")
    factors = {site: torch.tensor(mask, dtype=torch.float64, requires_grad=True) for site, mask in masks.items()}
    weights = {path: torch.tensor(value, dtype=torch.float64) for path, value in params.items()}
    images = torch.tensor(x, dtype=torch.float64)
    logits = plain(net.layers, weights, factors, images.movedim(-1, 1) if images.ndim == 4 else images)
    if y is None:
        loss = logits.sum()
    else:
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(y).long(), reduction="sum")
    loss.backward()
    return {site: factor.grad.numpy() for site, factor in factors.items()}


def agree(found: Any, wanted: Any) -> None:
    """Sums of at most 10^4 products in float64, which cancel by less than 100."""
    assert set(found) == set(wanted)
    for site, value in wanted.items():
        assert found[site].dtype == np.float64
        np.testing.assert_allclose(found[site], value, rtol=0, atol=1e6 * 2**-53 * np.abs(value).max(), err_msg=site)


@pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))
@pytest.mark.parametrize("name", BACKENDS)
def test_snip(name: str, net: wc.Network) -> None:
    """Equation 6, at a mask of ones, of the first ten examples of each class in a random order."""
    params, (x, y) = weights(net), split(net)
    found = wc.scores.snip(net, params, (x, y), backend=connected(name), key=KEY)
    order = wc.random.permutation(wc.random.fold_in(KEY, wc.random.Stream.SCORES), len(y))
    few = np.concatenate([order[y[order] == label][:10] for label in range(3)])
    assert np.bincount(y[few]).tolist() == [10, 10, min(10, int((y == 2).sum()))]
    ones = {site: np.ones(shape) for site, shape in wc.mask_space(net).items()}
    agree(found, {site: abs(value) for site, value in slope(net, params, ones, x[few], y[few]).items()})


@pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))
@pytest.mark.parametrize("name", BACKENDS)
def test_synflow(name: str, net: wc.Network) -> None:
    """Algorithm 1: |θ|, an input of ones, R the sum of the outputs, and an exponential path of fractions kept."""
    params, plan, steps = weights(net), wc.mask_plan(wc.mask_space(net), 0.75), 5
    found = wc.scores.synflow(net, params, plan, backend=connected(name), key=KEY, steps=steps)
    absolute, ones = {path: abs(value) for path, value in params.items()}, np.ones((1, *net.input_shape))
    masks = {site: np.ones(shape) for site, shape in wc.mask_space(net).items()}
    wanted: dict[str, Any] = {}
    for step in range(1, steps + 1):
        wanted = {site: masks[site] * value for site, value in slope(net, absolute, masks, ones, None).items()}
        for site, score in wanted.items():
            kept, nodes = plan.kept[site], score.size
            count = max(kept, round(nodes * (kept / nodes) ** (step / steps)))
            words = wc.random.bits(wc.random.fold_in(KEY, zlib.crc32(site.encode())), nodes)
            order = np.lexsort((words, -score.reshape(-1)))
            masks[site] = np.zeros(score.shape)
            masks[site].reshape(-1)[order[:count]] = 1
    agree(found, wanted)
    for site, mask in wc.masks_from_scores(found, plan, KEY).items():
        np.testing.assert_array_equal(mask, masks[site] == 1)


def test_magnitude_of_a_dense_layer_is_the_norm_of_its_columns() -> None:
    net = NETS["mlp"]
    params = weights(net)
    found = wc.scores.magnitude(net, params)
    for site, path in {"hidden_0": "dense_0/kernel", "hidden_1": "dense_1/kernel"}.items():
        np.testing.assert_allclose(found[site], np.linalg.norm(params[path].astype(np.float64), axis=0), rtol=1e-14)


def test_magnitude_of_convolutions_is_the_norm_of_their_filters_at_each_pixel_and_through_what_follows() -> None:
    net = wc.Network(
        (
            Mask("image"), Conv("one", 4), BatchNorm("norm"), Relu(), Mask("pixels"), MaxPool(2),
            Mask("channels", granularity="channel"),
            Residual((Conv("two", 4),), ()), Mask("sum", granularity="channel"),
            Residual((Conv("three", 5),), (Conv("short", 5, kernel_size=1),)), Mask("other", granularity="channel"),
            GlobalAveragePool(), Mask("pooled"), Dense("out", 3),
        ),
        (4, 6, 2),
    )  # fmt: skip
    params = weights(net)
    found = wc.scores.magnitude(net, params)
    norm = {
        name: np.sqrt((params[f"{name}/kernel"].astype(np.float64) ** 2).sum(axis=(0, 1, 2)))
        for name in ("one", "two", "three", "short")
    }
    wanted = {
        "image": np.zeros((4, 6, 2)),
        "pixels": np.broadcast_to(norm["one"], (4, 6, 4)),
        "channels": norm["one"],
        "sum": np.hypot(norm["one"], norm["two"]),
        "other": np.hypot(norm["three"], norm["short"]),
        "pooled": np.hypot(norm["three"], norm["short"]),
    }
    assert set(found) == set(wanted)
    for site, value in wanted.items():
        np.testing.assert_allclose(found[site], value, rtol=1e-14, err_msg=site)


@pytest.mark.parametrize("which", ["magnitude", "snip", "synflow"])
def test_scores_leave_what_they_are_handed_as_it_is_and_are_pure(which: str) -> None:
    net = NETS["mlp"]
    params, data, plan = weights(net), split(net), wc.mask_plan(wc.mask_space(net), 0.5)

    def rated() -> dict[str, np.ndarray]:
        if which == "magnitude":
            return wc.scores.magnitude(net, params)
        if which == "snip":
            return wc.scores.snip(net, params, data, backend="torch", key=KEY)
        return wc.scores.synflow(net, params, plan, backend="torch", key=KEY, steps=3)

    for array in (*params.values(), *data):
        array.setflags(write=False)
    first, second = rated(), rated()
    for site, value in first.items():
        np.testing.assert_array_equal(value, second[site])


def closest(scores: Mapping[str, np.ndarray]) -> wc.backend.MaskPlan:
    """The plan whose threshold at each site lies between those two unequal scores that are closest together."""
    plan = wc.mask_plan({site: rated.shape for site, rated in scores.items()}, 0.5)

    def kept(rated: np.ndarray) -> int:
        gaps = np.diff(np.sort(rated, axis=None))
        return rated.size - 1 - int(np.where(gaps > 0, gaps, np.inf).argmin())

    return wc.backend.MaskPlan(tuple(replace(site, kept=kept(scores[site.site])) for site in plan.sites))


@lru_cache(maxsize=64)
def of_own_weights(name: str, network: str, seed: int) -> Mapping[str, Mapping[str, np.ndarray]]:
    """The scores by each method where a backend draws its own initial weights."""
    net, backend, key = NETS[network], connected(name), wc.key(seed)
    params = {path: backend.to_numpy(value) for path, value in backend.initialise(net, key).items()}
    half = wc.mask_plan(wc.mask_space(net), 0.5)
    return {
        "magnitude": wc.scores.magnitude(net, params),
        "snip": wc.scores.snip(net, params, split(net), backend=backend, key=key),
        "synflow": wc.scores.synflow(net, params, half, backend=backend, key=key, steps=20),
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("network", NETS)
@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "numpy"])
def test_backends_rate_nodes_alike_and_what_they_keep_instead_is_counted(name: str, network: str, seed: int) -> None:
    """The threshold is where another order is likeliest, for SynFlow where it removes half."""
    here, there = (of_own_weights(one, network, seed) for one in ("numpy", name))
    for method, scores in here.items():
        other = there[method]
        plan = wc.mask_plan(wc.mask_space(NETS[network]), 0.5) if method == "synflow" else closest(scores)
        kept, instead = (wc.masks_from_scores(found, plan, KEY) for found in (scores, other))
        for site in plan.sites:
            path, bound = site.site, score_agreement(scores[site.site])
            assert np.array_equal(scores[path] == 0, other[path] == 0), (
                f"{method}: another step removed a node of {path}"
            )
            np.testing.assert_allclose(other[path], scores[path], rtol=0, atol=bound, err_msg=f"{method} at {path}")
            near = wc.scores.near_threshold({path: scores[path]}, wc.backend.MaskPlan((site,)), bound)[path]
            assert int((kept[path] != instead[path]).sum()) <= near, f"{method} at {path}"


def refuse(net: Any, params: Any, statistics: Any, masks: Any, x: Any, y: Any) -> Any:
    """A gradient of masks that nobody may ask for."""
    raise AssertionError("what is handed in is looked at before any work")


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    net, params = NETS["mlp"], weights(NETS["mlp"])
    images = NETS["wrn, channels"]
    small = wc.compact(images, wc.mask_plan(wc.mask_space(images), 0.5).kept).net
    poor = replace(wc.load_backend("torch"), mask_gradient=None)
    other = wc.mask_plan({"hidden_0": (16,)}, 0.5)
    with pytest.raises(wc.errors.BackendError, match="the torch backend has no gradient of masks"):
        wc.scores.snip(net, params, split(net), backend=poor, key=KEY)
    with pytest.raises(wc.errors.ConfigError, match="the plan must be one for the network's sites"):
        wc.scores.synflow(net, params, other, backend="torch", key=KEY)
    with pytest.raises(wc.errors.DataError, match="labels must be in"):
        wc.scores.snip(net, params, (split(net)[0], np.full(60, 3)), backend="torch", key=KEY)
    with pytest.raises(wc.errors.ConfigError, match="'dense_0/bias' must have shape"):
        wc.scores.magnitude(net, {path: value for path, value in params.items() if path != "dense_0/bias"})
    with pytest.raises(wc.errors.ConfigError, match="compacted network"):
        wc.scores.magnitude(small, weights(images))
    bernoulli = wc.mask_plan(wc.mask_space(net), 0.5, "bernoulli")
    idle = replace(wc.load_backend("torch"), mask_gradient=refuse)
    with pytest.raises(wc.errors.ConfigError, match="make the plan with sampling='exact'"):
        wc.scores.synflow(net, params, bernoulli, backend=idle, key=KEY)


def test_batches_of_a_sum_change_nothing_but_the_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    net = NETS["mlp"]
    params, data = weights(net), split(net)
    whole = wc.scores.snip(net, params, data, backend="torch", key=KEY)
    monkeypatch.setattr("weedout_core._scores.sensitivity._TOGETHER", 7)
    agree(wc.scores.snip(net, params, data, backend="torch", key=KEY), whole)


def test_initial_statistics_are_those_of_the_plain_network() -> None:
    for net in NETS.values():
        for path, value in initial_statistics(net).items():
            assert (value == (1 if path.endswith("/variance") else 0)).all()
