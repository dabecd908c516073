"""Any network, every kind of layer in it: a strategy of Hypothesis for properties of the core."""

from itertools import count
from typing import Any

from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._networks.layers import run_shape

Shape = tuple[int, ...]


@st.composite
def networks(draw: Any) -> wc.Network:
    """Convolutions, pooling, residuals within residuals, then dense layers; masks of all kinds anywhere."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
    names = (f"layer_{number}" for number in count())
    image = draw(_branch(shape, names, depth=2))
    flat = draw(st.sampled_from([wc.nn.Flatten(), wc.nn.GlobalAveragePool()]))
    head: list[wc.nn.Layer] = []
    for units in draw(st.lists(st.integers(1, 4), max_size=2)):
        head += [
            wc.nn.Dense(next(names), units, draw(st.booleans())),
            wc.nn.Relu(),
            wc.nn.Mask(next(names), draw(st.booleans())),
        ]
    return wc.Network((*image, flat, *head, wc.nn.Dense("logits", draw(st.integers(2, 4)))), shape)


@st.composite
def _branch(draw: Any, shape: Shape, names: Any, depth: int) -> tuple[wc.nn.Layer, ...]:
    """Zero to three layers for images."""
    layers: list[wc.nn.Layer] = []
    for _ in range(draw(st.integers(0, 3))):
        layers.append(draw(_image_layer(run_shape(layers, shape), names, depth)))
    return tuple(layers)


@st.composite
def _image_layer(draw: Any, shape: Shape, names: Any, depth: int) -> wc.nn.Layer:
    kind = draw(st.sampled_from(["conv", "norm", "relu", "mask", "pool"] + ["residual"] * (depth > 0)))
    match kind:
        case "conv":
            window, stride = draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 2]))
            return wc.nn.Conv(next(names), draw(st.integers(1, 3)), window, stride, draw(st.booleans()))
        case "norm":
            return wc.nn.BatchNorm(next(names), draw(st.sampled_from([0.0, 0.9])), draw(st.sampled_from([1e-5, 0.1])))
        case "mask":
            return wc.nn.Mask(next(names), draw(st.booleans()), draw(st.sampled_from(["node", "channel"])))
        case "pool":
            return wc.nn.MaxPool(2 if shape[0] % 2 == shape[1] % 2 == 0 else 1)
        case "residual":
            main = draw(_branch(shape, names, depth - 1))
            return wc.nn.Residual(main, _shortcut(shape, run_shape(main, shape), names))
        case _:
            return wc.nn.Relu()


def _shortcut(before: Shape, after: Shape, names: Any) -> tuple[wc.nn.Layer, ...]:
    """The identity where it fits, else a convolution with the stride that makes it fit."""
    if before == after:
        return ()
    strides = (stride for stride in range(1, 9) if -(-before[0] // stride) == after[0])
    stride = next(stride for stride in strides if -(-before[1] // stride) == after[1])
    return (wc.nn.Conv(next(names), after[2], 1, stride),)


@st.composite
def masked_networks(draw: Any) -> wc.Network:
    """Weights, some masked, with masks on much of what lies between them, and residuals: what becomes smaller."""
    shape = draw(st.sampled_from([(7,), (2, 2, 7), (2, 4, 3)]))
    names = (f"layer_{number}" for number in count())
    body = draw(_masked_branch(shape, names, depth=2))
    flat = [] if len(shape) == 1 else [draw(st.sampled_from([wc.nn.Flatten(), wc.nn.GlobalAveragePool()]))]
    last = [wc.nn.Mask(next(names), draw(st.booleans()))] if draw(st.booleans()) else []
    return wc.Network((*body, *flat, *last, wc.nn.Dense("logits", 3)), shape)


@st.composite
def _masked_branch(draw: Any, shape: Shape, names: Any, depth: int) -> tuple[wc.nn.Layer, ...]:
    """One to three turns of weights or a residual, a norm, a ReLU and a mask, any of which may be missing."""
    layers: list[wc.nn.Layer] = []
    for _ in range(draw(st.integers(1, 3))):
        kinds = st.sampled_from(["nothing", "weights"] + ["residual"] * 2 * (depth > 0))
        match draw(kinds):
            case "weights":
                layers.append(draw(_weights(shape, names, st.sampled_from([3, 7]))))
            case "residual":
                layers.append(draw(_masked_residual(run_shape(layers, shape), names, depth - 1)))
            case _:
                pass
        if draw(st.booleans()):
            layers.append(wc.nn.BatchNorm(next(names), epsilon=0.1))
        if draw(st.booleans()):
            layers.append(wc.nn.Relu())
        if draw(st.integers(0, 3)):
            layers.append(
                wc.nn.Mask(next(names), draw(st.booleans()), "channel" if draw(st.integers(0, 4)) else "node")
            )
    return tuple(layers)


@st.composite
def _masked_residual(draw: Any, shape: Shape, names: Any, depth: int) -> wc.nn.Layer:
    """The main branch may begin with a mask; the shortcut is the input itself, a branch, or weights that fit."""
    main = draw(_masked_branch(shape, names, depth))
    if draw(st.booleans()):
        main = (
            wc.nn.Relu(),
            wc.nn.Mask(next(names), True, "channel"),
            draw(_weights(shape, names, st.just(shape[-1]))),
            *main,
        )
    if draw(st.booleans()):
        main = (*main, draw(_weights(shape, names, st.just(shape[-1]))))
    after = run_shape(main, shape)[-1]
    if after == shape[-1] and draw(st.booleans()):
        return wc.nn.Residual(main)
    shortcut = draw(_masked_branch(shape, names, depth)) if draw(st.booleans()) else ()
    return wc.nn.Residual(main, (*shortcut, draw(_weights(shape, names, st.just(after)))))


@st.composite
def _weights(draw: Any, shape: Shape, names: Any, units: Any) -> wc.nn.Layer:
    """A dense layer where activations are flat, else a convolution that keeps height and width."""
    if len(shape) == 1:
        return wc.nn.Dense(next(names), draw(units), draw(st.booleans()))
    return wc.nn.Conv(next(names), draw(units), draw(st.sampled_from([1, 3])), connections=draw(st.booleans()))
