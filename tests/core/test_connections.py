"""Masks of single weights: which weights they are, what they leave of a network, and what that costs."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from tests.core.random_networks import networks
from weedout_core._networks.connections import connection_sites
from weedout_core._networks.layers import walk
from weedout_numpy.network import forward

MLP = wc.mlp(6, (5, 4), 3)
WIDE = wc.wide_resnet(10, 1, 4, (8, 8, 3), "channel")


# Which weights


def test_every_weight_of_a_perceptron_is_a_site() -> None:
    net = wc.mlp(6, (5, 4), 3, granularity="connection")
    assert wc.mask_space(net) == {"dense_0/kernel": (6, 5), "dense_1/kernel": (5, 4), "logits/kernel": (4, 3)}


def test_every_weight_of_an_image_network_is_a_site() -> None:
    for net in (wc.wide_resnet(10, 1, 4, (8, 8, 3), "connection"), wc.vgg(2, 4, (8, 8, 3), "connection", hidden=(6,))):
        kernels = {path: shape for path, shape in wc.nn.parameter_shapes(net).items() if path.endswith("/kernel")}
        assert wc.mask_space(net) == kernels


@pytest.mark.parametrize("net", [MLP, WIDE], ids=["mlp", "wide resnet"])
def test_masks_of_weights_stand_beside_those_of_nodes(net: wc.Network) -> None:
    both = wc.nn.with_connections(net)
    kernels = {path: shape for path, shape in wc.nn.parameter_shapes(net).items() if path.endswith("/kernel")}
    assert wc.mask_space(both) == wc.mask_space(net) | kernels
    assert set(connection_sites(both)) == set(kernels)
    assert wc.nn.parameter_shapes(both) == wc.nn.parameter_shapes(net)


def test_weights_are_named_by_patterns() -> None:
    net = wc.nn.with_connections(WIDE, ("group_0/*", "logits/kernel"))
    expected = [path for path in wc.nn.parameter_shapes(WIDE) if path.endswith("/kernel")]
    expected = [path for path in expected if path.startswith("group_0/") or path == "logits/kernel"]
    assert list(connection_sites(net)) == expected
    assert wc.nn.with_connections(wc.nn.with_connections(WIDE, ("group_0/*",)), ("logits/*",)) == net, (
        "what is one stays one"
    )


def test_a_site_of_weights_stands_in_the_table() -> None:
    assert str(wc.nn.with_connections(MLP, ("logits/*",)).sites).splitlines()[-1].split() == [
        "logits/kernel", "4", "×", "3", "weights",
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", ["dense_9/*", "dense_0/bias", "hidden_0", "norm/scale"])
def test_a_pattern_that_matches_no_weights_is_an_error(pattern: str) -> None:
    message = f"weights must be those of the network, dense_0/kernel, dense_1/kernel, logits/kernel; got '{pattern}'."
    with pytest.raises(wc.errors.ConfigError, match=f"^{re.escape(message)}$"):
        wc.nn.with_connections(MLP, (pattern,))


def test_a_compacted_network_is_an_error() -> None:
    layers = (wc.nn.Gather("some", 3), wc.nn.Dense("out", 2))
    with pytest.raises(wc.errors.ConfigError, match="weights are masked in a parent; got a compacted network"):
        wc.nn.with_connections(wc.Network(layers, (4,)))


def test_a_mask_of_nodes_must_not_have_the_name_of_weights() -> None:
    layers = (wc.nn.Dense("one", 3), wc.nn.Mask("out/kernel"), wc.nn.Dense("out", 2, connections=True))
    with pytest.raises(wc.errors.ConfigError, match="'out/kernel'"):
        wc.Network(layers, (4,))


@pytest.mark.parametrize("make", [lambda **more: wc.mlp(6, (5,), 3, **more),
                                  lambda **more: wc.wide_resnet(10, 1, 4, (8, 8, 3), **more),
                                  lambda **more: wc.vgg(2, 4, (8, 8, 3), **more)])  # fmt: skip
def test_masked_weights_are_not_rescaled(make: Any) -> None:
    with pytest.raises(wc.errors.ConfigError, match="rescale=True needs masks of nodes or of channels"):
        make(granularity="connection", rescale=True)


def test_a_sum_has_no_weights() -> None:
    with pytest.raises(wc.errors.ConfigError, match="mask_residual=True needs masks of nodes or of channels"):
        wc.wide_resnet(10, 1, 4, (8, 8, 3), "connection", mask_residual=True)


# What they do


def drawn(net: wc.Network, seed: int = 0, eta: float = 0.5) -> Any:
    """Masks of a network's sites, each with something left."""
    plan = wc.mask_plan(wc.mask_space(net), eta)
    return {site: mask[0] for site, mask in wc.load_backend("numpy").masks_from_keys(wc.key(seed)[None], plan).items()}


def weights(net: wc.Network, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {path: rng.standard_normal(shape) for path, shape in wc.nn.parameter_shapes(net).items()}


def test_a_removed_weight_is_absent_even_if_it_is_infinite() -> None:
    net = wc.mlp(6, (5, 4), 3, granularity="connection")
    masks, params, x = drawn(net), weights(net), np.random.default_rng(1).standard_normal((7, 6))
    zeroed = {path: np.where(masks[path], value, 0) if path in masks else value for path, value in params.items()}
    broken = {path: np.where(masks[path], value, np.inf) if path in masks else value for path, value in params.items()}
    expected = forward(net.layers, zeroed, None, x)[0]
    for given_params in (params, broken):
        np.testing.assert_array_equal(forward(net.layers, given_params, masks, x)[0], expected)


def test_training_changes_no_removed_weight() -> None:
    net = wc.mlp(6, (5, 4), 3, granularity="connection")
    x, y = np.random.default_rng(0).standard_normal((12, 6)), np.arange(12) % 3
    start = wc.search(net, (x, y), sparsity=0.5, backend="numpy", key=wc.key(0)).network
    config = wc.TrainConfig(epochs=2, batch_size=6, weight_decay=0.0)
    trained = wc.train(start, (x, y), config=config, backend="numpy", key=wc.key(0)).network
    assert start.mask is not None
    for path, mask in start.mask.items():
        np.testing.assert_array_equal(trained.params[path][~mask], start.params[path][~mask])
        assert (trained.params[path][mask] != start.params[path][mask]).any()


def test_the_fan_counts_the_weights_that_are_kept() -> None:
    net = wc.nn.with_connections(MLP)
    specs = {spec.path: spec.std for spec in wc.nn.he_normal(net, kept={"hidden_0": 2, "dense_1/kernel": 10})}
    assert specs["dense_0/kernel"] == pytest.approx(np.sqrt(2 / 6))
    assert specs["dense_1/kernel"] == pytest.approx(np.sqrt(2 / (2 * 10 / 20))), "2 of 5 inputs, half of their weights"


def test_erk_of_weights_is_that_of_their_own_kernel() -> None:
    """Evci et al. 2020: layer by layer a density in proportion to the sum of a kernel's sides over their product."""
    net = wc.vgg(4, 10, (8, 8, 3), "connection")
    counts = wc.erk(net)(wc.mask_space(net), 0.6)
    shares = {site: sum(shape) for site, shape in wc.mask_space(net).items()}  # a density of sum / product, times it
    part = [site for site, shape in wc.mask_space(net).items() if counts[site] < np.prod(shape)]
    assert 1 < len(part) < len(shares)
    least = max((counts[site] - 0.5) / shares[site] for site in part)
    most = min((counts[site] + 0.5) / shares[site] for site in part)
    assert least <= most, "one factor gives all counts, rounded to whole weights"
    assert all(least * shares[site] >= counts[site] for site in {*shares} - {*part}), "which keeps others whole"


@pytest.mark.parametrize("net", [MLP, WIDE], ids=["mlp", "wide resnet"])
def test_masks_that_keep_every_weight_are_gone_in_the_smaller_network(net: wc.Network) -> None:
    both, kept = wc.nn.with_connections(net), wc.mask_plan(wc.mask_space(net), 0.5).kept
    whole = {site: int(np.prod(wc.mask_space(both)[site])) for site in connection_sites(both)}
    assert wc.compact(both, kept | whole).net == wc.compact(net, kept).net
    assert connection_sites(wc.compact(both, kept | whole | {"logits/kernel": 1}).net) == ("logits/kernel",)


def test_what_is_shared_ends_before_the_first_masked_weights() -> None:
    net = wc.nn.with_connections(WIDE, ("group_1/*",))
    head, rest = wc.backend.split_at_first_mask(net)
    assert head == wc.backend.split_at_first_mask(WIDE)[0], "its masks of channels come earlier"
    assert wc.backend.split_at_first_mask(wc.nn.with_connections(WIDE))[0] == ()
    assert connection_sites(rest) == connection_sites(net)


def test_a_subnetwork_of_weights_is_saved_and_made_smaller(tmp_path: Path) -> None:
    net = wc.nn.with_connections(WIDE)
    network = wc.Subnetwork(net, weights(net), drawn(net), wc.nn.initial_statistics(net))
    network.save(tmp_path / "one.safetensors")
    assert wc.Subnetwork.load(tmp_path / "one.safetensors") == network
    small, x = network.compact(), np.random.default_rng(2).standard_normal((3, 8, 8, 3))
    assert small.costs.parameters < network.costs.parameters
    logits = [forward(one.net.layers, one.params, one.mask, x, one.statistics)[0] for one in (network, small)]
    np.testing.assert_allclose(*logits, rtol=1e-9)  # float64 sums of at most 600 products, in another order


def test_the_magnitude_of_a_weight_is_its_size() -> None:
    net, params = wc.nn.with_connections(MLP, ("dense_1/*",)), weights(MLP)
    found = wc.scores.magnitude(net, params)
    assert set(found) == set(wc.mask_space(net))
    np.testing.assert_array_equal(found["dense_1/kernel"], np.abs(params["dense_1/kernel"]))
    np.testing.assert_allclose(found["hidden_0"], np.linalg.norm(params["dense_0/kernel"], axis=0), rtol=1e-12)


# What they cost


def test_the_costs_of_masked_weights_are_their_number() -> None:
    net = wc.mlp(6, (5, 4), 3, granularity="connection")
    masks = {site: np.zeros(shape, bool) for site, shape in wc.mask_space(net).items()}
    masks["dense_0/kernel"][:2] = True  # 2 inputs to 5 nodes
    masks["dense_1/kernel"][:3, 1] = True  # 3 of these to one node
    masks["logits/kernel"][1:3] = True  # it, and one that has no input, to 3 logits
    found = wc.costs(net, masks)
    assert found.active_macs == 2 * 3 + 3 + 2 * 3, "what leads to the other two nodes has no way to the logits"
    assert found.active_parameters == found.active_macs + 3 + 2 + 3, "biases of nodes that have a way to the logits"


@given(st.sampled_from([1, 3]), st.sampled_from([1, 2]), st.data())
def test_the_costs_of_a_masked_kernel_are_those_counted_one_by_one(window: int, stride: int, data: Any) -> None:
    """Each product of a kept weight from a node, or padding, of a channel that has one to a node that is needed."""
    height, width, channels, features = 3, 4, 2, 3
    conv = wc.nn.Conv("conv", features, window, stride, connections=True)
    layers = (wc.nn.Mask("before"), conv, wc.nn.Mask("after"), wc.nn.Flatten(), wc.nn.Dense("out", 2))
    net = wc.Network(layers, (height, width, channels))
    masks = {site: data.draw(booleans(shape), site) for site, shape in wc.mask_space(net).items()}
    before, kernel, after = masks["before"], masks["conv/kernel"], masks["after"]
    alive, needed, margin = before.any(axis=(0, 1)), after.any(axis=(0, 1)), (window - 1) // 2
    products = 0
    for i, j, p, q, c, f in product(*map(range, (*after.shape[:2], window, window, channels, features))):
        row, column = stride * i + p - margin, stride * j + q - margin
        inside = 0 <= row < height and 0 <= column < width
        there = before[row, column, c] if inside else alive[c]
        products += int(there and after[i, j, f] and kernel[p, q, c, f])
    found = wc.costs(net, masks)
    assert found.active_macs == products + 2 * int(after.sum())
    weights = sum(int(kernel[p, q, c, f] and alive[c] and needed[f]) for p, q, c, f in np.ndindex(kernel.shape))
    assert found.active_parameters == weights + 2 * int(after.sum()) + 2


@st.composite
def booleans(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A mask with something left."""
    mask = np.asarray(draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))))
    mask[draw(st.integers(0, mask.size - 1))] = True
    return mask.reshape(shape)


def test_products_are_counted_exactly_where_float32_would_round() -> None:
    conv = wc.nn.Conv("conv", 512, kernel_size=1, connections=True)
    net = wc.Network((conv, wc.nn.GlobalAveragePool(), wc.nn.Dense("out", 2)), (15, 15, 256))
    mask = np.ones((1, 1, 256, 512), bool)
    mask[0, 0, 0, 0] = False
    assert wc.costs(net, {"conv/kernel": mask}).active_macs == 225 * (256 * 512 - 1) + 2 * 512, (
        "an odd number above 2^24"
    )


def test_a_mask_of_nodes_that_is_called_as_weights_are_is_one_of_nodes() -> None:
    layers = (wc.nn.Dense("one", 3), wc.nn.Mask("one/kernel"), wc.nn.Dense("out", 2))
    net = wc.Network(layers, (4,))
    assert connection_sites(net) == ()
    found = wc.costs(net, {"one/kernel": np.asarray([True, False, True])})
    assert found.active_macs == 4 * 2 + 2 * 2
    assert set(wc.scores.magnitude(net, weights(net))) == {"one/kernel"}


@given(networks())
def test_masks_that_keep_every_weight_change_no_cost(net: wc.Network) -> None:
    whole = {site: np.ones(shape, bool) for site, shape in wc.mask_space(net).items()}
    found = wc.costs(net, whole)
    weight_layers = [layer for layer, _ in walk(net.layers, net.input_shape) if hasattr(layer, "connections")]
    assert weight_layers
    assert found == wc.costs(net)
