"""A compacted network is the masked parent, on what is kept: outputs, scores, gradients, trained weights.

The reference computes both in float64. They sum the same products in another order and with zeros left out. What that
may move is bounded in three ways: where small integers are summed, by nothing; for any small network by the kit's
bounds of float32, times 2^-29, the ratio of the unit roundoffs; and for deep ones, whose worst case says nothing, by
64 γ of the products behind a value, as the kit has it for gradients (``trained_error``: sums that cancel).
"""

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

import weedout_core as wc
from tests.core.random_networks import masked_networks, networks
from weedout_core._compaction.compacted_network import kept_part
from weedout_core._networks.layers import run_shape
from weedout_core.backend import ScoredBatch
from weedout_core.testing.tolerances import bound
from weedout_numpy.network import backward, batch_statistics, forward
from weedout_numpy.scoring import score, statistics_of
from weedout_numpy.training import Learner, train_step

Tree = Mapping[str, np.ndarray]
Layers = tuple[wc.nn.Layer, ...]
IMAGE = (4, 4, 2)


def two_masks(*between: wc.nn.Layer) -> wc.Network:
    """A mask of channels and one of nodes, after a Flatten, with these layers between."""
    first = (
        wc.nn.Conv("conv", 5),
        wc.nn.BatchNorm("norm"),
        wc.nn.Relu(),
        wc.nn.Mask("channels", True, "channel"),
        wc.nn.Flatten(),
    )
    return wc.Network((*first, *between, wc.nn.Mask("nodes", True), wc.nn.Dense("logits", 3)), IMAGE)


def reader(site: str) -> wc.nn.Residual:
    """A residual whose shortcut is its input, and whose branch reads a part of it."""
    return wc.nn.Residual((wc.nn.BatchNorm(f"norm_{site}"), wc.nn.Mask(site, True), wc.nn.Dense(f"dense_{site}", 24)))


DENSE, HEAD = (wc.nn.Dense("first", 24),), (wc.nn.Mask("m"), wc.nn.Dense("logits", 3))
NAMED = {
    "mlp": wc.mlp(9, (8, 7), 4, rescale=True),
    "wide resnet of channels": wc.wide_resnet(16, 1, 4, (8, 8, 3), "channel", rescale=True),
    "wide resnet of nodes": wc.wide_resnet(10, 1, 4, (8, 8, 3)),
    "wide resnet with masked sums": wc.wide_resnet(10, 1, 4, (8, 8, 3), "channel", mask_residual=True, hidden=(6,)),
    "vgg of channels": wc.vgg(4, 4, (8, 8, 3), "channel", rescale=True, hidden=(6,)),
    "vgg of nodes": wc.vgg(3, 4, (8, 8, 3), rescale=True),
    "nodes before a flatten": wc.Network(
        (wc.nn.Conv("conv", 4), wc.nn.Relu(), wc.nn.Mask("nodes", True), wc.nn.Flatten(), wc.nn.Dense("logits", 3)),
        IMAGE,
    ),
    "a residual in a residual": wc.Network((*DENSE, wc.nn.Residual((wc.nn.Relu(), reader("a"))), *HEAD), (5,)),
    "residuals in both branches": wc.Network((*DENSE, wc.nn.Residual((reader("a"),), (reader("b"),)), *HEAD), (5,)),
    "three readers": wc.Network((*DENSE, reader("a"), reader("b"), *HEAD), (5,)),
    "a mask behind a mask": two_masks(wc.nn.Relu()),
    "a norm between two masks": two_masks(wc.nn.BatchNorm("flat"), wc.nn.Relu()),
}


class Pair(NamedTuple):
    """A parent under masks, and its compaction.

    Attributes:
        net, params, statistics, masks: the parent's, in float64.
        small: the compaction.
        indices: of what is kept, by site.
    """

    net: wc.Network
    params: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    small: wc.backend.CompactedNetwork
    indices: dict[str, np.ndarray]

    def kept(self, tree: Tree) -> dict[str, np.ndarray]:
        """What the smaller network has of parameters or statistics."""
        return self.small.gather(tree, self.indices)

    @property
    def small_masks(self) -> dict[str, np.ndarray]:
        return self.small.gather_masks(self.masks, self.indices)


def pair(net: wc.Network, kept: Mapping[str, int], seed: int, integers: bool = False) -> Pair:
    """Any weights, of order 1 or −1, 0 and 1 alone, and any masks that keep so many nodes."""
    rng = np.random.default_rng(seed)
    params = {path: rng.normal(size=shape) for path, shape in wc.nn.parameter_shapes(net).items()}
    if integers:
        params = {path: np.clip(np.round(value), -1, 1) for path, value in params.items()}
    statistics = {path: value + rng.uniform(size=value.shape) for path, value in wc.nn.initial_statistics(net).items()}
    space = wc.mask_space(net)
    masks = {site: (rng.permutation(size(shape)) < kept[site]).reshape(shape) for site, shape in space.items()}
    return Pair(net, params, statistics, masks, wc.compact(net, kept), wc.backend.kept_indices(masks))


def size(shape: Sequence[int]) -> int:
    return int(np.prod(shape))


def some(net: wc.Network, eta: float = 0.6) -> dict[str, int]:
    return wc.mask_plan(wc.mask_space(net), eta).kept


@st.composite
def pairs(draw: Any) -> Pair:
    """Any network, any number of nodes kept at each site."""
    net = draw(networks() | masked_networks())
    few = draw(st.sampled_from([1, 3]))
    kept = {site: draw(st.integers(1, -(-size(shape) // few))) for site, shape in wc.mask_space(net).items()}
    return pair(net, kept, draw(st.integers(0, 2**32 - 1)))


def inputs(net: wc.Network, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(6, *net.input_shape)), rng.integers(0, net.classes, 6).astype(np.int32)


def logits_of(net: wc.Network, params: Tree, masks: Tree, batch: ScoredBatch) -> np.ndarray:
    """With the statistics that a candidate is scored with."""
    logits, _ = forward(net.layers, params, masks, batch.x, statistics_of(net, params, masks, batch))
    return logits


def worst_case(one: Pair, batch: ScoredBatch) -> float:
    """The most that a logit of parent and compaction may be apart."""
    try:
        _, error = bound("apply")(
            one.net, one.params, one.masks, batch.x, statistics=batch.statistics, calibration=batch.calibration
        )
    except ValueError:  # a variance so close to 0 that float32 says nothing about it
        reject()
    return float(2 * 2.0**-29 * error.max())


def usual_case(one: Pair, batch: ScoredBatch) -> float:
    """The same for deep networks."""
    logits = logits_of(one.net, one.params, one.masks, batch)
    return roundings(one.net, len(batch.x)) * float(np.abs(logits).max())


def roundings(net: wc.Network, examples: int) -> float:
    """64 γ of the products behind one value: through each layer, and of all pixels in each batch norm."""
    inside = sum(size(shape[:-1]) for path, shape in wc.nn.parameter_shapes(net).items() if path.endswith("/kernel"))
    pixels = examples * size(net.input_shape[:-1]) * len(wc.nn.initial_statistics(net))
    return 64 * (inside + pixels) * 2.0**-53


def assert_scores(one: Pair, most: Callable[[Pair, ScoredBatch], float]) -> None:
    """Logits and fitness are the parent's, with statistics of every origin."""
    x, y = inputs(one.net)
    others, _ = inputs(one.net, seed=8)
    of_batch = ScoredBatch(x, y)
    calibrated = of_batch._replace(calibration=others)
    for batch, small_batch in (
        (of_batch, of_batch),
        (of_batch._replace(statistics=one.statistics), of_batch._replace(statistics=one.kept(one.statistics))),
        (calibrated, calibrated),
    ):
        off, params = most(one, batch), one.kept(one.params)
        assert_logits(one, batch, small_batch, off)
        parent = score(one.net, one.params, one.masks, batch, "negative_cross_entropy")
        found = score(one.small.net, params, one.small_masks, small_batch, "negative_cross_entropy")
        # A log-softmax moves by at most twice its logits, and rounds itself: on each side 4 + 6 + 20 times at most.
        assert abs(found - parent) <= 2 * off + 2 * 30 * 2.0**-53 * (1 + abs(parent)), f"{found}, the parent {parent}"


def assert_logits(one: Pair, batch: ScoredBatch, small_batch: ScoredBatch, most: float) -> None:
    wanted = logits_of(one.net, one.params, one.masks, batch)
    found = logits_of(one.small.net, one.kept(one.params), one.small_masks, small_batch)
    assert found.shape == wanted.shape
    off = float(np.abs(found - wanted).max())
    assert off <= most, f"logits are off by {off}, more than {most}"


@pytest.mark.parametrize("eta", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("name", NAMED)
def test_an_architecture_scores_as_its_compaction(name: str, eta: float) -> None:
    assert_scores(pair(NAMED[name], some(NAMED[name], eta), seed=3), usual_case)


@given(data=st.data())
@pytest.mark.slow
def test_any_network_scores_as_its_compaction(data: st.DataObject) -> None:
    assert_scores(data.draw(pairs()), worst_case)


# Gradients and training


@st.composite
def integer_pairs(draw: Any) -> Pair:
    """Networks of which every value is a small integer over a power of 2: no float64 is rounded.

    No batch norm; means of 2^n pixels; where a mask rescales, n/kept is such a number.
    """
    drawn = draw(networks() | masked_networks())
    net = replace(drawn, layers=_without_divisions(drawn.layers, drawn.input_shape))
    rescaled = {
        layer.site for layer in wc.nn.every_layer(net.layers) if isinstance(layer, wc.nn.Mask) and layer.rescale
    }
    kept: dict[str, int] = {}
    for site, shape in wc.mask_space(net).items():
        powers = [2**n for n in range(6) if 2**n <= size(shape)]
        kept[site] = draw(st.sampled_from(powers) if site in rescaled else st.integers(1, size(shape)))
    return pair(net, kept, draw(st.integers(0, 2**32 - 1)), integers=True)


def _without_divisions(layers: Layers, shape: tuple[int, ...]) -> Layers:
    found: list[wc.nn.Layer] = []
    for layer in layers:
        pixels = size(run_shape(found, shape)[:-1])
        match layer:
            case wc.nn.BatchNorm():
                found.append(wc.nn.Relu())
            case wc.nn.GlobalAveragePool() if pixels & (pixels - 1):
                found.append(wc.nn.Flatten())
            case wc.nn.Residual(main, shortcut):
                inside = run_shape(found, shape)
                found.append(wc.nn.Residual(_without_divisions(main, inside), _without_divisions(shortcut, inside)))
            case _:
                found.append(layer)
    return tuple(found)


def gradients(
    layers: Layers, params: Tree, masks: Tree, x: np.ndarray, c: np.ndarray, groups: int
) -> tuple[dict[str, np.ndarray], np.ndarray, Any]:
    """∂L/∂weights and ∂L/∂x for L = Σ c ⊙ logits, and the record."""
    _, record = forward(layers, params, masks, x, groups=groups)
    found = backward(params, masks, record, c, groups)
    return found.weights, found.x, record


@given(integer_pairs())
def test_the_gradients_of_any_network_are_those_of_its_compaction(one: Pair) -> None:
    """To the bit; and those of what is removed are 0."""
    rng = np.random.default_rng(1)
    x = rng.integers(-2, 3, (3, *one.net.input_shape)).astype(float)
    c = rng.integers(-2, 3, (3, one.net.classes)).astype(float)
    absolute = {path: np.abs(value) for path, value in one.params.items()}
    largest, whole, _ = gradients(one.net.layers, absolute, one.masks, np.abs(x) + 1, np.abs(c) + 1, 1)
    assume(max(np.abs(value).max() for value in (*largest.values(), whole)) < 2.0**40)  # 2^-13 of what is exact
    parent, parent_x, _ = gradients(one.net.layers, one.params, one.masks, x, c, 1)
    small, small_x, _ = gradients(one.small.net.layers, one.kept(one.params), one.small_masks, x, c, 1)
    nothing = {path: np.zeros_like(value) for path, value in one.params.items()}
    whole = one.small.expand(small, one.indices, nothing)
    for path, gradient in parent.items():
        np.testing.assert_array_equal(whole[path], gradient, path)
    np.testing.assert_array_equal(small_x, parent_x, "∂L/∂x")


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", NAMED)
def test_gradients_and_batch_statistics_are_those_of_the_compaction(name: str, groups: int) -> None:
    one = pair(NAMED[name], some(NAMED[name]), seed=4)
    x, _ = inputs(one.net)
    c = np.random.default_rng(5).normal(size=(len(x), one.net.classes))
    parent, parent_x, record = gradients(one.net.layers, one.params, one.masks, x, c, groups)
    small, small_x, small_record = gradients(one.small.net.layers, one.kept(one.params), one.small_masks, x, c, groups)
    assert_close(one, one.kept(parent) | {"x": parent_x}, small | {"x": small_x}, len(x))
    assert_close(one, one.kept(batch_statistics(record)), batch_statistics(small_record), len(x))


def assert_close(one: Pair, wanted: Tree, found: Tree, examples: int) -> None:
    assert set(found) == set(wanted)
    for path, value in wanted.items():
        most = roundings(one.net, examples) * np.abs(value).max()
        np.testing.assert_allclose(found[path], value, rtol=0, atol=most, err_msg=path)


CONFIG = wc.TrainConfig(
    epochs=1, batch_size=6, learning_rate=0.05, weight_decay=0.05, decayed="all", batch_norm_group=3
)


@pytest.mark.parametrize("name", NAMED)
def test_ten_steps_train_the_compaction_as_they_train_the_masked_parent(name: str) -> None:
    one = pair(NAMED[name], some(NAMED[name]), seed=6)
    parent, small = (
        learner(*trees) for trees in ((one.params, one.statistics), (one.kept(one.params), one.kept(one.statistics)))
    )
    plan = wc.backend.train_plan(CONFIG, 6)
    for step in range(10):
        x, y = inputs(one.net, seed=step)
        parent, loss, correct = train_step(one.net, plan, parent, one.masks, x, y, 0.05)
        small, small_loss, small_correct = train_step(one.small.net, plan, small, one.small_masks, x, y, 0.05)
        # Every step adds its roundings to those of the steps before.
        assert abs(small_loss - loss) <= (step + 1) * roundings(one.net, len(x)) * max(1, loss)
        assert small_correct == correct
    moved = one.kept(parent.params)["logits/kernel"] - one.kept(one.params)["logits/kernel"]
    assert np.abs(moved).max() > 0.01, "the training trains"
    assert_close(one, one.kept(parent.params), small.params, 10 * 6)
    assert_close(one, one.kept(parent.velocity), small.velocity, 10 * 6)
    assert_close(one, one.kept(parent.statistics), small.statistics, 10 * 6)


def learner(params: Tree, statistics: Tree) -> Learner:
    return Learner(params, statistics, {path: np.zeros_like(value) for path, value in params.items()})


# The way there and back


@given(pairs())
@pytest.mark.slow
def test_what_is_gathered_expands_to_what_it_was(one: Pair) -> None:
    for tree in (one.params, one.statistics):
        again = one.small.expand(one.kept(tree), one.indices, tree)
        assert set(again) == set(tree)
        for path, value in tree.items():
            np.testing.assert_array_equal(again[path], value, path)
            assert again[path] is not value, "a copy"


@given(pairs())
@pytest.mark.slow
def test_expanding_changes_what_is_kept_and_nothing_else(one: Pair) -> None:
    before = {path: value.copy() for path, value in one.params.items()}
    trained = {path: value + 1 for path, value in one.kept(one.params).items()}
    found = one.small.expand(trained, one.indices, one.params)
    for path, value in found.items():
        moved = np.zeros(value.shape)
        moved[kept_part(value.shape, one.small.axes(path, value.shape, one.indices))] = 1
        np.testing.assert_array_equal(value, before[path] + moved, path)
        np.testing.assert_array_equal(one.params[path], before[path], "the parent's stay")
    for path, value in one.kept(found).items():
        np.testing.assert_array_equal(value, trained[path], path)


@given(data=st.data())
@pytest.mark.slow
def test_what_is_gathered_fits_the_smaller_network(data: st.DataObject) -> None:
    one = data.draw(pairs())
    shapes = {path: value.shape for path, value in one.kept(one.params).items()}
    assert shapes == wc.nn.parameter_shapes(one.small.net)
    of_statistics = {path: value.shape for path, value in one.kept(one.statistics).items()}
    assert of_statistics == {path: value.shape for path, value in wc.nn.initial_statistics(one.small.net).items()}
    masks, space = one.small_masks, wc.mask_space(one.small.net)
    gathers = {
        layer.name: layer.count for layer in wc.nn.every_layer(one.small.net.layers) if isinstance(layer, wc.nn.Gather)
    }
    assert {name: value.shape for name, value in masks.items()} == space | {
        name: (count,) for name, count in gathers.items()
    }
    assert set(one.small.sites) <= set(one.masks)
    needed = {site: one.indices[site] for site in one.small.sites}
    assert {path: value.tolist() for path, value in one.small.gather(one.params, needed).items()} == {
        path: value.tolist() for path, value in one.kept(one.params).items()
    }, "the indices of its sites are enough"


@given(data=st.data())
@pytest.mark.slow
def test_the_counters_of_what_is_kept_are_those_of_its_words(data: st.DataObject) -> None:
    one, key = data.draw(pairs()), wc.key(data.draw(st.integers(0, 2**64 - 1)))
    assume(one.indices)
    words = {path: wc.random.bits(key, value.size).reshape(value.shape) for path, value in one.params.items()}
    for path, wanted in one.kept(words).items():
        counters = one.small.counters(path, words[path].shape, one.indices)
        assert (counters.dtype, counters.shape) == (np.int32, wanted.shape)
        found = wc.random.bits_at(key, counters.astype(np.uint32).reshape(-1)).reshape(wanted.shape)
        np.testing.assert_array_equal(found, wanted, path)


def test_kept_indices_are_the_nodes_of_a_mask_row_by_row() -> None:
    masks = {
        "image": np.asarray([[[False, True], [False, False]], [[True, True], [False, True]]]),
        "flat": np.eye(3)[1] > 0,
    }
    found = wc.backend.kept_indices(masks)
    assert {site: (value.dtype.name, value.tolist()) for site, value in found.items()} == {
        "image": ("int32", [1, 4, 5, 7]),
        "flat": ("int32", [1]),
    }


# A compacted network is a network


@pytest.mark.parametrize("name", ["wide resnet of channels", "wide resnet with masked sums", "vgg of channels"])
def test_a_compacted_network_without_counts_stays_as_it_is(name: str) -> None:
    """So do its masks and the indices of its Gather layers, which remain."""
    one = pair(NAMED[name], some(NAMED[name]), seed=3)
    again = wc.compact(one.small.net, {})
    params, masks = one.kept(one.params), one.small_masks
    assert again.net == one.small.net
    assert all(again.gather(params, {})[path] is value for path, value in params.items())
    assert set(again.gather_masks(masks, {})) == set(masks)
    assert all(again.gather_masks(masks, {})[site] is value for site, value in masks.items())
    for path, value in again.expand(params, {}, params).items():
        np.testing.assert_array_equal(value, params[path], path)


def test_a_network_is_split_before_the_first_gather() -> None:
    """Each candidate gathers its own: what follows is not shared."""
    net = NAMED["wide resnet with masked sums"]
    head, rest = wc.backend.split_at_first_mask(wc.compact(net, some(net)).net)
    assert [type(layer).__name__ for layer in head] == ["Conv"]
    assert wc.compact(rest, {}).net == rest


# Misfits

MLP = wc.mlp(3, (5, 4), 2)
KEPT = {"hidden_0": 2, "hidden_1": 3}
INDICES = {"hidden_0": np.asarray([1, 4], np.int32), "hidden_1": np.asarray([0, 1, 3], np.int32)}
TREE = {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(MLP).items()}


@pytest.mark.parametrize("count", [2.5, True, np.float64(2), "2"])
def test_counts_must_be_integers(count: Any) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        wc.compact(MLP, {"hidden_0": count, "hidden_1": 3})
    assert str(caught.value) == f"kept['hidden_0'] must be an integer of at least 1; got {count!r}."


def test_counts_may_be_integers_of_numpy() -> None:
    counts: Any = {site: np.int64(count) for site, count in KEPT.items()}
    found = wc.compact(MLP, counts)
    assert found == wc.compact(MLP, KEPT)
    assert all(type(layer.units) is int for layer in found.net.layers if isinstance(layer, wc.nn.Dense))


@pytest.mark.parametrize(
    ("wrong", "got"),
    [({}, "no array"), ({"hidden_1": np.asarray([0, 1])}, "(2,)"), ({"hidden_1": np.asarray([[0, 1, 3]])}, "(1, 3)")],
)
def test_indices_must_be_those_of_what_is_kept(wrong: Any, got: str) -> None:
    small, indices = wc.compact(MLP, KEPT), {"hidden_0": INDICES["hidden_0"], **wrong}
    for use in (
        lambda: small.gather(TREE, indices),
        lambda: small.axes("logits/kernel", (4, 2), indices),
        lambda: small.counters("logits/kernel", (4, 2), indices),
        lambda: small.expand(small.gather(TREE, INDICES), indices, TREE),
    ):
        with pytest.raises(wc.errors.MaskError) as caught:
            use()
        assert str(caught.value) == (
            "the indices of site 'hidden_1' must be those of the nodes that it keeps, of shape (3,); got "
            f"{got}. Use kept_indices of a mask that keeps as many nodes."
        )


def test_counters_need_indices() -> None:
    with pytest.raises(wc.errors.MaskError, match=r"^indices must be given for at least one site, .*; got none\.$"):
        wc.compact(MLP, {"hidden_0": 5, "hidden_1": 4}).counters("logits/kernel", (4, 2), {})


def test_arrays_must_be_the_parents() -> None:
    small = wc.compact(MLP, KEPT)
    for use in (
        lambda: small.gather({"dense_1/kernel": np.ones((5, 3))}, INDICES),
        lambda: small.axes("dense_1/kernel", (5, 3), INDICES),
        lambda: small.counters("dense_1/kernel", (5, 3), INDICES),
        lambda: small.expand({"dense_1/kernel": np.ones((2, 3))}, INDICES, {"dense_1/kernel": np.ones((5, 3))}),
    ):
        with pytest.raises(wc.errors.ConfigError) as caught:
            use()
        assert str(caught.value) == "'dense_1/kernel' must have the parent's shape (5, 4); got (5, 3)."
    for use in (
        lambda: small.axes("other/kernel", (5, 4), INDICES),
        lambda: small.counters("other/kernel", (5, 4), INDICES),
        lambda: small.expand({"other/kernel": np.ones(2)}, INDICES, {"other/kernel": np.ones(2)}),
    ):
        with pytest.raises(wc.errors.ConfigError) as caught:
            use()
        assert str(caught.value) == (
            "'other/kernel' must be a parameter or statistic of the parent: see parameter_shapes and "
            "initial_statistics."
        )


def test_what_the_parent_does_not_have_is_gathered_as_it_is() -> None:
    """A backend gathers for the layers after those that candidates share, out of the whole network's weights."""
    array = np.ones(7)
    assert wc.compact(MLP, KEPT).gather({"other/kernel": array}, INDICES)["other/kernel"] is array


def test_only_what_fits_expands() -> None:
    small = wc.compact(MLP, KEPT)
    with pytest.raises(wc.errors.ConfigError) as caught:
        small.expand({"dense_1/kernel": np.ones((1, 3))}, INDICES, TREE)  # it would be broadcast
    assert str(caught.value) == "'dense_1/kernel' must have the smaller network's shape (2, 3); got (1, 3)."
    with pytest.raises(wc.errors.ConfigError) as caught:
        small.expand(small.gather(TREE, INDICES), INDICES, {"logits/bias": TREE["logits/bias"]})
    assert str(caught.value) == "onto must have the paths of the smaller tree; 'dense_0/bias' is missing."


def test_masks_that_remain_must_be_the_parents() -> None:
    net = NAMED["wide resnet with masked sums"]
    one = pair(net, some(net), seed=3)
    site, _ = one.small.masks[0]
    shape = wc.mask_space(net)[site]
    for masks, got in (
        ({name: mask for name, mask in one.masks.items() if name != site}, "no array"),
        (one.masks | {site: np.ones(shape[0] + 1, dtype=bool)}, str((shape[0] + 1,))),
    ):
        message = re.escape(f"the mask of site {site!r} remains and must have shape {shape}; got {got}.")
        with pytest.raises(wc.errors.MaskError, match=f"^{message}$"):
            one.small.gather_masks(masks, one.indices)


@pytest.mark.slow
def test_a_network_may_be_deeper_than_calls_may_be() -> None:
    depth = 0
    frame = inspect.currentframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    net = wc.wide_resnet(6 * 30 + 4, 1, 3, (4, 4, 1), "channel")
    counts = wc.mask_plan(wc.mask_space(net), 0.5).counts
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 120)  # it has 90 blocks
    try:
        small = wc.compact(net, counts).net
    finally:
        sys.setrecursionlimit(before)
    assert wc.costs(small).macs < wc.costs(net).macs
