"""Layers as data: the shape that comes out of each, what each refuses, the order in which they are visited."""

import math
import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._networks.layers import LAYERS, output_shape, run_shape, walk
from weedout_core._networks.mask_shapes import mask_shape

IMAGE = (6, 9, 5)


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (wc.nn.Dense("a", 7), (3,), (7,)),
        (wc.nn.Conv("a", 7), IMAGE, (6, 9, 7)),
        (wc.nn.Conv("a", 7, kernel_size=1), IMAGE, (6, 9, 7)),
        (wc.nn.Conv("a", 7, kernel_size=5), IMAGE, (6, 9, 7)),
        (wc.nn.Conv("a", 7, stride=2), IMAGE, (3, 5, 7)),
        (wc.nn.Conv("a", 7, kernel_size=1, stride=2), IMAGE, (3, 5, 7)),
        (wc.nn.Conv("a", 7, stride=4), IMAGE, (2, 3, 7)),
        (wc.nn.Conv("a", 7, kernel_size=5, stride=20), IMAGE, (1, 1, 7)),
        (wc.nn.BatchNorm("a"), IMAGE, IMAGE),
        (wc.nn.BatchNorm("a"), (4,), (4,)),
        (wc.nn.Relu(), IMAGE, IMAGE),
        (wc.nn.Mask("a"), IMAGE, IMAGE),
        (wc.nn.Mask("a", granularity="channel"), IMAGE, IMAGE),
        (wc.nn.Flatten(), IMAGE, (270,)),
        (wc.nn.Flatten(), (4,), (4,)),
        (wc.nn.MaxPool(), (6, 4, 5), (3, 2, 5)),
        (wc.nn.MaxPool(3), IMAGE, (2, 3, 5)),
        (wc.nn.MaxPool(1), IMAGE, IMAGE),
        (wc.nn.GlobalAveragePool(), IMAGE, (5,)),
        (wc.nn.Gather("a", 2), IMAGE, (6, 9, 2)),
        (wc.nn.Gather("a", 7), (4,), (7,)),
        (wc.nn.Scale(2.5), IMAGE, IMAGE),
        (wc.nn.Residual((wc.nn.Conv("a", 5), wc.nn.Relu())), IMAGE, IMAGE),
        (wc.nn.Residual((wc.nn.Dense("a", 3),), (wc.nn.Dense("b", 3),)), (4,), (3,)),
        (
            wc.nn.Residual((wc.nn.Conv("a", 2, stride=2),), (wc.nn.Conv("b", 2, kernel_size=1, stride=2),)),
            IMAGE,
            (3, 5, 2),
        ),
        (wc.nn.Residual(()), IMAGE, IMAGE),
    ],
    ids=repr,
)
def test_the_shape_that_comes_out(layer: wc.nn.Layer, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    assert output_shape(layer, before) == after


@given(st.integers(1, 40), st.integers(1, 9), st.sampled_from([1, 3, 5, 7]))
def test_a_convolution_has_as_many_outputs_as_windows_fit_the_padded_image(size: int, stride: int, window: int) -> None:
    """Of ``size + window − 1`` pixels, padding included, windows begin at 0, stride, 2·stride, …"""
    starts = range(0, size + (window - 1) - window + 1, stride)
    found = output_shape(wc.nn.Conv("a", 1, window, stride), (size, 1, 3))
    assert found == (len(starts), 1, 1)


@pytest.mark.parametrize(
    ("layer", "before", "message"),
    [
        (wc.nn.Dense("a", 2), (2, 2), "Dense layer 'a' needs a flat input; got shape (2, 2). Put a Flatten before it."),
        (wc.nn.Conv("c", 2), (9,), "Conv layer 'c' needs an input (height, width, channels); got shape (9,)."),
        (wc.nn.Conv("c", 2), (3, 3), "Conv layer 'c' needs an input (height, width, channels); got shape (3, 3)."),
        (wc.nn.MaxPool(), (4,), "MaxPool needs an input (height, width, channels); got shape (4,)."),
        (wc.nn.MaxPool(), (4, 5, 1), "the window of a MaxPool must divide its input (4, 5, 1); got 2."),
        (wc.nn.MaxPool(), (5, 4, 1), "the window of a MaxPool must divide its input (5, 4, 1); got 2."),
        (
            wc.nn.GlobalAveragePool(),
            (4,),
            "GlobalAveragePool needs an input (height, width, channels); got shape (4,).",
        ),
        (
            wc.nn.Residual((wc.nn.Dense("a", 2),)),
            (3,),
            "the branches of a Residual must have outputs of one shape; got (2,) and (3,).",
        ),
        (
            wc.nn.Residual((wc.nn.Conv("a", 5),), (wc.nn.Conv("b", 5, stride=2),)),
            IMAGE,
            "the branches of a Residual must have outputs of one shape; got (6, 9, 5) and (3, 5, 5).",
        ),
    ],
)
def test_a_layer_that_cannot_be_applied(layer: wc.nn.Layer, before: tuple[int, ...], message: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=f"^{re.escape(message)}$"):
        output_shape(layer, before)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("layer", "fields", "message"),
    [
        (wc.nn.Dense, ("a", 0), "units of Dense must be an integer of at least 1; got 0."),
        (wc.nn.Dense, ("a", True), "units of Dense must be an integer of at least 1; got True."),
        (wc.nn.Conv, ("c", 0), "features of Conv must be an integer of at least 1; got 0."),
        (wc.nn.Conv, ("c", 2, 3, 0), "stride of Conv must be an integer of at least 1; got 0."),
        (wc.nn.Conv, ("c", 2, 2), "kernel_size of Conv must be an odd number of at least 1; got 2."),
        (wc.nn.Conv, ("c", 2, -1), "kernel_size of Conv must be an odd number of at least 1; got -1."),
        (wc.nn.MaxPool, (0,), "window of MaxPool must be an integer of at least 1; got 0."),
        (wc.nn.Gather, ("g", 0), "count of Gather must be an integer of at least 1; got 0."),
        (wc.nn.BatchNorm, ("n", 1.0), "momentum of BatchNorm must be a finite number in [0, 1); got 1.0."),
        (wc.nn.BatchNorm, ("n", -0.1), "momentum of BatchNorm must be a finite number in [0, 1); got -0.1."),
        (wc.nn.BatchNorm, ("n", 0.9, 0.0), "epsilon of BatchNorm must be a finite number above 0; got 0.0."),
        (wc.nn.BatchNorm, ("n", 0.9, math.nan), "epsilon of BatchNorm must be a finite number above 0; got nan."),
        (
            wc.nn.Mask,
            ("m", False, "connection"),
            "granularity of Mask must be one of 'node', 'channel'; got 'connection'.",
        ),
    ],
)
def test_a_layer_that_cannot_be_made(layer: Callable[..., wc.nn.Layer], fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=f"^{re.escape(message)}$"):
        layer(*fields)


def test_one_layer_after_the_other() -> None:
    assert run_shape((), IMAGE) == IMAGE, "no layers change nothing"
    layers = (wc.nn.Conv("a", 4, stride=3), wc.nn.MaxPool(1), wc.nn.Flatten(), wc.nn.Dense("b", 2))
    assert run_shape(layers, IMAGE) == (2,)
    assert run_shape(layers[:3], IMAGE) == (2 * 3 * 4,)


def test_a_mask_covers_the_activation_or_its_channels() -> None:
    assert mask_shape(wc.nn.Mask("m"), IMAGE) == IMAGE
    assert mask_shape(wc.nn.Mask("m", granularity="channel"), IMAGE) == (5,)
    assert mask_shape(wc.nn.Mask("m", granularity="channel"), (7,)) == (7,), "a node of a flat activation is a channel"


def test_layers_are_visited_depth_first_each_with_the_shape_of_its_input() -> None:
    inner = wc.nn.Residual((wc.nn.Relu(),))
    main, shortcut = (wc.nn.Conv("a", 4, stride=2), inner), (wc.nn.MaxPool(), wc.nn.Conv("b", 4, kernel_size=1))
    outer = wc.nn.Residual(main, shortcut)
    found = list(walk((wc.nn.Conv("first", 3), outer, wc.nn.GlobalAveragePool()), (4, 6, 2)))
    assert found == [
        (wc.nn.Conv("first", 3), (4, 6, 2)),
        (outer, (4, 6, 3)),  # a residual comes before its layers, …
        (main[0], (4, 6, 3)),
        (inner, (2, 3, 4)),
        (wc.nn.Relu(), (2, 3, 4)),
        (shortcut[0], (4, 6, 3)),  # … and both branches begin with its input
        (shortcut[1], (2, 3, 3)),
        (wc.nn.GlobalAveragePool(), (2, 3, 4)),
    ]


def test_every_kind_of_layer_has_its_own_name_in_json() -> None:
    assert set(LAYERS.values()) == set(get_args(wc.nn.Layer))
    assert all(kind.__name__ == name for name, kind in LAYERS.items())
