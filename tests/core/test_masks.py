"""Which nodes stay: the counts, the draw, its ties, the last node of a site."""

import math
import warnings
import zlib
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._masks.checks import checked_masks
from weedout_core._random.smallest import keep_smallest_ordered

SEEDS = st.integers(0, 2**32 - 1)
SPARSITIES = st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.8, 0.95])
SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)
SPACES = st.dictionaries(st.sampled_from(["a", "b/c", "hidden_0", "hidden_1"]), SHAPES, min_size=1, max_size=3)
EDGES = st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 2, 2**32 - 1])


def by_sorting(words: np.ndarray, k: int) -> np.ndarray:
    """The definition: those kept come first in the order of (word, index)."""
    kept = np.zeros(words.shape, dtype=bool)
    np.put_along_axis(kept, np.argsort(words, axis=-1, kind="stable")[..., :k], True, axis=-1)
    return kept


def quiet_plan(space: dict[str, tuple[int, ...]], sparsity: float, sampling: str = "exact") -> wc.backend.MaskPlan:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wc.WeedoutWarning)
        return wc.mask_plan(space, sparsity, "bernoulli" if sampling == "bernoulli" else "exact")


# keep_smallest


@given(st.lists(EDGES | st.integers(0, 2**32 - 1), min_size=1, max_size=60), st.data())
def test_keep_smallest_is_the_head_of_a_stable_sort(words: list[int], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(words)), label="k")
    array = np.asarray(words, dtype=np.uint32)
    found = wc.backend.keep_smallest(array, k)
    assert np.count_nonzero(found) == k, "exactly k stay"
    np.testing.assert_array_equal(found, by_sorting(array, k))


@given(st.lists(st.sampled_from([0, 2**31 - 1, 2**31, 2**32 - 1]), min_size=12, max_size=12), st.integers(1, 4))
def test_keep_smallest_treats_each_row_alone(words: list[int], k: int) -> None:
    rows = np.asarray(words, dtype=np.uint32).reshape(3, 4)
    np.testing.assert_array_equal(wc.backend.keep_smallest(rows, k), by_sorting(rows, k))


@pytest.mark.parametrize("word", [0, 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_of_equal_words_the_first_stay(word: int) -> None:
    found = wc.backend.keep_smallest(np.full(6, word, dtype=np.uint32), 2)
    np.testing.assert_array_equal(found, [True, True, False, False, False, False])


@pytest.mark.parametrize("k", [0, 6, -1])
def test_keeping_none_or_too_many_is_an_error(k: int) -> None:
    with pytest.raises(wc.errors.ConfigError, match=rf"keep_smallest needs 1 ≤ k ≤ 5, the number of nodes; got {k}\."):
        wc.backend.keep_smallest(np.zeros(5, dtype=np.uint32), k)


@given(st.lists(EDGES, min_size=1, max_size=10))
def test_order_keys_sort_as_the_words_do(words: list[int]) -> None:
    array = np.asarray(words, dtype=np.uint32)
    order = wc.backend.order_keys(array)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(order.astype(np.int64), array.astype(np.int64) - 2**31)
    np.testing.assert_array_equal(keep_smallest_ordered(order, 1), by_sorting(array, 1))


# Plans


@given(SPARSITIES, st.integers(1, 10**6))
def test_the_removed_count_is_the_sparsity_rounded_half_up(sparsity: float, nodes: int) -> None:
    (site,) = quiet_plan({"a": (nodes,)}, sparsity).sites
    # DESIGN: floor(η·n + 1/2), computed in float64. η·n is exact to half a unit in the last place, so the count is
    # that of exact arithmetic unless η·n + 1/2 is that close to an integer: then either neighbour is right.
    exact = Fraction(sparsity) * nodes + Fraction(1, 2)
    removed = nodes - site.kept
    assert removed == min(math.floor(sparsity * nodes + 0.5), nodes - 1)
    assert abs(min(math.floor(exact), nodes - 1) - removed) <= (
        0 if abs(exact - round(exact)) > Fraction(nodes, 2**52) else 1
    )


@pytest.mark.parametrize(
    ("nodes", "sparsity", "kept"),
    [
        (10, 0.0, 10),
        (10, 0.05, 9),  # floor(0.5 + 0.5) = 1 is removed: a half goes up
        (10, 0.25, 7),
        (512, 0.8, 102),  # floor(409.6 + 0.5) = 410 are removed
        (64, 0.2, 51),
        (1, 0.0, 1),
        (2, 0.5, 1),
    ],
)
def test_counts_by_hand(nodes: int, sparsity: float, kept: int) -> None:
    assert wc.mask_plan({"a": (nodes,)}, sparsity).kept == {"a": kept}


NONE_REMOVED = r"^sparsity .* removes none of the {} nodes: .* 0 at each\. Raise the sparsity, or use larger layers\.$"


@pytest.mark.parametrize(("nodes", "sparsity"), [(10, 0.04), (1, 0.49), (10, {"a": 0.04})])
def test_a_sparsity_that_removes_nothing_is_warned_of(nodes: int, sparsity: Any) -> None:
    with pytest.warns(wc.WeedoutWarning, match=NONE_REMOVED.format(nodes)) as said:
        plan = wc.mask_plan({"a": (nodes,)}, sparsity)
    assert plan.kept == {"a": nodes}
    assert len(said) == 1


def test_a_search_and_a_control_warn_of_it_once() -> None:
    net = wc.mlp(2, (10, 8), 2)
    asked: Any = {"sparsity": 0.04, "backend": "numpy", "key": wc.key(0)}
    for call in (lambda: wc.search(net, (np.eye(2), np.arange(2)), **asked), lambda: wc.draw_control(net, **asked)):
        with pytest.warns(wc.WeedoutWarning, match=NONE_REMOVED.format(18)) as said:
            call()
        assert len(said) == 1


@pytest.mark.parametrize("sparsity", [0.0, {"a": 0.0, "b": 0.0}, {"a": 0.0, "b": 0.5}, {"a": 0.04, "b": 0.5}, 0.05])
def test_one_that_removes_a_node_or_is_0_is_not(sparsity: Any) -> None:
    """A warning is an error here. Under Bernoulli sampling candidates differ, and some may lose a node."""
    for sampling in ("exact", "bernoulli"):
        wc.mask_plan({"a": (10,), "b": (10,)}, sparsity, sampling)
    wc.mask_plan({"a": (10,)}, 0.04, "bernoulli")


@pytest.mark.parametrize("sampling", ["exact", "bernoulli"])
@pytest.mark.parametrize(("nodes", "sparsity"), [(1, 0.5), (1, 0.999), (3, 0.9), (10, 0.95)])
def test_the_last_node_stays_and_a_warning_says_so(nodes: int, sparsity: float, sampling: str) -> None:
    with pytest.warns(wc.WeedoutWarning, match=rf"would remove all {nodes} nodes of site 'a'; one is kept\."):
        plan = wc.mask_plan({"a": (nodes,)}, sparsity, "exact" if sampling == "exact" else "bernoulli")
    assert plan.kept == {"a": 1}
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(0), 50), plan)["a"]
    assert (np.count_nonzero(masks, axis=1) >= 1).all(), "no candidate loses a whole site"


@pytest.mark.parametrize(
    ("sparsity", "bound"),
    [
        (0.0, 2**32 - 1),  # every word is at most this: all stay
        (0.5, 2**31 - 1),
        (0.75, 2**30 - 1),
        (0.8, round(0.2 * 2**32) - 1),
        (1 - 2**-33, 0),  # rounds to 2^32 · 2^-33 + 1/2 = 1 word
        (1 - 2**-53, 0),  # would round to none; clipped to one
        (2**-40, 2**32 - 1),  # rounds to all; clipped to all
    ],
)
def test_bernoulli_bounds(sparsity: float, bound: int) -> None:
    (site,) = quiet_plan({"a": (4,)}, sparsity, "bernoulli").sites
    assert site.bound == bound


@given(SPARSITIES)
def test_a_bernoulli_bound_is_itself_a_word(sparsity: float) -> None:
    (site,) = quiet_plan({"a": (4,)}, sparsity, "bernoulli").sites
    assert site.bound is not None
    assert site.bound in range(2**32), "a backend compares words with it"


def test_a_plan_names_site_shape_code_and_nodes() -> None:
    plan = wc.mask_plan({"a": (2, 3), "b": (4,)}, 0.5)
    assert plan.sites == (
        wc.backend.SitePlan("a", (2, 3), zlib.crc32(b"a"), 3, None),
        wc.backend.SitePlan("b", (4,), zlib.crc32(b"b"), 2, None),
    )
    assert [site.nodes for site in plan.sites] == [6, 4]
    assert plan.nodes == 10
    assert hash(plan) == hash(wc.mask_plan({"a": (2, 3), "b": (4,)}, 0.5)), "compiled programs are kept by plan"


def test_each_site_may_have_its_own_sparsity() -> None:
    plan = wc.mask_plan({"a": (10,), "b": (10,)}, {"b": 0.0, "a": 0.7})
    assert plan.kept == {"a": 3, "b": 10}


@pytest.mark.parametrize("named", [{"a": 0.5}, {"a": 0.5, "b": 0.5, "c": 0.5}, {}])
def test_per_site_sparsity_must_name_the_sites(named: dict[str, float]) -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"per-site sparsity must name the sites \['a', 'b'\]; got \["):
        wc.mask_plan({"a": (3,), "b": (3,)}, named)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, math.nan, math.inf, -math.inf])
def test_a_sparsity_out_of_range_is_an_error(sparsity: float) -> None:
    eta, remedy = r"a finite number in \[0, 1\), the fraction removed", r"Write 80 % as 0\.8\."
    message = rf"^sparsity must be the fraction removed, in \[0, 1\), or one by site; got {sparsity}\. {remedy}$"
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.mask_plan({"a": (3,)}, sparsity)
    with pytest.raises(wc.errors.ConfigError, match=rf"^sparsity\['a'\] must be {eta}; got {sparsity}\. {remedy}$"):
        wc.mask_plan({"a": (3,)}, {"a": sparsity})


def test_an_unknown_way_of_sampling_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"^sampling must be one of 'exact', 'bernoulli'; got 'poisson'\.$"):
        wc.mask_plan({"a": (3,)}, 0.5, "poisson")  # pyright: ignore[reportArgumentType]


def test_a_site_without_nodes_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"^space\['a'\]\[1\] must be an integer of at least 1; got 0\.$"):
        wc.mask_plan({"a": (3, 0)}, 0.5)


def test_sites_that_would_share_draws_are_an_error() -> None:
    assert zlib.crc32(b"plumless") == zlib.crc32(b"buckeroo"), "the example needs two names with one CRC-32"
    message = r"'plumless' and 'buckeroo' have the same CRC-32 and would share draws\. Rename one\."
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.mask_plan({"plumless": (3,), "buckeroo": (3,)}, 0.5)


# Draws


@given(SEEDS, SPACES, SPARSITIES, st.integers(1, 4))
def test_exact_masks_keep_the_count_with_the_smallest_bits(
    seed: int, space: dict[str, tuple[int, ...]], sparsity: float, count: int
) -> None:
    plan = quiet_plan(space, sparsity)
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), count), plan)
    assert list(masks) == list(space)
    for site in plan.sites:
        assert masks[site.site].shape == (count, *site.shape)
        assert masks[site.site].dtype == np.bool_
        for index, mask in enumerate(masks[site.site]):
            key = wc.random.fold_in(wc.random.fold_in(wc.key(seed), index), zlib.crc32(site.site.encode()))
            expected = by_sorting(wc.random.bits(key, site.nodes), site.kept).reshape(site.shape)
            np.testing.assert_array_equal(mask, expected, f"candidate {index}, site {site.site}")


@given(SEEDS, SPACES, SPARSITIES, st.integers(1, 4))
def test_bernoulli_masks_keep_the_words_below_the_bound_and_one_at_least(
    seed: int, space: dict[str, tuple[int, ...]], sparsity: float, count: int
) -> None:
    plan = quiet_plan(space, sparsity, "bernoulli")
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), count), plan)
    for site in plan.sites:
        threshold = max(1, math.floor((1 - sparsity) * 2**32 + 0.5))
        for index, mask in enumerate(masks[site.site]):
            words = wc.random.bits(wc.random.fold_in(wc.random.fold_in(wc.key(seed), index), site.code), site.nodes)
            expected = words.astype(np.int64) < threshold
            if not expected.any():
                expected[np.argmin(words)] = True
            np.testing.assert_array_equal(mask, expected.reshape(site.shape))


@given(SEEDS, SPACES, st.sampled_from(["exact", "bernoulli"]))
def test_at_sparsity_0_everything_stays(seed: int, space: dict[str, tuple[int, ...]], sampling: str) -> None:
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), 2), quiet_plan(space, 0.0, sampling))
    assert all(mask.all() for mask in masks.values())


def test_a_site_does_not_depend_on_the_others() -> None:
    keys = wc.random.split(wc.key(1), 3)
    alone = wc.backend.masks_from_keys(keys, wc.mask_plan({"b": (20,)}, 0.5))["b"]
    together = wc.backend.masks_from_keys(keys, wc.mask_plan({"a": (7,), "b": (20,)}, 0.5))["b"]
    np.testing.assert_array_equal(alone, together)


def test_bernoulli_masks_keep_the_right_share() -> None:
    # 100 masks of 1,000 nodes kept with probability 0.3: Binomial(10^5, 0.3), standard deviation 145.
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(8), 100), wc.mask_plan({"a": (1000,)}, 0.7, "bernoulli"))[
        "a"
    ]
    assert abs(np.count_nonzero(masks) - 30_000) < 6 * 145
    assert len(set(np.count_nonzero(masks, axis=1).tolist())) > 1, "Bernoulli counts differ between candidates"


def test_every_node_is_kept_equally_often() -> None:
    # Each of 20 nodes is in Binomial(4000, 0.25) masks: standard deviation 27.4.
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(9), 4000), wc.mask_plan({"a": (20,)}, 0.75))["a"]
    assert (np.abs(np.count_nonzero(masks, axis=0) - 1000) < 6 * 27.4).all()


# Given masks


def test_masks_that_fit_give_their_leading_shape() -> None:
    space = {"a": (2, 3), "b": (4,)}
    one = {site: np.ones(shape, dtype=bool) for site, shape in space.items()}
    many = {site: np.ones((5, *shape), dtype=bool) for site, shape in space.items()}
    assert checked_masks(one, space, leading=0) == ()
    assert checked_masks(many, space, leading=1) == (5,)


@pytest.mark.parametrize("sites", [["a"], ["a", "b", "c"], ["a", "c"], []])
def test_masks_of_other_sites_are_an_error(sites: list[str]) -> None:
    masks = {site: np.ones(4, dtype=bool) for site in sites}
    with pytest.raises(wc.errors.MaskError, match=r"masks must have exactly the network's sites \['a', 'b'\]; got \["):
        checked_masks(masks, {"a": (4,), "b": (4,)}, leading=0)


@pytest.mark.parametrize(
    ("shapes", "leading"),
    [
        ({"a": (2, 5), "b": (2, 3)}, 1),  # a wrong number of nodes
        ({"a": (4,), "b": (3,)}, 1),  # one candidate where a population is wanted
        ({"a": (2, 4), "b": (3, 3)}, 1),  # two candidates here, three there
        ({"a": (), "b": ()}, 1),
    ],
)
def test_masks_of_another_shape_are_an_error(shapes: dict[str, tuple[int, ...]], leading: int) -> None:
    masks = {site: np.ones(shape, dtype=bool) for site, shape in shapes.items()}
    with pytest.raises(
        wc.errors.MaskError, match=r"the mask of site '[ab]' must have shape \(.*\*nodes\) with nodes \("
    ):
        checked_masks(masks, {"a": (4,), "b": (3,)}, leading=leading)


@pytest.mark.parametrize("shape", [(5,), (2, 4)])
def test_one_candidate_of_another_shape_is_an_error_without_a_word_of_candidates(shape: tuple[int, ...]) -> None:
    with pytest.raises(wc.errors.MaskError) as caught:
        checked_masks({"a": np.ones(shape, dtype=bool)}, {"a": (4,)}, leading=0)
    assert str(caught.value) == f"the mask of site 'a' must have shape (4,); got {shape}."


@pytest.mark.parametrize("leading", [0, 1])
def test_the_mask_of_an_image_with_channels_first_is_told_where_they_belong(leading: int) -> None:
    batch = (7,) * leading
    for shape, order in (((2, 5, 6), " The channels come first here: move them to the end."), ((6, 5, 2), "")):
        with pytest.raises(wc.errors.MaskError) as caught:
            checked_masks({"a": np.ones((*batch, *shape), dtype=bool)}, {"a": (5, 6, 2)}, leading=leading)
        assert "(5, 6, 2), (height, width, channels)" in str(caught.value)
        assert str(caught.value).endswith(f"; got {(*batch, *shape)}.{order}")


def test_costs_and_scores_say_where_channels_belong_too() -> None:
    space = wc.mask_space(wc.vgg(2, 3, (4, 4, 3)))
    turned = {site: np.ones((shape[-1], *shape[:-1]), bool) for site, shape in space.items()}
    said = r"have shape \(4, 4, 2\), \(height, width, channels\); got \(2, 4, 4\)\. The channels come first here"
    with pytest.raises(wc.errors.MaskError, match=said):
        wc.costs(wc.vgg(2, 3, (4, 4, 3)), turned)
    with pytest.raises(wc.errors.MaskError, match=said):
        wc.masks_from_scores(turned, wc.mask_plan(space, 0.5), wc.key(0))


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_masks_must_be_booleans(dtype: type) -> None:
    message = rf"the mask of site 'a' must be of booleans, True where a node is kept; got {np.dtype(dtype)}\."
    with pytest.raises(wc.errors.MaskError, match=message):
        checked_masks({"a": np.ones(4, dtype=dtype)}, {"a": (4,)}, leading=0)


def test_achieved_sparsity_is_the_fraction_removed_over_all_sites() -> None:
    masks = {"a": np.asarray([True, False, False]), "b": np.asarray([[False, False, True, True, True]])}
    assert wc.backend.achieved_sparsity(masks) == 0.5, "4 of 8 nodes are removed"
    assert wc.backend.achieved_sparsity({}) == 0.0
