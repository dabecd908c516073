"""Networks as data: shapes, sites, initial weights, JSON."""

import json
import math
import zlib
from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import weedout_core as wc
from weedout_core._networks import weight_layers

MLP = wc.mlp(inputs=6, hidden=(4, 3), classes=2)
NETWORKS = st.builds(
    wc.mlp,
    inputs=st.integers(1, 9),
    hidden=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    classes=st.integers(2, 5),
    rescale=st.booleans(),
)
#: An image network whose first layer is masked on both sides, and one Dense with no mask behind it.
IMAGES = wc.Network(
    (
        wc.Mask("pixels"),
        wc.Flatten(),
        wc.Dense("first", 5),
        wc.Relu(),
        wc.Mask("hidden"),
        wc.Dense("second", 3),
        wc.Relu(),
        wc.Dense("logits", 2),
    ),
    (2, 3, 1),
)


def test_an_mlp_is_dense_relu_mask_again_and_again() -> None:
    assert MLP.layers == (
        wc.Dense("dense_0", 4),
        wc.Relu(),
        wc.Mask("hidden_0"),
        wc.Dense("dense_1", 3),
        wc.Relu(),
        wc.Mask("hidden_1"),
        wc.Dense("logits", 2),
    ), "masks sit after the ReLU, before the next weights; the logits are never masked"
    assert (MLP.input_shape, MLP.output_shape, MLP.classes) == ((6,), (2,), 2)
    assert wc.mlp(6, (4,), 2, rescale=True).layers[2] == wc.Mask("hidden_0", rescale=True)


def test_shapes_of_an_mlp() -> None:
    assert wc.mask_space(MLP) == {"hidden_0": (4,), "hidden_1": (3,)}
    assert wc.parameter_shapes(MLP) == {
        "dense_0/kernel": (6, 4),
        "dense_0/bias": (4,),
        "dense_1/kernel": (4, 3),
        "dense_1/bias": (3,),
        "logits/kernel": (3, 2),
        "logits/bias": (2,),
    }


def test_shapes_of_an_image_network() -> None:
    assert wc.mask_space(IMAGES) == {"pixels": (2, 3, 1), "hidden": (5,)}
    assert wc.parameter_shapes(IMAGES)["first/kernel"] == (6, 5)


def test_a_network_without_hidden_layers_has_no_sites() -> None:
    assert wc.mask_space(wc.mlp(3, (), 2)) == {}


@given(NETWORKS)
def test_json_gives_back_the_same_network(net: wc.Network) -> None:
    text = wc.network_to_json(net)
    assert wc.network_from_json(text) == net
    assert hash(wc.network_from_json(text)) == hash(net)


def test_the_json_of_an_image_network() -> None:
    text = wc.network_to_json(IMAGES)
    assert wc.network_from_json(text) == IMAGES
    data = json.loads(text)
    assert data["input_shape"] == [2, 3, 1]
    assert data["layers"][0] == {"layer": "Mask", "site": "pixels", "rescale": False}
    assert data["layers"][2] == {"layer": "Dense", "name": "first", "units": 5}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"layers": [], "input_shape": 3}',
        '{"layers": [{"layer": "Convolution"}], "input_shape": [3]}',
        '{"layers": [{"units": 3}], "input_shape": [3]}',
        '{"layers": [{"layer": "Dense", "name": "a"}], "input_shape": [3]}',
        '{"layers": [{"layer": "Relu", "extra": 1}], "input_shape": [3]}',
        '{"layers": [3], "input_shape": [3]}',
        '{"layers": [{"layer": "Dense", "name": "a", "units": "3"}], "input_shape": [3]}',
    ],
)
def test_text_that_is_no_network_is_an_error(text: str) -> None:
    with pytest.raises(wc.ConfigError, match="not a network written by network_to_json: "):
        wc.network_from_json(text)


def test_json_of_a_network_that_does_not_fit_together_keeps_its_own_error() -> None:
    with pytest.raises(wc.ConfigError, match="a network must end in a Dense layer"):
        wc.network_from_json('{"layers": [], "input_shape": [3]}')


@pytest.mark.parametrize(
    ("layers", "input_shape", "message"),
    [
        ((wc.Dense("a", 1),), (3,), r"a network must end in at least two logits; its output shape is \(1,\)\."),
        ((wc.Relu(),), (2, 2), r"a network must end in at least two logits; its output shape is \(2, 2\)\."),
        ((), (3,), r"a network must end in a Dense layer: the logits are never masked\."),
        ((wc.Dense("a", 3), wc.Mask("m")), (3,), r"a network must end in a Dense layer: the logits are never masked\."),
        (
            (wc.Dense("a", 2),),
            (2, 2),
            r"Dense layer 'a' needs a flat input; got shape \(2, 2\)\. Put a Flatten before it\.",
        ),
        (
            (wc.Dense("a", 0), wc.Dense("b", 2)),
            (3,),
            r"Dense layer 'a' must have at least one unit; got 0\.",
        ),
        (
            (wc.Dense("a", 2), wc.Dense("a", 2)),
            (3,),
            r"two layers are named 'a'; each needs its own name\.",
        ),
        (
            (wc.Mask("plumless"), wc.Mask("buckeroo"), wc.Dense("a", 2)),
            (3,),
            r"'plumless' and 'buckeroo' have the same CRC-32 and would share draws\. Rename one\.",
        ),
    ],
)
def test_layers_that_do_not_fit_together_are_an_error(
    layers: tuple[Any, ...], input_shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(wc.ConfigError, match=message):
        wc.Network(layers, input_shape)


def test_two_masks_of_one_name_are_an_error() -> None:
    with pytest.raises(wc.ConfigError, match="'m' and 'm' have the same CRC-32"):
        wc.Network((wc.Mask("m"), wc.Mask("m"), wc.Dense("a", 2)), (3,))


def test_an_mlp_needs_inputs_and_units() -> None:
    with pytest.raises(wc.ConfigError, match=r"inputs must be at least 1; got 0\."):
        wc.mlp(0, (3,), 2)
    with pytest.raises(wc.ConfigError, match=r"Dense layer 'dense_1' must have at least one unit; got 0\."):
        wc.mlp(3, (3, 0), 2)


def test_networks_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        MLP.input_shape = (3,)  # pyright: ignore[reportAttributeAccessIssue]


def test_weight_layers_know_the_masks_beside_them() -> None:
    found = [
        (layer.name, layer.inputs, layer.outputs, layer.site_before, layer.site_after) for layer in weight_layers(MLP)
    ]
    assert found == [
        ("dense_0", 6, 4, None, "hidden_0"),
        ("dense_1", 4, 3, "hidden_0", "hidden_1"),
        ("logits", 3, 2, "hidden_1", None),
    ]
    found = [(layer.name, layer.site_before, layer.site_after) for layer in weight_layers(IMAGES)]
    assert found == [("first", "pixels", "hidden"), ("second", "hidden", None), ("logits", None, None)]


def stds(specs: tuple[wc.ParameterSpec, ...]) -> dict[str, float]:
    return {spec.path: spec.std for spec in specs if spec.std}


def test_he_normal_counts_the_inputs() -> None:
    expected = {"dense_0/kernel": 6, "dense_1/kernel": 4, "logits/kernel": 3}
    assert stds(wc.he_normal(MLP)) == {path: math.sqrt(2 / fan) for path, fan in expected.items()}


def test_he_normal_may_count_the_outputs() -> None:
    expected = {"dense_0/kernel": 4, "dense_1/kernel": 3, "logits/kernel": 2}
    assert stds(wc.he_normal(MLP, "fan_out")) == {path: math.sqrt(2 / fan) for path, fan in expected.items()}


def test_he_normal_may_count_what_is_kept() -> None:
    kept = {"hidden_0": 2, "hidden_1": 1}
    inputs = {"dense_0/kernel": 6, "dense_1/kernel": 2, "logits/kernel": 1}
    assert stds(wc.he_normal(MLP, kept=kept)) == {path: math.sqrt(2 / fan) for path, fan in inputs.items()}
    outputs = {"dense_0/kernel": 2, "dense_1/kernel": 1, "logits/kernel": 2}
    assert stds(wc.he_normal(MLP, "fan_out", kept)) == {path: math.sqrt(2 / fan) for path, fan in outputs.items()}


@given(NETWORKS)
def test_he_normal_covers_every_parameter_with_its_own_stream(net: wc.Network) -> None:
    specs = wc.he_normal(net)
    assert {spec.path: spec.shape for spec in specs} == wc.parameter_shapes(net)
    for spec in specs:
        assert spec.code == zlib.crc32(spec.path.encode())
        assert (spec.std == 0) == spec.path.endswith("/bias"), "biases start at zero, kernels do not"


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_fan_is_an_error() -> None:
    with pytest.raises(wc.ConfigError, match='fan must be "fan_in" or "fan_out"; got \'both\''):
        wc.he_normal(MLP, "both")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("shape", [(), (0,), (3, -1), ("x",), (True,)])
def test_an_input_shape_must_be_positive_integers(shape: tuple[object, ...], unchecked: None) -> None:
    with pytest.raises(wc.ConfigError, match="input_shape must be one or more positive integers"):
        wc.Network((wc.Dense("logits", 2),), cast(Any, shape))
