"""Ten steps of SGD, in every backend: a compacted network learns what its masked parent does, on what is kept.

And it is a network like any other: what it takes beside its inputs, masks and the indices of its Gather layers, goes
through every public function.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.conformance.test_backends import BACKENDS
from weedout_core._compaction.compacted_network import kept_part
from weedout_core.testing.tolerances import bound

pytestmark = [pytest.mark.slow, pytest.mark.optimised]

IMAGE, BATCH, STEPS = (8, 8, 3), 8, 10


def wide_resnet(*without: str, mask_residual: bool) -> wc.Network:
    """A Wide ResNet without groups that would be compiled for each backend and show nothing new."""
    net = wc.wide_resnet(10, 1, 4, IMAGE, granularity="channel", mask_residual=mask_residual)
    return replace(
        net, layers=tuple(layer for layer in net.layers if not any(group in repr(layer) for group in without))
    )


NETWORKS = {
    "wide resnet": wide_resnet("group_1/", "group_2/", mask_residual=False),
    "wide resnet with masked sums": wide_resnet("group_2/", mask_residual=True),
    "vgg": wc.vgg(3, 4, IMAGE, granularity="channel", hidden=(6,)),
}
KEY = wc.key(8)
#: One epoch: one program to compile. Decay of every array moves what is removed from where it was, in the parent.
CONFIG = wc.TrainConfig(
    epochs=1, batch_size=BATCH, learning_rate=0.05, weight_decay=0.05, decayed="all", precision="highest"
)

Tree = Mapping[str, np.ndarray]


def drawn(net: wc.Network, examples: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Any]:
    """Initial weights, one candidate's masks and data."""
    params = {path: np.asarray(value, np.float32) for path, value in reference().initialise(net, KEY).items()}
    plan = wc.mask_plan(wc.mask_space(net), 0.5)
    mask = {site: value[0] for site, value in wc.backend.masks_from_keys(wc.random.split(KEY, 1), plan).items()}
    rng = np.random.default_rng(0)
    x = rng.standard_normal((examples, *net.input_shape)).astype(np.float32)
    return params, mask, (x, rng.integers(0, net.classes, examples))


def reference() -> wc.backend.Backend:
    return wc.load_backend("numpy")


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("name", BACKENDS)
def test_ten_steps(name: str, net: wc.Network) -> None:
    backend = connected(name)
    params, mask, data = drawn(net, BATCH * STEPS)
    small, kept = wc.compact(net, wc.mask_plan(wc.mask_space(net), 0.5).counts), wc.backend.kept_indices(mask)

    network = wc.Subnetwork(net, params, mask, wc.nn.initial_statistics(net) or None)
    parent, compacted = (
        wc.train(network, data, backend=backend, key=KEY, config=replace(CONFIG, compaction=compaction))
        for compaction in (False, True)
    )
    assert compacted.losses.shape == (STEPS,)
    before = (params, wc.nn.initial_statistics(net), {path: np.zeros_like(value) for path, value in params.items()})
    for one in (parent, compacted):
        for tree, old in zip(trees(one).values(), before, strict=True):
            assert_removed_as_before(small, kept, tree, old)
    moved = small.gather({path: parent.network.params[path] - value for path, value in params.items()}, kept)
    assert all(np.abs(value).max() > 1e-3 for value in moved.values()), "the training trains every array"
    for label in ("params", "statistics", "velocity"):
        ours, wanted = (small.gather(trees(one)[label], kept) for one in (compacted, parent))
        assert_near(net, label, ours, wanted, small.gather(before[0 if label == "params" else 1], kept))


def trees(trained: wc.Trained) -> dict[str, Tree]:
    """All arrays that training moves."""
    network = trained.network
    return {"params": network.params, "statistics": network.moving, "velocity": trained.velocity}


def assert_removed_as_before(small: wc.backend.CompactedNetwork, kept: Tree, tree: Tree, before: Tree) -> None:
    """What the mask removed is as it was handed in."""
    removed = 0
    for path, value in tree.items():
        away = np.ones(value.shape, dtype=bool)
        away[kept_part(value.shape, small.axes(path, value.shape, kept))] = False
        np.testing.assert_array_equal(value[away], before[path][away], path)
        removed += int(away.sum())
    assert removed, "something is removed"


def assert_near(net: wc.Network, label: str, found: Tree, wanted: Tree, before: Tree) -> None:
    """Both are of float32: each is off by the kit's bound of trained weights at most, if not by all of it.

    A velocity is a sum of the gradients, as the way of the weights is, of which the last steps may have undone some. A
    running statistic is a weighted mean of what the steps showed: means of as many values, of such weights.
    """
    terms = BATCH * int(np.prod(IMAGE[:-1])) + sum(shape[-1] for shape in wc.nn.parameter_shapes(net).values())
    assert set(found) == set(wanted)
    for path, value in wanted.items():
        largest = float(np.abs(value).max())
        moved = STEPS * largest if label == "velocity" else float(np.abs(value - before[path]).max())
        most = 2 * bound("train weights")(moved, largest, terms, STEPS)
        off = float(np.abs(found[path] - value).max())
        assert off <= most, f"{label} of {path} are off by {off:.3g}, more than {most:.3g}"


#: A Gather before the first mask that remains, one of an image's nodes: each candidate has both.
SHORT = wc.Network(
    (
        wc.nn.Conv("conv", 6),
        wc.nn.Residual(
            (wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("inside", True, "channel"), wc.nn.Conv("main", 6, 1))
        ),
        wc.nn.Relu(),
        wc.nn.Mask("nodes"),
        wc.nn.GlobalAveragePool(),
        wc.nn.Dense("logits", 3),
    ),
    (4, 4, 2),
)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_compacted_network_goes_through_every_public_function(name: str) -> None:
    backend = connected(name)
    params, mask, (x, y) = drawn(SHORT, 12)
    small, kept = wc.compact(SHORT, wc.mask_plan(wc.mask_space(SHORT), 0.5).counts), wc.backend.kept_indices(mask)
    moving = wc.nn.initial_statistics(SHORT)
    parent = wc.Subnetwork(SHORT, params, mask, moving)
    one = wc.Subnetwork(
        small.net, small.gather(params, kept), small.gather_masks(mask, kept), small.gather(moving, kept)
    )
    ours = {path: backend.asarray(value) for path, value in small.gather(params, kept).items()}
    taken = {site: backend.asarray(value) for site, value in small.gather_masks(mask, kept).items()}
    assert set(taken) == {"inside", "nodes"}

    logits, error = bound("apply")(SHORT, params, mask, x, statistics=moving)
    found = backend.to_numpy(backend.apply(small.net, ours, x, taken, one.statistics))
    assert np.all(np.abs(found - logits) <= error), f"logits are off by {np.abs(found - logits).max():.3g}"
    entropy = bound("negative_cross_entropy")
    evaluated = wc.evaluate(one, (x, y), backend=backend)
    wanted = wc.evaluate(parent, (x, y), backend=reference())
    assert abs(evaluated.loss - wanted.loss) <= entropy(logits, error)

    # Candidates that gather other channels of the stream, for the same weights.
    inputs: dict[str, np.ndarray] = {
        "inside": np.asarray([kept["inside"], [0, 1, 2], [5, 3, 1]], np.int32),
        "nodes": np.stack([mask["nodes"], ~mask["nodes"], mask["nodes"]]),
    }
    scored = backend.to_numpy(backend.score(small.net, ours, inputs, x, y, chunk=2))
    host = small.gather(params, kept)
    truth = reference().to_numpy(reference().score(small.net, host, inputs, x, y))
    np.testing.assert_allclose(truth[0], reference().score(SHORT, params, {s: m[None] for s, m in mask.items()}, x, y))
    for index in range(3):
        given = {site: value[index] for site, value in inputs.items()}
        most = entropy(*bound("apply")(small.net, host, given, x))
        assert abs(scored[index] - truth[index]) <= most, f"candidate {index}"
    assert len(set(truth)) == 3, "three different candidates"

    compacted = wc.train(parent, (x, y), backend=backend, key=KEY, config=CONFIG)
    alone = wc.train(one, (x, y), backend=backend, key=KEY, config=CONFIG)
    np.testing.assert_array_equal(alone.losses, compacted.losses, "the same program")
    for label in ("params", "statistics", "velocity"):
        for path, value in small.gather(trees(compacted)[label], kept).items():
            np.testing.assert_array_equal(trees(alone)[label][path], value, f"{label} of {path}")
    assert_same_network(parent.compact(), one)
    assert one.compact() is one
    trained = compacted.network.compact()
    assert (
        wc.evaluate(trained, (x, y), backend=backend).loss == wc.evaluate(alone.network, (x, y), backend=backend).loss
    )

    for wrong, words in ((taken["inside"] + 4, r"be in \[0, 6\); got values"), (taken["inside"] * 1.0, "be integers")):
        with pytest.raises(wc.errors.MaskError, match=f"^the indices of Gather layer 'inside' must {words}"):
            backend.apply(small.net, ours, x, {**taken, "inside": wrong}, one.statistics)


def assert_same_network(found: wc.Subnetwork, wanted: wc.Subnetwork) -> None:
    assert found.net == wanted.net
    for tree, true in ((found.params, wanted.params), (found.mask, wanted.mask), (found.statistics, wanted.statistics)):
        assert tree is not None
        assert true is not None
        assert set(tree) == set(true)
        for path, value in true.items():
            np.testing.assert_array_equal(tree[path], value, path)
