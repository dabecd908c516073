"""Shapes: what goes into each layer of a network, and what comes out. An image is ``(height, width, channels)``.

A network is a tuple of layers, run one after the other (:class:`weedout_core.Network`); a layer is a small record such
as ``Dense(name, units)``. ``Residual`` is a layer that holds two tuples of layers, its branches, so that going through
all layers means going through these too. A mask is a layer too: ``Mask(site)`` multiplies what comes to it by the mask
of that name. The records, with the fields that are used here:

* ``Dense(name, units)``; ``Conv(name, features, kernel_size, stride)``, whose window is odd and which has no bias;
* ``BatchNorm(name, momentum, epsilon)``; ``Relu()``; ``Flatten()``; ``GlobalAveragePool()``;
* ``MaxPool(window)``, where height and width are multiples of the window;
* ``Mask(site, rescale, granularity)``; ``Residual(main, shortcut)``.

A ``Dense`` or ``Conv`` with ``connections`` has a mask too, of its single weights, under the name "name/kernel".

``Gather`` and ``Scale`` occur only in a network whose removed nodes have been taken out (see ``compacted``). The paper
has no such network: skip these lines on a first reading.
"""

import math
from collections.abc import Iterator, Sequence

from weedout_core import Network
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
)
from weedout_numpy import compacted

Shape = tuple[int, ...]


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape of a layer's output, for one example whose input has this shape."""
    match layer:
        case Dense(_, units):
            return (units,)
        case Conv(_, features, _, stride):
            height, width, _ = shape
            return (math.ceil(height / stride), math.ceil(width / stride), features)
        case MaxPool(window):
            height, width, channels = shape
            return (height // window, width // window, channels)
        case GlobalAveragePool():
            return shape[2:]
        case Flatten():
            return (math.prod(shape),)
        case Residual(main):
            for inner in main:
                shape = output_shape(inner, shape)
            return shape
        case BatchNorm() | Relu() | Mask():
            return shape
        case _:  # Gather and Scale
            return compacted.output_shape(layer, shape)


def layer_inputs(layers: Sequence[Layer], shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Each layer, with the shape of what goes into it for one example; those of a residual's branches come after it."""
    for layer in layers:
        yield layer, shape
        if isinstance(layer, Residual):
            yield from layer_inputs(layer.main, shape)
            yield from layer_inputs(layer.shortcut, shape)
        shape = output_shape(layer, shape)


def mask_space(net: Network) -> dict[str, Shape]:
    """The shape of the mask at each site: {site: shape}. It has one entry for each node, channel or weight."""
    space: dict[str, Shape] = {}
    for layer, shape in layer_inputs(net.layers, net.input_shape):
        if isinstance(layer, Mask):
            space[layer.site] = shape[-1:] if layer.granularity == "channel" else shape
        elif isinstance(layer, Dense | Conv) and layer.connections:
            space[f"{layer.name}/kernel"] = kernel_shape(layer, shape)
    return space


def kernel_shape(layer: Dense | Conv, shape: Shape) -> Shape:
    """The shape of a layer's W, for an input of this shape."""
    match layer:
        case Dense(_, units):
            return (*shape, units)
        case Conv(_, features, window):
            return (window, window, shape[-1], features)
