"""The shapes of what is masked: weights, and activations or their channels."""

from weedout_core._networks.layers import Conv, Dense, Mask, Shape


def kernel_shape(layer: Dense | Conv, shape: Shape) -> Shape:
    """The shape of a layer's weights W for an input of this shape."""
    match layer:
        case Dense(_, units):
            return (shape[0], units)
        case Conv(_, features, window):
            return (window, window, shape[-1], features)


def mask_shape(mask: Mask, shape: Shape) -> Shape:
    """The shape of a mask for an activation of this shape: all of it, or its channels alone."""
    return shape if mask.granularity == "node" else shape[-1:]
