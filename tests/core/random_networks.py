"""Any network, every kind of layer in it: a strategy of Hypothesis for properties of the core."""

from itertools import count
from typing import Any

from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._layers import run_shape

Shape = tuple[int, ...]


@st.composite
def networks(draw: Any) -> wc.Network:
    """Convolutions, pooling, residuals within residuals, then dense layers; masks of both kinds anywhere."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
    names = (f"layer_{number}" for number in count())
    image = draw(_branch(shape, names, depth=2))
    flat = draw(st.sampled_from([wc.Flatten(), wc.GlobalAveragePool()]))
    head: list[wc.Layer] = []
    for units in draw(st.lists(st.integers(1, 4), max_size=2)):
        head += [wc.Dense(next(names), units), wc.Relu(), wc.Mask(next(names), draw(st.booleans()))]
    return wc.Network((*image, flat, *head, wc.Dense("logits", draw(st.integers(2, 4)))), shape)


@st.composite
def _branch(draw: Any, shape: Shape, names: Any, depth: int) -> tuple[wc.Layer, ...]:
    """Zero to three layers for images."""
    layers: list[wc.Layer] = []
    for _ in range(draw(st.integers(0, 3))):
        layers.append(draw(_image_layer(run_shape(layers, shape), names, depth)))
    return tuple(layers)


@st.composite
def _image_layer(draw: Any, shape: Shape, names: Any, depth: int) -> wc.Layer:
    kind = draw(st.sampled_from(["conv", "norm", "relu", "mask", "pool"] + ["residual"] * (depth > 0)))
    match kind:
        case "conv":
            window, stride = draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 2]))
            return wc.Conv(next(names), draw(st.integers(1, 3)), window, stride)
        case "norm":
            return wc.BatchNorm(next(names), draw(st.sampled_from([0.0, 0.9])), draw(st.sampled_from([1e-5, 0.1])))
        case "mask":
            return wc.Mask(next(names), draw(st.booleans()), draw(st.sampled_from(["node", "channel"])))
        case "pool":
            return wc.MaxPool(2 if shape[0] % 2 == shape[1] % 2 == 0 else 1)
        case "residual":
            main = draw(_branch(shape, names, depth - 1))
            return wc.Residual(main, _shortcut(shape, run_shape(main, shape), names))
        case _:
            return wc.Relu()


def _shortcut(before: Shape, after: Shape, names: Any) -> tuple[wc.Layer, ...]:
    """The identity where it fits, else a convolution with the stride that makes it fit."""
    if before == after:
        return ()
    strides = (stride for stride in range(1, 9) if -(-before[0] // stride) == after[0])
    stride = next(stride for stride in strides if -(-before[1] // stride) == after[1])
    return (wc.Conv(next(names), after[2], 1, stride),)
