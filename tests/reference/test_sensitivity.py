"""The gradient of the masks: by hand, and against finite differences."""

from dataclasses import replace

import numpy as np
import pytest

from tests.reference.test_network import PIXELS, RESNET, RESNET_MASKS
from weedout_core import Network, mlp
from weedout_core.nn import Dense, Mask, Relu, initial_statistics, parameter_shapes
from weedout_numpy.network import forward
from weedout_numpy.sensitivity import mask_gradient


def small(hidden: int, kernel: list[float], out: list[list[float]]) -> tuple[Network, dict[str, np.ndarray]]:
    """One input, a hidden layer without biases, and two logits."""
    net = Network((Dense("one", hidden), Relu(), Mask("site"), Dense("out", 2)), (1,))
    params = {"one/kernel": np.array([kernel]), "out/kernel": np.array(out)}
    return net, params | {"one/bias": np.zeros(hidden), "out/bias": np.zeros(2)}


def test_by_hand() -> None:
    """z = w₂·m·relu(w₁·x): ∂z/∂m is w₂·relu(w₁·x) for a removed node too; of two examples the sum."""
    net, params = small(2, [2.0, -1.0], [[3.0, 0.0], [5.0, 0.0]])
    masks = {"site": np.array([True, False])}
    found = mask_gradient(net, params, {}, masks, np.array([[1.0], [-2.0]]), None)
    np.testing.assert_array_equal(found["site"], [3 * 2 * 1, 5 * 1 * 2])


def test_of_a_certain_prediction_the_loss_has_no_gradient() -> None:
    net, params = small(1, [1.0], [[800.0, -800.0]])
    x, masks = np.ones((3, 1)), {"site": np.array([True])}
    assert mask_gradient(net, params, {}, masks, x, np.zeros(3, int))["site"] == 0
    wrong = mask_gradient(net, params, {}, masks, x, np.ones(3, int))["site"]
    np.testing.assert_allclose(wrong, 3 * 1600, rtol=1e-15)  # −log p₁ = z₀ − z₁ = 1600·m, for each of three


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("net", [RESNET, mlp(4, (6,), 3, rescale=True)])
def test_it_is_the_slope_along_the_masks_number(net: Network, labelled: bool) -> None:
    """A mask's number m is a factor: the layer after it sees m·x. So L(m ± h) is that of weights changed alike.

    Where the site is followed by a layer with a kernel alone, m scales the rows of the kernel of that node. The logits
    are linear in m between two sides of a ReLU, and the cross-entropy is smooth; the central difference errs by
    h²/6 · L‴, here below 1e-9 of the largest slope, and by roundings of 1e-16 · L / h.
    """
    rng, h = np.random.default_rng(2), 1e-5
    params = {path: rng.normal(size=shape) for path, shape in parameter_shapes(net).items()}
    statistics = {path: value + rng.uniform(0, 0.5, value.shape) for path, value in initial_statistics(net).items()}
    x, y = rng.normal(size=(5, *net.input_shape)), rng.integers(0, 3, 5)
    masks = RESNET_MASKS if net is RESNET else {"hidden_0": np.arange(6) % 2 == 0}
    site, kernel = ("pooled", "logits/kernel") if net is RESNET else ("hidden_0", "logits/kernel")

    def loss(params: dict[str, np.ndarray], kept: np.ndarray) -> float:
        logits, _ = forward(net.layers, params, masks | {site: kept}, x, statistics)
        if not labelled:
            return float(logits.sum())
        return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(5), y]).sum())

    found = mask_gradient(net, params, statistics, masks, x, y if labelled else None)[site]
    factor = masks[site].size / masks[site].sum() if net is not RESNET else 1.0
    for node in np.flatnonzero(masks[site]):
        ends: list[float] = []
        for sign in (1, -1):
            rows = np.array(params[kernel])
            rows[node] *= 1 + sign * h
            ends.append(loss({**params, kernel: rows}, masks[site]))
        slope = (ends[0] - ends[1]) / (2 * h)
        assert abs(slope - found[node]) <= 1e-8 * max(1.0, float(abs(found).max())) * factor


def test_a_channels_number_stands_for_all_its_pixels() -> None:
    """Masks of nodes that keep whole channels have, added up over the pixels, the gradient of masks of channels."""
    of_nodes = RESNET
    of_channels = replace(
        RESNET,
        layers=tuple(
            replace(layer, granularity="channel") if isinstance(layer, Mask) and layer.site == "block/mask_0" else layer
            for layer in RESNET.layers
        ),
    )
    rng = np.random.default_rng(3)
    params = {path: rng.normal(size=shape) for path, shape in parameter_shapes(RESNET).items()}
    x, y, kept = rng.normal(size=(4, *RESNET.input_shape)), rng.integers(0, 3, 4), np.array([True, False])
    site, shape = "block/mask_0", PIXELS[:, :, :2].shape
    whole = RESNET_MASKS | {site: np.broadcast_to(kept, shape)}
    statistics = initial_statistics(RESNET)
    one = mask_gradient(of_nodes, params, statistics, whole, x, y)
    other = mask_gradient(of_channels, params, statistics, RESNET_MASKS | {site: kept}, x, y)
    for name, gradient in other.items():
        expected = one[name].sum(axis=(0, 1)) if name == site else one[name]
        # Sums of the same products in another order: at most 100 terms.
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=100 * 2**-53 * float(abs(one[name]).sum()))
