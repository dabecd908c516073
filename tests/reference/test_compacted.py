"""The layers of a compacted network: what they take of an activation, and the gradient of it."""

import numpy as np
import pytest

from weedout_core.nn import Gather, Scale
from weedout_numpy import compacted


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4, 5)], ids=["flat", "image"])
@pytest.mark.parametrize("indices", [[0], [1, 3, 4], [3, 3, 0, 3]], ids=repr)
def test_gather_takes_nodes_or_channels_in_order(shape: tuple[int, ...], indices: list[int]) -> None:
    """One taken twice gets the sum of both gradients."""
    rng, layer = np.random.default_rng(0), Gather("g", len(indices))
    x, taken = rng.integers(-4, 5, size=shape).astype(np.float64), {"g": np.array(indices)}
    y = compacted.output(layer, x, taken)
    for place, index in enumerate(indices):
        np.testing.assert_array_equal(y[..., place], x[..., index])
    assert compacted.output_shape(layer, x.shape[1:]) == y.shape[1:]
    c = rng.integers(-4, 5, size=y.shape).astype(np.float64)
    found = compacted.gradient(layer, x, taken, c)
    for index in range(x.shape[-1]):
        places = [place for place, one in enumerate(indices) if one == index]
        np.testing.assert_array_equal(found[..., index], c[..., places].sum(axis=-1), f"∂L/∂x at {index}")


def test_scale_multiplies_and_so_does_its_gradient() -> None:
    x = np.array([[1.0, -2.0]])
    np.testing.assert_array_equal(compacted.output(Scale(2.5), x, {}), [[2.5, -5.0]])
    np.testing.assert_array_equal(compacted.gradient(Scale(2.5), x, {}, np.array([[2.0, 4.0]])), [[5.0, 10.0]])
    assert compacted.output_shape(Scale(2.5), (2,)) == (2,)
