"""Candidates that keep different numbers of nodes, in smaller networks with room for the most that any of them keeps.

They compute what the masked parents do, within the bounds of ``test_compaction``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from tests.core.random_networks import masked_networks, networks
from tests.core.test_compaction import (
    NAMED,
    Layers,
    Pair,
    assert_scores,
    gradients,
    inputs,
    pair,
    roundings,
    size,
    some,
    usual_case,
    worst_case,
)
from weedout_core.backend import (
    Room,
    compacted,
    counted_room,
    counted_sites,
    filled,
    kept_indices,
    known_room,
    likely_room,
)
from weedout_core.errors import ConfigError

SPACE = {"one": (1024,), "other": (100,)}
NET = wc.mlp(5, (1024, 100), 3)


def without_rescaling(layers: Layers) -> Layers:
    found: list[wc.nn.Layer] = []
    for layer in layers:
        match layer:
            case wc.nn.Mask():
                found.append(replace(layer, rescale=False))
            case wc.nn.Residual(main, shortcut):
                found.append(wc.nn.Residual(without_rescaling(main), without_rescaling(shortcut)))
            case _:
                found.append(layer)
    return tuple(found)


def padded(net: wc.Network, room: Mapping[str, int], fewer: Mapping[str, int], seed: int) -> Pair:
    """A parent under masks that keep so many fewer nodes than there is room for."""
    net = replace(net, layers=without_rescaling(net.layers))
    one = pair(net, room, seed)
    rng = np.random.default_rng(seed)
    masks = {
        site: (rng.permutation(mask.size) < room[site] - fewer[site]).reshape(mask.shape)
        for site, mask in one.masks.items()
    }
    indices = kept_indices({site: filled(mask.reshape(-1), room[site]) for site, mask in masks.items()})
    return one._replace(masks=masks, small=wc.compact(net, room, padded=True), indices=indices)


@st.composite
def padded_pairs(draw: Any) -> Pair:
    """Any network, room for any number of nodes, and masks that keep any number up to that, or none."""
    net = draw(networks() | masked_networks())
    room = {site: draw(st.integers(1, size(shape))) for site, shape in wc.mask_space(net).items()}
    fewer = {site: draw(st.integers(0, nodes)) for site, nodes in room.items()}
    return padded(net, room, fewer, draw(st.integers(0, 2**32 - 1)))


@pytest.mark.parametrize("name", NAMED)
def test_an_architecture_scores_as_its_padded_compaction(name: str) -> None:
    room = some(NAMED[name], 0.5)
    assert_scores(padded(NAMED[name], room, {site: nodes // 3 for site, nodes in room.items()}, seed=3), usual_case)


@given(padded_pairs())
@pytest.mark.slow
def test_any_network_scores_as_its_padded_compaction(one: Pair) -> None:
    assert_scores(one, worst_case)


@pytest.mark.parametrize("name", NAMED)
def test_gradients_are_those_of_the_padded_compaction(name: str) -> None:
    """And those of what fills it up are 0."""
    room = some(NAMED[name], 0.5)
    one = padded(NAMED[name], room, {site: nodes // 3 for site, nodes in room.items()}, seed=4)
    x, _ = inputs(one.net)
    c = np.random.default_rng(5).normal(size=(len(x), one.net.classes))
    parent, parent_x, _ = gradients(one.net.layers, one.params, one.masks, x, c, 1)
    small, small_x, _ = gradients(one.small.net.layers, one.kept(one.params), one.small_masks, x, c, 1)
    found = one.small.expand(small, one.indices, {path: np.zeros_like(value) for path, value in one.params.items()})
    # Where a gradient is 0 but for roundings, the terms that cancel are as large as those of other arrays.
    most = roundings(one.net, len(x)) * max(np.abs(value).max() for value in parent.values())
    for path, value in (parent | {"x": parent_x}).items():
        np.testing.assert_allclose((found | {"x": small_x})[path], value, rtol=0, atol=most, err_msg=path)


def test_a_padded_network_is_smaller() -> None:
    small = wc.compact(NET, {"hidden_0": 208, "hidden_1": 32}, padded=True).net
    assert wc.mask_space(small) == {"hidden_0": (208,), "hidden_1": (32,)}
    assert wc.costs(small).macs == 5 * 208 + 208 * 32 + 32 * 3


def test_a_site_with_room_for_all_stays_whole() -> None:
    small = wc.compact(NET, {"hidden_0": 1024, "hidden_1": 32}, padded=True)
    assert small.counts == (("hidden_1", 32),)
    assert wc.compact(NET, {"hidden_0": 1024, "hidden_1": 100}, padded=True).net == NET


def test_a_mask_that_rescales_is_not_padded() -> None:
    net = wc.mlp(5, (8,), 3, rescale=True)
    with pytest.raises(ConfigError, match="rescale by the nodes that it has room for"):
        wc.compact(net, {"hidden_0": 4}, padded=True)
    assert known_room(net, None) == known_room(net, wc.mask_plan(wc.mask_space(net), 0.5, "bernoulli")) == Room()


@given(st.data())
def test_what_fills_a_mask_up_is_its_first_others(data: st.DataObject) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=1, max_size=12)))
    nodes = data.draw(st.integers(max(1, int(mask.sum())), mask.size))
    found = filled(np.stack([mask, mask]), nodes)
    assert found.sum(axis=-1).tolist() == [nodes, nodes]
    assert (found >= mask).all(), "what it keeps is kept"
    added = np.flatnonzero(found[0] & ~mask)
    np.testing.assert_array_equal(added, np.flatnonzero(~mask)[: len(added)])


def test_the_room_of_exact_masks_is_what_they_keep() -> None:
    plan = wc.mask_plan(wc.mask_space(NET), 0.8)
    assert known_room(NET, plan) == likely_room(NET, plan) == Room((("hidden_0", 205), ("hidden_1", 20)))
    assert compacted(NET, Room((("hidden_0", 205), ("hidden_1", 20)))) == wc.compact(NET, plan.kept)


def test_what_masks_cannot_make_smaller_has_no_room_to_count() -> None:
    """Masks of an image's nodes stay; of a network that has others too, these alone are counted."""
    net = replace(NAMED["vgg of nodes"], layers=without_rescaling(NAMED["vgg of nodes"].layers))
    assert known_room(net, None) == known_room(net, wc.mask_plan(wc.mask_space(net), 0.8, "bernoulli")) == Room()
    both = NAMED["wide resnet of nodes"]
    assert counted_sites(both) == ("pooled",)
    assert dict(counted_room(both, None, {"pooled": 3}).nodes) == {
        site: 16 if site == "pooled" else size(shape) for site, shape in wc.mask_space(both).items()
    }


def test_what_is_compacted_already_stays_as_it_is() -> None:
    net = wc.Network((wc.nn.Gather("some", 3), wc.nn.Mask("m"), wc.nn.Dense("logits", 2)), (5,))
    assert known_room(net, None) == Room()


def test_given_masks_have_room_for_whole_sixteens() -> None:
    assert known_room(NET, None) is None
    assert counted_room(NET, None, {"hidden_0": 205, "hidden_1": 99}) == Room(
        (("hidden_0", 208), ("hidden_1", 100)), padded=True
    )
    assert dict(counted_room(NET, None, {"hidden_0": 208, "hidden_1": 0}).nodes) == {"hidden_0": 208, "hidden_1": 1}


def test_a_search_has_few_programs() -> None:
    """Of drawn candidates all sites have room for as many standard deviations, 12.8 nodes and 4."""
    plan = wc.mask_plan(wc.mask_space(NET), 0.8, "bernoulli")
    assert known_room(NET, plan) is None
    assert dict(likely_room(NET, plan).nodes) == {"hidden_0": 205 + 39, "hidden_1": 20 + 12}
    for most, deviations in (((244, 32), 3), ((244, 33), 4), ((245, 32), 4), ((100, 37), 5)):
        room = counted_room(NET, plan, dict(zip(plan.kept, most, strict=True)))
        assert dict(room.nodes) == {
            "hidden_0": 205 + int(np.ceil(deviations * 12.804)),
            "hidden_1": 20 + 4 * deviations,
        }
    rooms = set()
    for generation in range(40):
        masks = wc.load_backend("numpy").masks_from_keys(wc.random.split(wc.key(generation), 100), plan)
        most = {site: int(mask.sum(axis=1).max()) for site, mask in masks.items()}
        room = counted_room(NET, plan, most)
        assert all(nodes >= most[site] for site, nodes in room.nodes)
        rooms.add(room)
    assert len(rooms) <= 3, "of four thousand candidates all lie within three, four or five deviations"
