"""Allocation: how many nodes each site keeps, by hand and by what must hold of any plan."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core.backend import MaskPlan, SitePlan, masks_from_keys
from weedout_core.errors import ConfigError
from weedout_core.nn import Conv, Dense, Flatten, Mask, Relu, Residual
from weedout_core.random import bits, fold_in, split
from weedout_core.testing import draws, spaces, sparsities
from weedout_core.testing.cases import KEYS
from weedout_core.testing.examples import last_node_kept

Shapes = Mapping[str, tuple[int, ...]]
SPACE = {"a": (30,), "b": (2, 5), "c": (1,)}


def halves(space: Shapes, sparsity: float) -> dict[str, int]:
    return {site: -(-math.prod(shape) // 2) for site, shape in space.items()}


@given(spaces(), sparsities(), st.integers(0, 2**32))
def test_global_masks_keep_a_total_and_a_node_of_each_site(
    space: dict[str, tuple[int, ...]], sparsity: float, seed: int
) -> None:
    with last_node_kept():
        plan = wc.mask_plan(space, sparsity, allocation="global")
    masks = masks_from_keys(split(wc.key(seed), 3), plan)
    counts = np.stack([mask.reshape(3, -1).sum(axis=1) for mask in masks.values()])
    wanted = max(plan.nodes - math.floor(sparsity * plan.nodes + 0.5), len(space))
    assert (counts.sum(axis=0) == wanted).all(), "as many in all in every candidate"
    assert plan.total == wanted
    assert (counts >= 1).all(), "each site keeps a node"


def test_global_masks_are_the_smallest_words_of_all_sites() -> None:
    plan, key = wc.mask_plan(SPACE, 0.7, allocation="global"), wc.key(5)
    assert plan.total == 41 - 29, "28.7 of 41 are removed, rounded"
    nodes = [(int(word), place, index) for place, site in enumerate(plan.sites)
             for index, word in enumerate(bits(fold_in(key, site.code), site.nodes))]  # fmt: skip
    first = {min(node for node in nodes if node[1] == place) for place in range(3)}
    kept = first | set(sorted(set(nodes) - first)[: 12 - 3])
    for place, mask in enumerate(masks_from_keys(key, plan).values()):
        assert set(np.flatnonzero(mask)) == {index for _, where, index in kept if where == place}


def test_global_counts_differ_among_candidates_and_are_portions_on_average() -> None:
    plan = wc.mask_plan({"a": (300,), "b": (60,), "c": (40,)}, 0.5, allocation="global")
    assert plan.kept == {"a": 150, "b": 30, "c": 20}
    for site, mask in masks_from_keys(split(wc.key(0), 2000), plan).items():
        counts = mask.sum(axis=1)
        assert len(set(counts.tolist())) > 10
        assert abs(counts.mean() - plan.kept[site]) < 6 * counts.std() / math.sqrt(2000)
    assert plan.counts == {}, "no count is every candidate's"
    assert plan.nodes_kept == 200


def test_the_order_of_the_sites_decides_between_equal_words() -> None:
    """Of the kit's two sites one word is equal; two sites of one code have the same words throughout."""
    words = [bits(fold_in(KEYS[-1], code), 60) for code in draws.TIED]
    tied = words[0][48]
    assert tied == words[1][22]
    assert sum(int((one < tied).sum()) for one in words) == 25
    plan = MaskPlan(tuple(SitePlan(f"s{code}", (60,), code, 1, None) for code in draws.TIED), 26)
    one, other = masks_from_keys(KEYS[-1], plan).values()
    assert one[48]
    assert not other[22]
    alike = MaskPlan((SitePlan("x", (9,), 7, 1, None), SitePlan("y", (9,), 7, 1, None)), 5)
    first, second = (mask.sum() for mask in masks_from_keys(wc.key(1), alike).values())
    assert (first, second) == (3, 2)


@pytest.mark.parametrize(
    ("total", "bound", "message"),
    [
        (1, None, "total must be at least the 2 sites, which keep a node each, and at most their 8 nodes; got 1."),
        (9, None, "total must be at least the 2 sites, which keep a node each, and at most their 8 nodes; got 9."),
        (0, None, "total must be an integer of at least 1 or None; got 0."),
        (4, 2**31, "a plan with a total has no bounds: its nodes are not decided one by one. Leave one out."),
    ],
)
def test_a_plan_with_a_total_that_cannot_be(total: int, bound: int | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MaskPlan((SitePlan("a", (5,), 1, 1, bound), SitePlan("b", (3,), 2, 1, None)), total)
    assert str(caught.value) == message


def test_uniform_is_the_default_and_its_plan_has_no_total() -> None:
    assert wc.mask_plan(SPACE, 0.4) == wc.mask_plan(SPACE, 0.4, "exact", "uniform")
    assert wc.mask_plan(SPACE, 0.4).total is None


def test_a_function_says_how_many_nodes_each_site_keeps() -> None:
    plan = wc.mask_plan(SPACE, 0.5, allocation=halves)
    assert plan.kept == plan.counts == {"a": 15, "b": 5, "c": 1}
    mine: Any = lambda *_: {"a": 15, "b": 4, "c": np.int64(1)}  # noqa: E731
    by_chance = wc.mask_plan(SPACE, 0.5, "bernoulli", mine)
    assert [site.bound for site in by_chance.sites] == [2**31 - 1, round(0.4 * 2**32) - 1, 2**32 - 1]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"a": 15, "b": 5}, "must give the nodes kept at the sites ['a', 'b', 'c']; got ['a', 'b']."),
        ({"a": 15, "b": 5, "c": 1, "d": 1}, "must give the nodes kept at the sites ['a', 'b', 'c']; got ['a', 'b', "),
        ({"a": 31, "b": 5, "c": 1}, "must keep at most the 30 nodes of site 'a'; got 31."),
        ({"a": 0, "b": 5, "c": 1}, "counts['a'] must be an integer of at least 1; got 0."),
        ({"a": 1.5, "b": 5, "c": 1}, "counts['a'] must be an integer of at least 1; got 1.5."),
        ({"a": True, "b": 5, "c": 1}, "counts['a'] must be an integer of at least 1; got True."),
        (None, "counts must be a mapping of names, each value an integer of at least 1; got None."),
    ],
)
def test_what_a_function_gives_is_checked_and_it_is_named(made: Any, message: str) -> None:
    def mine(space: Shapes, sparsity: float) -> Any:
        return made

    with pytest.raises(ConfigError) as caught:
        wc.mask_plan(SPACE, 0.5, allocation=mine)
    assert "the allocation tests.core.test_allocation:" in str(caught.value)
    assert "mine" in str(caught.value)
    assert message in str(caught.value)


def test_a_function_that_fails_is_named_with_its_error() -> None:
    def mine(space: Shapes, sparsity: float) -> Any:
        raise KeyError("hidden")

    with pytest.raises(ConfigError, match=r"mine failed, in .*\.py, line \d+: KeyError: 'hidden'") as caught:
        wc.mask_plan(SPACE, 0.5, allocation=mine)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_function_that_keeps_another_portion_is_said() -> None:
    with pytest.warns(
        wc.WeedoutWarning, match=r"keeps 21 of 41 nodes, which is sparsity 0\.4878, where it was asked for"
    ):
        wc.mask_plan(SPACE, 0.8, allocation=halves)


@pytest.mark.parametrize("allocation", ["global", halves])
def test_a_sparsity_for_each_site_goes_with_uniform_alone(allocation: Any) -> None:
    with pytest.raises(ConfigError, match=r"sparsity must be one number with .*Take|take allocation=\"uniform\""):
        wc.mask_plan(SPACE, dict.fromkeys(SPACE, 0.5), allocation=allocation)


@pytest.mark.parametrize(
    ("allocation", "message"),
    [
        (
            "erk",
            'allocation="erk" needs the network, whose kernels it counts; a mask space has none. Pass allocation=wc.e',
        ),
        ("my_module:mine", "the allocation my_module:mine is only named. Hand in the function itself."),
    ],
)
def test_an_allocation_that_a_space_does_not_know(allocation: str, message: str) -> None:
    config = wc.SearchConfig(allocation=allocation)
    for call in (lambda: wc.mask_plan(SPACE, 0.5, allocation=allocation),
                 lambda: wc.ask_tell.init(wc.key(0), SPACE, 0.5, config)):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value).startswith(message)


def test_global_masks_by_chance_are_refused() -> None:
    with pytest.raises(ConfigError, match='allocation="global" needs sampling="exact"; got "bernoulli"'):
        wc.mask_plan(SPACE, 0.5, "bernoulli", "global")


def test_what_global_cannot_do_is_said() -> None:
    with pytest.warns(wc.WeedoutWarning, match=r"would keep 1 nodes at 3 sites; one of each is kept"):
        assert wc.mask_plan(SPACE, 0.98, allocation="global").total == 3
    with pytest.warns(wc.WeedoutWarning, match=r"sparsity 0\.01 removes none of the 41 nodes\. Raise"):
        assert wc.mask_plan(SPACE, 0.01, allocation="global").total == 41


def test_erk_keeps_the_larger_portion_where_kernels_are_smaller() -> None:
    """784 x 512 and 512 x 256: 1296/401408 and 768/131072, so portions are as 1 to 1.8148; 154 nodes of 768 in all."""
    net = wc.mlp((784,), (512, 256), 10)
    counts = wc.erk(net)(wc.mask_space(net), 0.8)
    scale = 153.6 / (512 * 1296 / 401408 + 256 * 768 / 131072)
    exact = {"hidden_0": scale * 512 * 1296 / 401408, "hidden_1": scale * 256 * 768 / 131072}
    assert (
        counts == {site: math.floor(value + 0.5) for site, value in exact.items()} == {"hidden_0": 81, "hidden_1": 73}
    )
    assert wc.backend.search_plan(net, 0.8, wc.SearchConfig(allocation="erk")).counts == counts


def test_erk_keeps_whole_what_would_exceed_it_and_scales_the_rest_again() -> None:
    """The last site's portion would be 2.5: its 4 nodes stay, and 46 are left for the other 96."""
    net = wc.mlp((64,), (64, 32, 4), 10)
    assert wc.erk(net)(wc.mask_space(net), 0.5) == {"hidden_0": 26, "hidden_1": 20, "hidden_2": 4}
    share = {"hidden_0": 128 / 4096, "hidden_1": 96 / 2048}
    scale = 46 / (64 * share["hidden_0"] + 32 * share["hidden_1"])
    assert [round(scale * 64 * share["hidden_0"]), round(scale * 32 * share["hidden_1"])] == [26, 20]
    assert 50 / (64 * 128 / 4096 + 32 * 96 / 2048 + 4 * 36 / 128) * 36 / 128 > 1
    assert wc.erk(net)(wc.mask_space(net), 0.0) == {"hidden_0": 64, "hidden_1": 32, "hidden_2": 4}


def residual(*shortcut: Any) -> wc.Network:
    main = (Conv("one", 3), Relu(), Mask("inside"), Conv("two", 4))
    return wc.Network(
        (Conv("first", 4, 5), Mask("before"), Residual(main, shortcut), Mask("sum"), Flatten(), Dense("wide", 6),
         Mask("wide"), Dense("out", 2)), (4, 4, 2),
    )  # fmt: skip


@pytest.mark.parametrize("shortcut", [(), (Conv("side", 4, 1),)])
def test_erk_takes_the_kernel_that_leads_to_a_site_and_at_a_sum_the_main_branchs(shortcut: tuple[Any, ...]) -> None:
    net = residual(*shortcut)
    kernels = {"before": (5, 5, 2, 4), "inside": (3, 3, 4, 3), "sum": (3, 3, 3, 4), "wide": (64, 6)}
    nodes = {"before": 64, "inside": 48, "sum": 64, "wide": 6}
    weight = {site: nodes[site] * sum(kernel) / math.prod(kernel) for site, kernel in kernels.items()}
    scale = 0.1 * 182 / sum(weight.values())
    wanted = {site: max(1, math.floor(scale * value + 0.5)) for site, value in weight.items()}
    assert wc.erk(net)(wc.mask_space(net), 0.9) == wanted


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), sparsities())
def test_erk_sums_to_what_is_kept_but_for_rounding(widths: list[int], sparsity: float) -> None:
    net = wc.mlp((13,), tuple(widths), 3)
    counts = wc.erk(net)(wc.mask_space(net), sparsity)
    assert all(1 <= counts[f"hidden_{place}"] <= width for place, width in enumerate(widths))
    assert abs(sum(counts.values()) - (1 - sparsity) * sum(widths)) <= len(widths)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (wc.Network((Mask("inputs"), Dense("out", 2)), (4,)), "none leads to 'inputs', which masks the input."),
        (wc.Network((Mask("inputs"), Dense("one", 3), Mask("one"), Dense("out", 2)), (4,)), "none leads to 'inputs'"),
    ],
)
def test_erk_needs_a_kernel_before_each_site(net: wc.Network, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wc.erk(net)


def test_erk_is_of_its_own_network() -> None:
    with pytest.raises(
        ConfigError, match=r"the allocation erk is that of a network with the sites \{'hidden_0': \(6,\)\}"
    ):
        wc.mask_plan({"hidden_0": (7,)}, 0.5, allocation=wc.erk(wc.mlp((4,), (6,), 3)))
