"""Parameters and multiply-adds, counted by hand, one by one, or in the smaller network that a mask leaves."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from tests.core.random_networks import masked_networks, networks
from weedout_core._networks import cost
from weedout_core.testing.examples import last_node_kept

NET = wc.mlp(inputs=6, hidden=(4, 3), classes=2)


def test_the_costs_of_the_parent() -> None:
    found = wc.costs(NET)
    assert found.macs == 6 * 4 + 4 * 3 + 3 * 2
    assert found.parameters == (6 + 1) * 4 + (4 + 1) * 3 + (3 + 1) * 2
    assert (found.active_macs, found.active_parameters) == (found.macs, found.parameters)
    assert (found.bytes, found.active_bytes) == (4 * found.parameters, 4 * found.parameters)


def test_the_costs_under_a_mask() -> None:
    masks = {"hidden_0": np.asarray([True, False, True, False]), "hidden_1": np.asarray([False, False, True])}
    found = wc.costs(NET, masks)
    assert found.active_macs == 6 * 2 + 2 * 1 + 1 * 2
    assert found.active_parameters == (6 + 1) * 2 + (2 + 1) * 1 + (1 + 1) * 2
    assert (found.macs, found.parameters) == (wc.costs(NET).macs, wc.costs(NET).parameters), "what is computed stays"
    assert found.active_bytes == 4 * found.active_parameters
    assert found == wc.costs(NET, {"hidden_0": 2, "hidden_1": 1}), "counts serve as well as masks"


def test_a_site_that_is_not_named_is_kept_whole() -> None:
    assert wc.costs(NET, {"hidden_1": 1}) == wc.costs(NET, {"hidden_0": 4, "hidden_1": 1})


def test_a_mask_on_the_inputs_counts() -> None:
    net = wc.Network((wc.nn.Mask("pixels"), wc.nn.Flatten(), wc.nn.Dense("logits", 2)), (2, 3))
    found = wc.costs(net, {"pixels": np.asarray([[True, False, False], [True, False, False]])})
    assert (found.active_macs, found.active_parameters) == (2 * 2, 3 * 2)


def test_an_unknown_site_is_an_error() -> None:
    with pytest.raises(
        wc.errors.MaskError,
        match=r"masks must name sites of the network, \['hidden_0', 'hidden_1'\]; got \['hidden_2'\]",
    ):
        wc.costs(NET, {"hidden_2": 1})


def test_a_mask_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(wc.errors.MaskError, match=r"the mask of site 'hidden_0' must have shape \(4,\); got \(3,\)\."):
        wc.costs(NET, {"hidden_0": np.ones(3, dtype=bool)})


def test_a_count_says_which_nodes_only_where_a_site_has_one_axis() -> None:
    net = wc.vgg(2, 5, (4, 4, 3))
    with pytest.raises(
        wc.errors.MaskError,
        match=r"the mask of site 'group_0' must have shape \(4, 4, 2\), \(height, width, channels\); got \(\)\.",
    ):
        wc.costs(net, {"group_0": 16})
    channels = wc.vgg(2, 5, (4, 4, 3), granularity="channel")
    assert wc.costs(channels, {"group_0": 1}) == wc.costs(channels, {"group_0": np.asarray([False, True])})


@given(st.integers(1, 8), st.lists(st.integers(1, 8), max_size=3).map(tuple), st.integers(2, 5), st.data())
def test_the_active_costs_are_those_of_the_smaller_network(
    inputs: int, hidden: tuple[int, ...], classes: int, data: st.DataObject
) -> None:
    kept = tuple(data.draw(st.integers(1, units)) for units in hidden)
    masked = wc.costs(wc.mlp(inputs, hidden, classes), {f"hidden_{index}": units for index, units in enumerate(kept)})
    smaller = wc.costs(wc.mlp(inputs, kept, classes))
    assert (masked.active_macs, masked.active_parameters) == (smaller.macs, smaller.parameters)


# Convolutions


def mask_like(draw: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Any mask of a shape, the empty one among them."""
    bits = draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    return np.reshape(np.asarray(bits, dtype=bool), shape)


def test_the_costs_of_a_convolution_count_its_window_at_every_output() -> None:
    net = wc.Network(
        (wc.nn.Conv("a", 7, kernel_size=5, stride=2), wc.nn.BatchNorm("n"), wc.nn.Flatten(), wc.nn.Dense("logits", 3)),
        (6, 5, 4),
    )
    found = wc.costs(net)
    assert found.macs == (3 * 3) * (5 * 5) * 4 * 7 + (3 * 3 * 7) * 3, "padding included; batch norm has no product"
    assert found.parameters == 5 * 5 * 4 * 7 + 2 * 7 + (3 * 3 * 7 + 1) * 3, "no bias; a scale and a bias of the norm"


@pytest.mark.parametrize("net", [wc.wide_resnet(16, 2, 10, (16, 16, 3)), wc.vgg(4, 10, hidden=(8,))])
def test_the_parameters_of_an_architecture_are_those_of_its_shapes(net: wc.Network) -> None:
    found = wc.costs(net)
    assert found.parameters == sum(int(np.prod(shape)) for shape in wc.nn.parameter_shapes(net).values())
    whole = {site: np.ones(shape, dtype=bool) for site, shape in wc.mask_space(net).items()}
    assert wc.costs(net, whole) == found, "a mask that keeps every node changes nothing"
    assert (found.active_macs, found.active_parameters) == (found.macs, found.parameters)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [1, 3])
@given(data=st.data())
def test_under_node_masks_the_macs_are_those_counted_one_by_one(stride: int, window: int, data: st.DataObject) -> None:
    """Over output positions, window entries, channels and features. Padding counts as kept, where its channel is."""
    conv, size = wc.nn.Conv("conv", 2, window, stride), (4, 3, 2)
    net = wc.Network(
        (wc.nn.Mask("before"), conv, wc.nn.Relu(), wc.nn.Mask("after"), wc.nn.Flatten(), wc.nn.Dense("logits", 3)), size
    )
    before = mask_like(data.draw, size)
    after = mask_like(data.draw, wc.mask_space(net)["after"])
    margin = (window - 1) // 2
    macs = 0
    for i, j, feature in product(*map(range, after.shape)):
        for p, q, channel in product(range(window), range(window), range(2)):
            row, column = stride * i + p - margin, stride * j + q - margin
            inside = 0 <= row < size[0] and 0 <= column < size[1]
            alive = before[row, column, channel] if inside else before[..., channel].any()
            macs += bool(after[i, j, feature] and alive)
    found = wc.costs(net, {"before": before, "after": after})
    assert found.active_macs == macs + int(after.sum()) * 3


def test_node_masks_remove_no_weight_of_a_convolution_unless_a_channel_is_gone() -> None:
    conv = wc.nn.Conv("conv", 4)
    net = wc.Network(
        (
            wc.nn.Mask("before"),
            conv,
            wc.nn.BatchNorm("norm"),
            wc.nn.Mask("after"),
            wc.nn.GlobalAveragePool(),
            wc.nn.Dense("logits", 2),
        ),
        (3, 3, 2),
    )
    one_each = {"before": np.zeros((3, 3, 2), dtype=bool), "after": np.zeros((3, 3, 4), dtype=bool)}
    one_each["before"][0, 1], one_each["after"][2, 2] = True, True
    found = wc.costs(net, one_each)
    assert found.active_parameters == found.parameters, "one node of each channel needs all its weights"
    assert found.active_macs < found.macs / 4
    one_each["before"][..., 0], one_each["after"][..., :3] = False, False
    found = wc.costs(net, one_each)
    assert found.active_parameters == 9 * 1 * 1 + 2 * 1 + (1 + 1) * 2, "one channel in, one feature out"


def test_the_largest_of_a_window_is_alive_where_any_of_the_window_is() -> None:
    net = wc.Network((wc.nn.Mask("pixels"), wc.nn.MaxPool(2), wc.nn.Flatten(), wc.nn.Dense("logits", 3)), (4, 4, 1))
    one_of_two_windows = np.zeros((4, 4, 1), dtype=bool)
    one_of_two_windows[1, 0] = one_of_two_windows[2, 3] = one_of_two_windows[3, 3] = True
    assert wc.costs(net, {"pixels": one_of_two_windows}).active_macs == 2 * 3, "two of the four windows"


def test_a_removed_node_takes_the_window_with_it_that_was_pooled_for_it() -> None:
    layers = (
        wc.nn.Conv("conv", 2, kernel_size=1),
        wc.nn.MaxPool(2),
        wc.nn.Mask("pooled"),
        wc.nn.Flatten(),
        wc.nn.Dense("logits", 3),
    )
    pooled = np.zeros((2, 3, 2), dtype=bool)
    pooled[1, 2] = True
    pooled[0, 1, 1] = True
    found = wc.costs(wc.Network(layers, (4, 6, 5)), {"pooled": pooled})
    assert found.active_macs == 3 * (2 * 2) * 5 + 3 * 3, "each of three nodes is the largest of 2 × 2 outputs"


def test_a_removed_mean_takes_its_channel_with_it() -> None:
    layers = (
        wc.nn.Conv("conv", 4, kernel_size=1),
        wc.nn.BatchNorm("norm"),
        wc.nn.GlobalAveragePool(),
        wc.nn.Mask("pooled"),
    )
    found = wc.costs(wc.Network((*layers, wc.nn.Dense("logits", 3)), (4, 6, 5)), {"pooled": 1})
    assert found.active_macs == 4 * 6 * 5 * 1 + 1 * 3
    assert found.active_parameters == 5 * 1 + 2 * 1 + (1 + 1) * 3


# Channel masks: the smaller network


def chain(features: tuple[int, ...], flat: wc.nn.Layer, hidden: int) -> wc.Network:
    """A small VGG with any features."""
    layers: list[wc.nn.Layer] = []
    for index, count in enumerate(features):
        layers += [
            wc.nn.Conv(f"conv_{index}", count, stride=1 + index % 2),
            wc.nn.BatchNorm(f"norm_{index}"),
            wc.nn.Relu(),
        ]
        layers += [wc.nn.Mask(f"group_{index}", granularity="channel"), wc.nn.MaxPool(2)]
    head = (wc.nn.Dense("dense", hidden), wc.nn.Relu(), wc.nn.Mask("hidden"), wc.nn.Dense("logits", 3))
    return wc.Network((*layers, flat, *head), (8, 16, 3))


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=2).map(tuple),
    st.sampled_from([wc.nn.Flatten(), wc.nn.GlobalAveragePool()]),
    st.data(),
)
def test_under_channel_masks_the_costs_are_those_of_the_smaller_network(
    features: tuple[int, ...], flat: wc.nn.Layer, data: st.DataObject
) -> None:
    kept = tuple(data.draw(st.integers(1, count)) for count in features)
    masks: dict[str, Any] = {"hidden": 2}
    for index, (few, count) in enumerate(zip(kept, features, strict=True)):
        masks[f"group_{index}"] = np.isin(np.arange(count), data.draw(st.permutations(range(count)))[:few])
    masked, smaller = wc.costs(chain(features, flat, 5), masks), wc.costs(chain(kept, flat, 2))
    assert (masked.active_macs, masked.active_parameters) == (smaller.macs, smaller.parameters)
    assert masked.active_bytes == smaller.bytes


@pytest.mark.parametrize("width", [1, 2])
def test_half_the_channels_within_the_blocks_of_a_wide_resnet(width: int) -> None:
    """Between the two convolutions of a block a channel mask removes features of one and inputs of the other."""
    net = wc.wide_resnet(10, width, 5, (8, 8, 3), "channel")
    half = {site: shape[0] // 2 for site, shape in wc.mask_space(net).items() if site.endswith("mask_1")}
    found = wc.costs(net, half)
    saved_macs = saved_parameters = 0
    channels = 16
    for features, pixels in ((16 * width, 64), (32 * width, 16), (64 * width, 4)):
        weights = 9 * channels * features // 2 + 9 * features * features // 2
        saved_macs += weights * pixels
        saved_parameters += weights + 2 * (features // 2)  # the norm between them, of which half goes
        channels = features
    assert found.macs - found.active_macs == saved_macs
    assert found.parameters - found.active_parameters == saved_parameters


# Residuals


def branches(main: tuple[wc.nn.Layer, ...], shortcut: tuple[wc.nn.Layer, ...], *after: wc.nn.Layer) -> wc.Network:
    """A residual between two dense layers of 4 nodes."""
    residual = wc.nn.Residual(main, shortcut)
    return wc.Network((wc.nn.Dense("first", 4), residual, *after, wc.nn.Dense("logits", 2)), (3,))


ONE = np.asarray([True, False, False, False])
TWO = np.asarray([True, True, False, False])
LAST = np.asarray([False, False, False, True])


def test_a_sum_is_alive_where_either_branch_is() -> None:
    """first 3 → 4, main 4 → 4, logits 4 → 2."""
    net = branches((wc.nn.Dense("main", 4), wc.nn.Mask("a")), ())
    assert wc.costs(net, {"a": ONE}).active_macs == 3 * 4 + 4 * 1 + 4 * 2, "the shortcut keeps the sum alive"
    net = branches((wc.nn.Dense("main", 4), wc.nn.Mask("a")), (wc.nn.Mask("b"),))
    assert wc.costs(net, {"a": ONE, "b": LAST}).active_macs == 3 * 4 + 4 * 1 + 2 * 2, "nodes 0 and 3"
    assert wc.costs(net, {"a": ONE, "b": TWO}).active_macs == 3 * 4 + 4 * 1 + 2 * 2, "nodes 0 and 1"


def test_a_node_is_needed_where_either_branch_needs_it() -> None:
    net = branches((wc.nn.Mask("a"), wc.nn.Dense("main", 4)), (wc.nn.Mask("b"),))
    # The first layer makes nodes 0 and 3; the main branch takes node 0, and its four outputs reach the logits.
    found = wc.costs(net, {"a": ONE, "b": LAST})
    assert found.active_macs == 3 * 2 + 1 * 4 + 4 * 2
    assert found.active_parameters == (3 + 1) * 2 + (1 + 1) * 4 + (4 + 1) * 2


def test_a_mask_on_the_sum_thins_out_both_branches() -> None:
    net = branches((wc.nn.Dense("main", 4),), (wc.nn.Dense("shortcut", 4),), wc.nn.Mask("sum"))
    assert wc.costs(net, {"sum": TWO}).active_macs == 3 * 4 + 2 * (4 * 2) + 2 * 2


def test_costs_within_a_residual_of_residuals() -> None:
    inner = wc.nn.Residual((wc.nn.Mask("a"), wc.nn.Dense("inner", 4)), (wc.nn.Mask("b"),))
    net = branches((inner, wc.nn.Mask("c"), wc.nn.Dense("main", 4)), (wc.nn.Mask("d"),))
    found = wc.costs(net, {"a": ONE, "b": TWO, "c": LAST, "d": LAST})
    # c keeps node 3 of the inner sum, which the shortcut b has removed: only the inner layer makes it, from node 0.
    # First: nodes 0 for a, 3 for d, and none for b, since its nodes 0 and 1 end at c. Main: from node 3 alone.
    assert found.active_macs == 3 * 2 + 1 * 1 + 1 * 4 + 4 * 2


# Any network


@given(networks(), st.data())
def test_removing_nodes_never_adds_costs(net: wc.Network, data: st.DataObject) -> None:
    space = wc.mask_space(net)
    more = {site: mask_like(data.draw, shape) for site, shape in space.items()}
    fewer = {site: mask & mask_like(data.draw, mask.shape) for site, mask in more.items()}
    dense, some, few = wc.costs(net), wc.costs(net, more), wc.costs(net, fewer)
    assert few.active_macs <= some.active_macs <= dense.macs == dense.active_macs
    assert few.active_parameters <= some.active_parameters <= dense.parameters == dense.active_parameters
    assert (few.macs, few.parameters) == (dense.macs, dense.parameters), "the parent's stay"


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (5, "site 'hidden_0' must keep at most its 4 nodes; got 5"),
        (-1, r"masks\['hidden_0'\] must be an array of booleans or an integer of at least 0; got -1"),
    ],
)
def test_a_count_beyond_the_nodes_is_an_error(count: int, message: str) -> None:
    with pytest.raises(wc.errors.MaskError, match=message):
        wc.costs(wc.mlp(6, (4, 3), 2), {"hidden_0": count})


# Compacted networks


def compacted(*layers: wc.nn.Layer) -> wc.Network:
    """Layers of 4 nodes, one of which is masked in front of the logits."""
    return wc.Network(
        (wc.nn.Dense("first", 4), wc.nn.Mask("before"), *layers, wc.nn.Mask("after"), wc.nn.Dense("logits", 2)), (3,)
    )


def test_a_scale_lets_the_masks_on_both_sides_through() -> None:
    found = wc.costs(compacted(wc.nn.Scale(2.0)), {"before": TWO, "after": ONE})
    assert found.active_macs == 3 * 1 + 1 * 2
    assert found.macs == 3 * 4 + 4 * 2, "its own product is no multiply-add of weights"


def test_what_a_gather_takes_counts_as_read_and_as_alive() -> None:
    """Which nodes these are is not known here, so that none is left out."""
    part = wc.nn.Gather("part", 4)
    found = wc.costs(compacted(part), {"before": TWO, "after": ONE})
    assert found.active_macs == 3 * 2 + 1 * 2
    assert wc.costs(compacted(part), {"after": ONE}).active_macs == 3 * 4 + 1 * 2


@given(masked_networks(), st.floats(0, 0.9))
@pytest.mark.slow
def test_a_compacted_network_costs_no_more_than_the_parent(net: wc.Network, eta: float) -> None:
    with last_node_kept():
        kept = wc.mask_plan(wc.mask_space(net), eta).kept
    small, parent = wc.costs(wc.compact(net, kept).net), wc.costs(net)
    assert small.macs <= parent.macs
    assert small.parameters <= parent.parameters


def test_a_network_without_masks_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = wc.mlp(7, (11, 13), 3)
    whole = wc.costs(net)
    monkeypatch.setattr(cost, "_count", None)
    assert wc.costs(net) == whole
