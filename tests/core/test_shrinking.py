"""What compaction makes of a network: which layers become smaller, which masks stay, where parts are taken."""

import math
import re
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import numpy as np
import pytest
from hypothesis import given

import weedout_core as wc
from tests.core.random_networks import masked_networks, networks

CHANNELS = wc.nn.Mask("m", granularity="channel")
IMAGE = (4, 4, 5)


def image_network(*layers: wc.nn.Layer) -> wc.Network:
    """Layers behind a convolution of 6 features, and a head."""
    return wc.Network((wc.nn.Conv("first", 6), *layers, wc.nn.GlobalAveragePool(), wc.nn.Dense("logits", 2)), IMAGE)


def shrunk(net: wc.Network, **kept: int) -> tuple[wc.nn.Layer, ...]:
    return wc.compact(net, kept).net.layers


def weights_of(layer: wc.nn.Layer) -> str | None:
    """The name of a layer whose weights are masked."""
    return layer.name if isinstance(layer, wc.nn.Dense | wc.nn.Conv) and layer.connections else None


def half(net: wc.Network, eta: float = 0.5) -> dict[str, int]:
    return wc.mask_plan(wc.mask_space(net), eta).kept


def kinds(layers: tuple[wc.nn.Layer, ...]) -> set[str]:
    return {type(layer).__name__ for layer in wc.nn.every_layer(layers)}


# What it saves


def test_the_multiply_adds_of_a_wide_resnet_without_four_fifths_of_its_channels() -> None:
    """With each stream whole, for several read it, it would be 35,116,030."""
    net = wc.wide_resnet(16, 4, 10, granularity="channel")
    small = wc.compact(net, half(net, 0.8))
    assert wc.costs(net).macs == 392_612_352
    assert wc.costs(small.net).macs == 20_860_798
    assert not small.masks, "no mask is left"


def test_the_multiply_adds_of_a_perceptron_without_four_fifths_of_its_nodes() -> None:
    net = wc.mlp(784, (1024, 1024), 10)
    small = wc.compact(net, half(net, 0.8))
    assert wc.costs(small.net).macs == 784 * 205 + 205 * 205 + 205 * 10 == 204_795
    assert small.net.layers == (
        wc.nn.Dense("dense_0", 205), wc.nn.Relu(), wc.nn.Dense("dense_1", 205), wc.nn.Relu(), wc.nn.Dense("logits", 10),
    )  # fmt: skip
    assert (small.masks, small.gathers, small.sites) == ((), (), ("hidden_0", "hidden_1"))


def test_without_masks_that_stay_what_is_computed_is_what_is_active() -> None:
    """Under channel masks in a chain, the compaction is the smaller network that the costs count."""
    net = wc.vgg(4, 10, (8, 8, 3), "channel", hidden=(6,))
    kept = half(net)
    chosen = {site: np.arange(math.prod(shape)) < kept[site] for site, shape in wc.mask_space(net).items()}
    active, small = wc.costs(net, chosen), wc.costs(wc.compact(net, kept).net)
    assert (small.macs, small.parameters) == (active.active_macs, active.active_parameters)


def test_masks_of_nodes_stay_in_convolutions() -> None:
    """Only the pooled features, and the last convolution that leads to them, and dense layers become smaller."""
    net = wc.wide_resnet(16, 4, 10, hidden=(20,))
    small = wc.compact(net, half(net, 0.8))
    assert {site for site, _ in small.masks} == set(wc.mask_space(net)) - {"pooled", "hidden_0"}
    shapes, parent = wc.nn.parameter_shapes(small.net), wc.nn.parameter_shapes(net)
    changed = {path for path, shape in shapes.items() if shape != parent[path]}
    assert changed == {
        "group_2/block_1/conv_1/kernel", "norm/scale", "norm/bias", "dense_0/kernel", "dense_0/bias", "logits/kernel",
    }  # fmt: skip
    assert shapes["group_2/block_1/conv_1/kernel"] == (3, 3, 256, 51)
    assert (shapes["dense_0/kernel"], shapes["logits/kernel"]) == ((51, 4), (4, 10))


def test_masks_of_nodes_before_a_flatten_select_the_inputs_of_a_dense_layer() -> None:
    net = wc.Network((wc.nn.Conv("c", 3), wc.nn.Mask("m"), wc.nn.Flatten(), wc.nn.Dense("logits", 2)), (4, 4, 1))
    assert shrunk(net, m=10) == (wc.nn.Conv("c", 3), wc.nn.Flatten(), wc.nn.Gather("m", 10), wc.nn.Dense("logits", 2))


# What is kept travels


def test_it_travels_back_through_what_treats_each_channel_by_itself() -> None:
    net = image_network(wc.nn.BatchNorm("n"), wc.nn.Relu(), wc.nn.MaxPool(), CHANNELS, wc.nn.Conv("second", 3))
    found = wc.compact(net, {"m": 2})
    assert found.net.layers[:5] == (
        wc.nn.Conv("first", 2), wc.nn.BatchNorm("n"), wc.nn.Relu(), wc.nn.MaxPool(), wc.nn.Conv("second", 3),
    )  # fmt: skip
    assert [path for path, _ in found.arrays] == [
        "first/kernel", "n/scale", "n/bias", "n/mean", "n/variance", "second/kernel",
    ]  # fmt: skip


def test_it_travels_on_through_a_flatten_to_the_inputs_of_every_position() -> None:
    net = wc.Network((wc.nn.Conv("first", 6), CHANNELS, wc.nn.Flatten(), wc.nn.Dense("logits", 2)), (1, 3, 5))
    small = wc.compact(net, {"m": 2})
    indices = {"m": np.asarray([1, 4], dtype=np.int32)}
    assert wc.nn.parameter_shapes(small.net)["logits/kernel"] == (3 * 2, 2)
    rows = np.arange(18 * 2).reshape(18, 2)
    np.testing.assert_array_equal(
        small.gather({"logits/kernel": rows}, indices)["logits/kernel"], rows[[1, 4, 7, 10, 13, 16]]
    )
    np.testing.assert_array_equal(small.counters("logits/kernel", (18, 2), indices), rows[[1, 4, 7, 10, 13, 16]])


def test_it_travels_back_into_both_branches_of_a_residual() -> None:
    block = wc.nn.Residual((wc.nn.Conv("main", 6),), (wc.nn.Conv("shortcut", 6, kernel_size=1),))
    assert shrunk(image_network(block, CHANNELS), m=2)[:2] == (
        wc.nn.Conv("first", 6),
        wc.nn.Residual((wc.nn.Conv("main", 2),), (wc.nn.Conv("shortcut", 2, kernel_size=1),)),
    )


def test_it_travels_back_through_a_residual_whose_branches_ask_for_the_same() -> None:
    block = wc.nn.Residual((wc.nn.BatchNorm("n"), wc.nn.Relu()))
    assert shrunk(image_network(block, CHANNELS), m=2)[:2] == (wc.nn.Conv("first", 2), block)


# Three features and two are fewer than the six that the stream has; three and three are not.
@pytest.mark.parametrize(("inside", "after", "features"), [(3, 2, 5), (3, 3, 6), (4, 3, 6)])
def test_a_stream_keeps_what_its_readers_do_where_that_is_less(inside: int, after: int, features: int) -> None:
    reader = wc.nn.Residual((wc.nn.Mask("inside", True, "channel"), wc.nn.Conv("main", 6)))
    found = wc.compact(image_network(reader, CHANNELS), {"inside": inside, "m": after})
    scale, both = wc.nn.Scale(6 / inside), ("inside", "m") if features < 6 else ()
    of = " of inside+m" if both else ""
    assert found.net.layers[:3] == (
        wc.nn.Conv("first", features),
        wc.nn.Residual(
            (wc.nn.Gather(f"inside{of}", inside), scale, wc.nn.Conv("main", after)), (wc.nn.Gather(f"m{of}", after),)
        ),
        wc.nn.GlobalAveragePool(),
    )
    assert found.gathers == ((f"inside{of}", (("inside",), both, 6)), (f"m{of}", (("m",), both, 6)))


def test_what_a_stream_keeps_is_the_union_and_as_many_others_as_are_read_twice() -> None:
    reader = wc.nn.Residual((wc.nn.Mask("inside", granularity="channel"), wc.nn.Conv("main", 6)))
    small = wc.compact(image_network(reader, CHANNELS), {"inside": 3, "m": 2})
    indices = {"inside": np.asarray([1, 2, 5], np.int32), "m": np.asarray([2, 4], np.int32)}
    kernel = np.arange(3 * 3 * 5 * 6).reshape(3, 3, 5, 6)
    found = small.gather({"first/kernel": kernel}, indices)["first/kernel"]
    np.testing.assert_array_equal(found, kernel[..., [0, 1, 2, 4, 5]])
    places = small.gather_masks({}, indices)
    assert {name: (value.dtype, value.tolist()) for name, value in places.items()} == {
        "inside of inside+m": (np.int32, [1, 2, 4]), "m of inside+m": (np.int32, [2, 3]),
    }  # fmt: skip


def test_a_site_that_two_readers_ask_for_counts_once() -> None:
    inner = wc.nn.Residual((wc.nn.Mask("a"), wc.nn.Dense("inner", 12)))
    net = wc.Network(
        (wc.nn.Dense("first", 12), wc.nn.Residual((inner,)), wc.nn.Mask("m"), wc.nn.Dense("logits", 2)), (5,)
    )
    small = wc.compact(net, {"a": 5, "m": 4})
    assert small.net.layers[0] == wc.nn.Dense("first", 9)
    assert dict(small.gathers) == {
        "a of a+m": (("a",), ("a", "m"), 12), "m of a+m": (("m",), ("a", "m"), 12),
    }  # fmt: skip


def test_a_rescaling_mask_leaves_its_factor() -> None:
    net = wc.mlp(3, (6, 5), 2, rescale=True)
    assert shrunk(net, hidden_0=4, hidden_1=2) == (
        wc.nn.Dense("dense_0", 4), wc.nn.Relu(), wc.nn.Scale(6 / 4),
        wc.nn.Dense("dense_1", 2), wc.nn.Relu(), wc.nn.Scale(5 / 2),
        wc.nn.Dense("logits", 2),
    )  # fmt: skip


@pytest.mark.parametrize(
    "net", [wc.mlp(3, (6, 5), 2, rescale=True), wc.wide_resnet(10, 1, 4, (8, 8, 3)), wc.vgg(2, 3, (4, 4, 3), "channel")]
)
def test_a_mask_that_keeps_every_node_is_absent(net: wc.Network) -> None:
    small = wc.compact(net, half(net, 0.0))
    assert wc.nn.parameter_shapes(small.net) == wc.nn.parameter_shapes(net)
    assert not kinds(small.net.layers) & {"Mask", "Gather", "Scale"}
    assert (small.arrays, small.masks, small.gathers, small.sites) == ((), (), (), ())


# Masks that stay


@pytest.mark.parametrize("rescale", [False, True])
def test_a_mask_stays_where_a_batch_norm_moves_its_zeros(rescale: bool) -> None:
    net = image_network(
        wc.nn.Mask("m", rescale, "channel"), wc.nn.Relu(), wc.nn.BatchNorm("n"), wc.nn.Conv("second", 3)
    )
    scale = (wc.nn.Scale(6 / 2),) if rescale else ()
    small = wc.compact(net, {"m": 2})
    # The count is that of the plan, so that a mask that stays needs none of its own.
    assert small.net.layers[: 2 + rescale] == (wc.nn.Conv("first", 6), CHANNELS, *scale)
    assert (small.masks, small.arrays, small.sites) == ((("m", ()),), (), ())


def test_a_mask_stays_where_its_zeros_are_summands() -> None:
    net = image_network(wc.nn.Residual((wc.nn.Conv("main", 6), CHANNELS), ()))
    assert wc.compact(net, {"m": 2}).net == net
    net = image_network(CHANNELS, wc.nn.Residual((wc.nn.Conv("main", 6),), ()))
    assert wc.compact(net, {"m": 2}).net == net, "also before a residual whose shortcut is its input"


def test_a_mask_before_two_branches_of_weights_goes() -> None:
    block = wc.nn.Residual((wc.nn.Conv("main", 6),), (wc.nn.Conv("shortcut", 6, kernel_size=1),))
    assert shrunk(image_network(CHANNELS, block), m=2)[:2] == (wc.nn.Conv("first", 2), block)


def test_of_two_masks_one_behind_the_other_the_second_stays_on_what_the_first_keeps() -> None:
    net = wc.Network(
        (wc.nn.Dense("first", 6), wc.nn.Mask("a"), wc.nn.Relu(), wc.nn.Mask("b", True), wc.nn.Dense("logits", 2)), (3,)
    )
    small = wc.compact(net, {"a": 4, "b": 3})
    assert small.net.layers == (
        wc.nn.Dense("first", 4), wc.nn.Relu(), wc.nn.Mask("b"), wc.nn.Scale(6 / 3), wc.nn.Dense("logits", 2),
    )  # fmt: skip
    masks = {"a": np.asarray([1, 1, 0, 1, 0, 1]) > 0, "b": np.asarray([0, 1, 1, 0, 0, 1]) > 0}
    found = small.gather_masks(masks, wc.backend.kept_indices(masks))
    assert {site: mask.tolist() for site, mask in found.items()} == {"b": [False, True, False, True]}


@given(networks() | masked_networks())
@pytest.mark.slow
def test_without_counts_a_network_stays_as_it_is(net: wc.Network) -> None:
    """Under Bernoulli sampling candidates differ in how many nodes they keep."""
    found = wc.compact(net, {})
    assert found.net == net
    assert (found.arrays, found.gathers, found.sites) == ((), (), ())
    params = {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(net).items()}
    masks = {site: np.ones(shape, dtype=bool) for site, shape in wc.mask_space(net).items()}
    assert all(found.gather(params, {})[path] is value for path, value in params.items())
    assert all(found.gather_masks(masks, {})[site] is value for site, value in masks.items())


def test_only_exact_plans_have_counts() -> None:
    space = {"a": (5,), "b": (2, 3, 4)}
    assert wc.mask_plan(space, 0.5).counts == wc.mask_plan(space, 0.5).kept == {"a": 2, "b": 12}
    assert wc.mask_plan(space, 0.5, "bernoulli").counts == {}


# As data


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.8])
def test_a_compacted_network_survives_json(eta: float) -> None:
    for net in (
        wc.wide_resnet(16, 2, 4, (8, 8, 3), "channel", rescale=True),
        wc.wide_resnet(10, 1, 4, (8, 8, 3), hidden=(7,)),
        wc.vgg(3, 4, (8, 8, 3), "channel", rescale=True),
    ):
        small = wc.compact(net, half(net, eta)).net
        assert wc.nn.network_from_json(wc.nn.network_to_json(small)) == small


def test_equal_compactions_are_equal_and_hash_so() -> None:
    net, kept = wc.mlp(3, (6, 5), 2), {"hidden_0": 4, "hidden_1": 2}
    one, two = wc.compact(net, kept), wc.compact(net, dict(reversed(kept.items())))
    assert one == two
    assert hash(one) == hash(two)


# Errors


def test_the_counts_must_be_of_the_networks_sites() -> None:
    net = wc.mlp(3, (6, 5), 2)
    for kept in ({"hidden_0": 4}, {"hidden_0": 4, "hidden_1": 2, "other": 1}):
        message = f"kept must name the network's sites ['hidden_0', 'hidden_1']; got {sorted(kept)}."
        with pytest.raises(wc.errors.ConfigError, match=f"^{re.escape(message)}$"):
            wc.compact(net, kept)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, r"^kept\['hidden_0'\] must be an integer of at least 1; got 0\.$"),
        (6, r"^site 'hidden_0' must keep at least 1 and at most its 5 nodes; got 6\.$"),
    ],
)
def test_a_site_cannot_keep_more_nodes_than_it_has_or_none(count: int, message: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.compact(wc.mlp(3, (5,), 2), {"hidden_0": count})


def test_a_network_is_compacted_once() -> None:
    net = wc.Network((wc.nn.Mask("in"), wc.nn.Dense("logits", 2)), (4,))
    small = wc.compact(net, {"in": 2}).net
    with pytest.raises(wc.errors.ConfigError, match=r"^the network has Gather layers: it is compacted already\.$"):
        wc.compact(small, {"in": 2})


JOINED = r"^site 'a\+b' has the name that compaction gives to joined sites\. Rename it\.$"


def test_a_site_is_not_named_as_two_others_joined() -> None:
    branches = (wc.nn.Mask("a"), wc.nn.Dense("one", 7)), (wc.nn.Mask("b"), wc.nn.Dense("other", 7))
    net = wc.Network(
        (wc.nn.Residual(*branches), wc.nn.Mask("a+b"), wc.nn.BatchNorm("norm"), wc.nn.Dense("logits", 2)), (7,)
    )
    with pytest.raises(wc.errors.ConfigError, match=JOINED):
        wc.compact(net, {"a": 2, "b": 2, "a+b": 3})


def test_nor_is_one_that_is_gathered() -> None:
    branches = (wc.nn.Mask("a"), wc.nn.Dense("one", 7)), (wc.nn.Mask("b"), wc.nn.Dense("other", 7))
    reader = wc.nn.Residual((wc.nn.Mask("a+b"), wc.nn.Dense("third", 7)))
    net = wc.Network((wc.nn.Residual(*branches), reader, wc.nn.BatchNorm("norm"), wc.nn.Dense("logits", 2)), (7,))
    with pytest.raises(wc.errors.ConfigError, match=JOINED):
        wc.compact(net, {"a": 2, "b": 2, "a+b": 3})


# Where candidates begin to differ


@given(networks() | masked_networks())
def test_a_network_is_split_before_the_first_layer_with_a_mask(net: wc.Network) -> None:
    head, rest = wc.backend.split_at_first_mask(net)
    assert (*head, *rest.layers) == net.layers
    assert "Mask" not in kinds(head)
    assert wc.Network((*head, wc.nn.Flatten(), wc.nn.Dense("end", 2)), net.input_shape)
    assert wc.mask_space(rest) == wc.mask_space(net), "the rest begins with the shape that the head leaves"
    if wc.mask_space(net):
        (site, *_), first = wc.mask_space(net), wc.nn.every_layer(rest.layers[:1])
        assert site in {name for layer in first for name in (getattr(layer, "site", ""), f"{weights_of(layer)}/kernel")}
    else:
        assert rest.layers == net.layers[-1:], "a network must end in a dense layer"


# What it costs


def calls_of(compacting: Callable[[], object]) -> int:
    """How many Python functions it calls."""
    found = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal found
        found += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        compacting()
    finally:
        sys.setprofile(before)
    return found


def test_twice_as_deep_a_network_is_compacted_in_twice_the_calls() -> None:
    nets = [wc.wide_resnet(6 * blocks + 4, 1, 10, granularity="channel") for blocks in (10, 20, 40)]
    ten, twenty, forty = (calls_of(partial(wc.compact, net, half(net))) for net in nets)
    # In proportion to the depth, but for a constant: so that the second ten, and the other twenty, cost as the first.
    assert forty - twenty == pytest.approx(2 * (twenty - ten), rel=0.05)
