"""The allocation smart_ratio: what later convolutions keep less, worked out by hand."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core.errors import ConfigError
from weedout_numpy import masks as reference

VGG = wc.vgg(4, 10, (8, 8, 3), "connection")  # kernels of 108, 288 and 1,152 weights, and 160 before the logits
WIDE = wc.wide_resnet(10, 1, 4, (8, 8, 3), "connection")


def counts(net: wc.Network, sparsity: float) -> dict[str, int]:
    return dict(wc.smart_ratio(net)(wc.mask_space(net), sparsity))


def test_portions_of_a_plain_network_fall_with_the_square_of_the_place_too() -> None:
    """Of 4 layers: 20/1, 12/4 and 6/9 parts, times weights; 48 of the 171 (η = 0.9) are those of the dense layer."""
    assert list(wc.mask_space(VGG)) == ["conv_0/kernel", "conv_1/kernel", "conv_2/kernel", "logits/kernel"]
    parts = {"conv_0/kernel": 20 * 108, "conv_1/kernel": 3 * 288, "conv_2/kernel": Fraction(2, 3) * 1152}
    left = Fraction(1708, 10) - 48
    exact = {site: left * part / sum(parts.values()) for site, part in parts.items()}
    assert counts(VGG, 0.9) == {site: math.floor(count + Fraction(1, 2)) for site, count in exact.items()} | {
        "logits/kernel": 48
    }


def test_portions_of_a_residual_network_fall_with_the_place_alone() -> None:
    kept, space = counts(WIDE, 0.9), wc.mask_space(WIDE)
    parts = {site: (len(space) - place) * (len(space) - place + 1) for place, site in enumerate(space)}
    factors = {site: kept[site] / (parts[site] * math.prod(space[site])) for site in space if len(space[site]) == 4}
    whole = {site for site in factors if kept[site] == math.prod(space[site])}
    rounded = {site: 0.5 / (parts[site] * math.prod(space[site])) for site in factors}
    first = next(site for site in factors if site not in whole)
    for site in set(factors) - whole - {first}:  # the first that is not whole has what those before it leave
        assert abs(factors[site] - factors["group_2/block_0/shortcut/kernel"]) <= 2 * max(rounded.values())
    assert kept["logits/kernel"] == math.floor(0.3 * math.prod(space["logits/kernel"]) + 0.5)


@pytest.mark.parametrize("net", [VGG, WIDE], ids=["vgg", "wide resnet"])
def test_all_layers_together_keep_what_the_sparsity_leaves(net: wc.Network) -> None:
    weights = sum(math.prod(shape) for shape in wc.mask_space(net).values())
    for sparsity in (0.0, 0.3, 0.6, 0.9, 0.95):
        kept = counts(net, sparsity)
        assert all(1 <= count <= math.prod(wc.mask_space(net)[site]) for site, count in kept.items())
        assert sum(kept.values()) == pytest.approx((1 - sparsity) * weights, abs=len(kept) / 2)  # each is rounded


@given(st.sampled_from([VGG, WIDE]), st.floats(0, 0.95))
def test_the_reference_counts_alike(net: wc.Network, sparsity: float) -> None:
    space = wc.mask_space(net)
    assert reference.smart_ratio(net)(space, sparsity) == wc.smart_ratio(net)(space, sparsity)


def test_it_has_a_name() -> None:
    plan = wc.backend.search_plan(VGG, 0.9, wc.SearchConfig(allocation="smart_ratio"))
    assert plan.counts == counts(VGG, 0.9)
    with pytest.raises(
        ConfigError, match=r"needs the network, whose kernels it counts.*Pass allocation=wc.smart_ratio"
    ):
        wc.mask_plan(wc.mask_space(VGG), 0.9, allocation="smart_ratio")


def test_where_dense_layers_alone_keep_more_it_says_so() -> None:
    with pytest.raises(
        ConfigError, match=re.escape("keeps 30 % of the 160 weights of dense layers, which is more than")
    ):
        counts(VGG, 0.98)


def test_it_is_for_weights_of_convolutions() -> None:
    with pytest.raises(ConfigError, match="is for masks of weights; 'group_0' masks an activation"):
        wc.smart_ratio(wc.nn.with_connections(wc.vgg(4, 10, (8, 8, 3), "channel")))
    with pytest.raises(ConfigError, match="needs convolutions whose weights are masked; got none"):
        wc.smart_ratio(wc.mlp(8, (4,), 3, granularity="connection"))
    with pytest.raises(ConfigError, match="is that of a network with the sites"):
        wc.smart_ratio(VGG)({"other": (3,)}, 0.5)
