"""Compacted networks: the two layers that a masked network does not have. Not in the paper.

A removed node does nothing, so a masked network computes the same as a smaller one without these nodes. Section 3 says
so: a mask "has the same effect … as in removing connections or nodes from the actual network compute graph".
``weedout_core.compact`` builds the smaller network, and the reference computes it too, to be compared with the masked
one. It is made of the layers in ``layers`` and of these two:

* ``Gather`` takes some nodes or channels of its input. It has no mask: the indices of what it takes
  are handed in under its name, among the masks.
* ``Scale`` multiplies by a number: the factor that a mask with ``rescale`` had, where the mask itself is gone.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from weedout_core.nn import Gather, Layer, Scale

Batch = Float[np.ndarray, "examples ..."]


def output(layer: Layer, x: Batch, indices: Mapping[str, np.ndarray]) -> Batch:
    """y for the input x."""
    match layer:
        case Gather(name):
            return gather(x, indices[name])
        case Scale(factor):
            return factor * x
        case _:
            raise TypeError(f"the reference does not compute {layer}")


def gradient(layer: Layer, x: Batch, indices: Mapping[str, np.ndarray], gradient: Batch) -> Batch:
    """∂L/∂x, from ``gradient`` = ∂L/∂y."""
    match layer:
        case Gather(name):
            return gather_gradient(x, indices[name], gradient)
        case Scale(factor):
            return factor * gradient
        case _:
            raise TypeError(f"the reference does not compute {layer}")


def output_shape(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a layer's output, for one example whose input has this shape."""
    match layer:
        case Gather(_, count):
            return (*shape[:-1], count)
        case _:  # Scale
            return shape


def gather(x: Batch, indices: Int[np.ndarray, " count"]) -> Batch:
    """The nodes or channels with these indices, in this order."""
    return x[..., indices]


def gather_gradient(x: Batch, indices: Int[np.ndarray, " count"], gradient: Batch) -> Batch:
    """∂L/∂x = ∂L/∂y at the nodes that were taken, added up where one was taken twice, and 0 at every other node."""
    x_gradient = np.zeros(x.shape)
    for place, index in enumerate(indices):
        x_gradient[..., index] += gradient[..., place]
    return x_gradient
