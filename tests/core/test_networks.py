"""Networks as data: shapes, sites, JSON, and the trees that belong to them."""

import json
import re
from dataclasses import FrozenInstanceError, asdict, fields, replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given

import weedout_core as wc
from tests.core.random_networks import networks
from weedout_core._networks.layers import OWN_LAYERS, walk
from weedout_core._networks.trees import checked_parameters, checked_statistics

MLP = wc.mlp(inputs=6, hidden=(4, 3), classes=2)
#: An image network whose first layer is masked on both sides, and one Dense with no mask behind it.
IMAGES = wc.Network(
    (
        wc.nn.Mask("pixels"),
        wc.nn.Flatten(),
        wc.nn.Dense("first", 5),
        wc.nn.Relu(),
        wc.nn.Mask("hidden"),
        wc.nn.Dense("second", 3),
        wc.nn.Relu(),
        wc.nn.Dense("logits", 2),
    ),
    (2, 3, 1),
)
#: Every kind of layer, with no field at its default.
EVERY_KIND = wc.Network(
    (
        wc.nn.Conv("conv", 4, kernel_size=5, stride=2),
        wc.nn.BatchNorm("norm", momentum=0.8, epsilon=1e-3),
        wc.nn.Relu(),
        wc.nn.Mask("image", rescale=True, granularity="channel"),
        wc.nn.MaxPool(3),
        wc.nn.Residual(
            (wc.nn.Residual((wc.nn.BatchNorm("inner"), wc.nn.Mask("branch"))), wc.nn.Conv("main", 2)),
            (wc.nn.Conv("shortcut", 2, kernel_size=1),),
        ),
        wc.nn.Residual((wc.nn.GlobalAveragePool(),), (wc.nn.GlobalAveragePool(),)),
        wc.nn.Flatten(),
        wc.nn.Gather("some", 2),
        wc.nn.Scale(1.5),
        wc.nn.Dense("logits", 3),
    ),
    (11, 12, 3),
)


def test_shapes_of_an_mlp() -> None:
    assert wc.mask_space(MLP) == {"hidden_0": (4,), "hidden_1": (3,)}
    assert wc.nn.parameter_shapes(MLP) == {
        "dense_0/kernel": (6, 4),
        "dense_0/bias": (4,),
        "dense_1/kernel": (4, 3),
        "dense_1/bias": (3,),
        "logits/kernel": (3, 2),
        "logits/bias": (2,),
    }


def test_shapes_of_an_image_network() -> None:
    assert wc.mask_space(IMAGES) == {"pixels": (2, 3, 1), "hidden": (5,)}
    assert wc.nn.parameter_shapes(IMAGES)["first/kernel"] == (6, 5)


def test_shapes_of_every_kind_of_layer() -> None:
    assert wc.nn.activation_shapes(EVERY_KIND) == (
        (11, 12, 3),
        *[(6, 6, 4)] * 4,  # a convolution of stride 2, its norm, ReLU and mask
        (2, 2, 4),
        (2, 2, 2),  # a residual comes before the layers of its branches:
        *[(2, 2, 4)] * 3,
        *[(2, 2, 2)] * 2,
        *[(2,)] * 3,
        (2,),
        *[(2,)] * 2,  # two nodes gathered, and scaled
        (3,),
    )
    assert wc.mask_space(EVERY_KIND) == {"image": (4,), "branch": (2, 2, 4)}
    assert wc.nn.parameter_shapes(EVERY_KIND) == {
        "conv/kernel": (5, 5, 3, 4),
        "norm/scale": (4,),
        "norm/bias": (4,),
        "inner/scale": (4,),
        "inner/bias": (4,),
        "main/kernel": (3, 3, 4, 2),
        "shortcut/kernel": (1, 1, 4, 2),
        "logits/kernel": (2, 3),
        "logits/bias": (3,),
    }, "a convolution has no bias"
    assert EVERY_KIND.classes == 3


def test_shapes_of_a_small_wide_resnet() -> None:
    net = wc.wide_resnet(10, 1, 5, (8, 8, 3))
    shapes = wc.nn.parameter_shapes(net)
    assert list(shapes)[:6] == [
        "conv/kernel",
        "group_0/block_0/norm_0/scale",
        "group_0/block_0/norm_0/bias",
        "group_0/block_0/conv_0/kernel",
        "group_0/block_0/norm_1/scale",
        "group_0/block_0/norm_1/bias",
    ], "in the order of the layers"
    assert shapes["group_1/block_0/conv_0/kernel"] == (3, 3, 16, 32)
    assert shapes["group_1/block_0/conv_1/kernel"] == (3, 3, 32, 32)
    assert shapes["group_1/block_0/shortcut/kernel"] == (1, 1, 16, 32)
    assert shapes["norm/scale"] == (64,)
    assert (shapes["logits/kernel"], shapes["logits/bias"]) == ((64, 5), (5,))
    found = wc.nn.activation_shapes(net)
    assert found[:2] == ((8, 8, 3), (8, 8, 16))
    assert found[-5:] == (*[(2, 2, 64)] * 2, *[(64,)] * 2, (5,)), "two halvings, then the mean of each channel"


def test_shapes_of_a_small_vgg() -> None:
    net = wc.vgg(2, 5, (8, 4, 3))
    assert wc.nn.parameter_shapes(net) == {
        "conv_0/kernel": (3, 3, 3, 2),
        "norm_0/scale": (2,),
        "norm_0/bias": (2,),
        "conv_1/kernel": (3, 3, 2, 4),
        "norm_1/scale": (4,),
        "norm_1/bias": (4,),
        "logits/kernel": (2 * 1 * 4, 5),
        "logits/bias": (5,),
    }
    assert wc.nn.activation_shapes(net) == (
        (8, 4, 3),
        *[(8, 4, 2)] * 4,
        *[(4, 2, 2)],
        *[(4, 2, 4)] * 4,
        (2, 1, 4),
        (8,),
        (5,),
    )


def test_running_statistics_begin_at_mean_0_and_variance_1() -> None:
    found = wc.nn.initial_statistics(EVERY_KIND)
    assert list(found) == ["norm/mean", "norm/variance", "inner/mean", "inner/variance"]
    for path, value in found.items():
        assert (value.shape, value.dtype) == ((4,), np.float32), f"{path}: one number a channel"
        np.testing.assert_array_equal(value, path.endswith("/variance"))
    assert wc.nn.initial_statistics(MLP) == {}
    net = wc.wide_resnet(10, 1, 5)
    norms = {
        path.removesuffix("/scale"): shape for path, shape in wc.nn.parameter_shapes(net).items() if "scale" in path
    }
    found = {path: value.shape for path, value in wc.nn.initial_statistics(net).items()}
    assert found == {f"{name}/{moment}": shape for name, shape in norms.items() for moment in ("mean", "variance")}


@given(networks())
def test_what_is_inferred_fits_together(net: wc.Network) -> None:
    shapes = wc.nn.activation_shapes(net)
    assert (shapes[0], shapes[-1]) == (net.input_shape, (net.classes,))
    names = [asdict(layer).get("name") for layer, _ in walk(net.layers, net.input_shape)]
    paths = [*wc.nn.parameter_shapes(net), *wc.nn.initial_statistics(net)]
    assert {path.rpartition("/")[0] for path in paths} == set(names) - {None}, "each named layer has parameters"
    arrays = wc.nn.parameter_shapes(net)
    for site, shape in wc.mask_space(net).items():
        assert shape == arrays[site] if site in arrays else shape in shapes or len(shape) == 1


def test_a_network_without_hidden_layers_has_no_sites() -> None:
    assert wc.mask_space(wc.mlp(3, (), 2)) == {}


@given(networks())
def test_json_gives_back_the_same_network(net: wc.Network) -> None:
    text = wc.nn.network_to_json(net)
    assert wc.nn.network_from_json(text) == net
    assert hash(wc.nn.network_from_json(text)) == hash(net)


def test_json_keeps_every_field_of_every_kind_of_layer() -> None:
    kinds = {type(layer) for layer, _ in walk(EVERY_KIND.layers, EVERY_KIND.input_shape)}
    assert kinds == set(OWN_LAYERS), "the network above has them all"
    assert wc.nn.network_from_json(wc.nn.network_to_json(EVERY_KIND)) == EVERY_KIND


@pytest.mark.parametrize("net", [wc.wide_resnet(16, 1, 10, mask_residual=True), wc.vgg(2, 10, hidden=(8,)), MLP])
def test_json_gives_back_the_architectures(net: wc.Network) -> None:
    assert wc.nn.network_from_json(wc.nn.network_to_json(net)) == net


def test_a_residual_in_json_holds_its_branches() -> None:
    data = json.loads(wc.nn.network_to_json(EVERY_KIND))
    residual = data["layers"][5]
    assert residual == {
        "layer": "Residual",
        "main": [
            {
                "layer": "Residual",
                "main": [
                    {"layer": "BatchNorm", "name": "inner", "momentum": 0.9, "epsilon": 1e-5},
                    {"layer": "Mask", "site": "branch", "rescale": False, "granularity": "node"},
                ],
                "shortcut": [],
            },
            {"layer": "Conv", "name": "main", "features": 2, "kernel_size": 3, "stride": 1, "connections": False},
        ],
        "shortcut": [
            {"layer": "Conv", "name": "shortcut", "features": 2, "kernel_size": 1, "stride": 1, "connections": False}
        ],
    }


def test_a_mask_of_json_without_a_granularity_is_one_of_nodes() -> None:
    text = wc.nn.network_to_json(IMAGES).replace(', "granularity": "node"', "")
    assert "granularity" not in text
    assert wc.nn.network_from_json(text) == IMAGES, "as they were written before there were others"


def test_the_json_of_an_image_network() -> None:
    text = wc.nn.network_to_json(IMAGES)
    assert wc.nn.network_from_json(text) == IMAGES
    data = json.loads(text)
    assert data["input_shape"] == [2, 3, 1]
    assert data["layers"][0] == {"layer": "Mask", "site": "pixels", "rescale": False, "granularity": "node"}
    assert data["layers"][2] == {"layer": "Dense", "name": "first", "units": 5, "connections": False}


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
        '{"layers": [{"layer": "Residual"}], "input_shape": [3]}',
        '{"layers": [{"layer": "Residual", "main": 3}], "input_shape": [3]}',
        '{"layers": [{"layer": "Residual", "main": {"layer": "Relu"}}], "input_shape": [3]}',
        '{"layers": [{"layer": "Residual", "main": [{"layer": "Rely"}]}], "input_shape": [3]}',
        '{"layers": [{"layer": "Residual", "main": [], "other": []}], "input_shape": [3]}',
        '{"layers": [{"layer": "BatchNorm", "name": "a", "momentum": "most"}], "input_shape": [3]}',
    ],
)
def test_text_that_is_no_network_is_an_error(text: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match="not a network written by network_to_json: "):
        wc.nn.network_from_json(text)


def test_json_of_a_network_that_does_not_fit_together_keeps_its_own_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match="a network must end in a Dense layer"):
        wc.nn.network_from_json('{"layers": [], "input_shape": [3]}')
    with pytest.raises(wc.errors.ConfigError, match="the branches of a Residual must have outputs of one shape"):
        wc.nn.network_from_json(
            wc.nn.network_to_json(EVERY_KIND).replace('"stride": 1, "connections": false}], ', '"stride": 2}], ')
        )


@pytest.mark.parametrize(
    ("layers", "input_shape", "message"),
    [
        ((wc.nn.Dense("a", 1),), (3,), r"a network must end in at least two logits; its output shape is \(1,\)\."),
        ((wc.nn.Relu(),), (2, 2), r"a network must end in at least two logits; its output shape is \(2, 2\)\."),
        ((), (3,), r"a network must end in a Dense layer: the logits are never masked\."),
        (
            (wc.nn.Dense("a", 3), wc.nn.Mask("m")),
            (3,),
            r"a network must end in a Dense layer: the logits are never masked\.",
        ),
        (
            (wc.nn.Dense("a", 2),),
            (2, 2),
            r"Dense layer 'a' needs a flat input; got shape \(2, 2\)\. Put a Flatten before it\.",
        ),
        (
            (wc.nn.Dense("a", 2), wc.nn.Dense("a", 2)),
            (3,),
            r"two layers are named 'a'; each needs its own name\.",
        ),
        (
            (wc.nn.Residual((wc.nn.Dense("a", 3),)), wc.nn.Dense("a", 2)),
            (3,),
            r"two layers are named 'a'; each needs its own name\.",
        ),
        (
            (wc.nn.BatchNorm("a"), wc.nn.Residual((wc.nn.BatchNorm("a"),)), wc.nn.Dense("b", 2)),
            (3,),
            r"two layers are named 'a'; each needs its own name\.",
        ),
        (
            (wc.nn.Residual((wc.nn.Mask("plumless"),)), wc.nn.Mask("buckeroo"), wc.nn.Dense("a", 2)),
            (3,),
            r"'plumless' and 'buckeroo' have the same CRC-32 and would share draws\. Rename one\.",
        ),
        (
            (wc.nn.Residual((wc.nn.Dense("a", 2),)),),
            (2,),
            r"a network must end in a Dense layer: the logits are never masked\.",
        ),
        (
            (wc.nn.Mask("plumless"), wc.nn.Mask("buckeroo"), wc.nn.Dense("a", 2)),
            (3,),
            r"'plumless' and 'buckeroo' have the same CRC-32 and would share draws\. Rename one\.",
        ),
    ],
)
def test_layers_that_do_not_fit_together_are_an_error(
    layers: tuple[Any, ...], input_shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.Network(layers, input_shape)


#: Every kind of layer that has a name, by what is handed in under it: parameters, or masks and indices.
NAMED: dict[str, list[Any]] = {
    "parameters": [wc.nn.Dense("a", 3), wc.nn.Conv("a", 3), wc.nn.BatchNorm("a")],
    "masks": [wc.nn.Mask("a"), wc.nn.Gather("a", 2), wc.nn.Gather("a", 1)],
}


def test_every_layer_with_a_name_is_here() -> None:
    named = {type(layer) for layers in NAMED.values() for layer in layers}
    assert named == {kind for kind in OWN_LAYERS if {"name", "site"} & {item.name for item in fields(kind)}}


#: Two of them in an order in which their shapes fit.
PAIRS = [
    (first, second)
    for layers in NAMED.values()
    for first in layers
    for second in layers
    if not (isinstance(first, wc.nn.Dense) and isinstance(second, wc.nn.Conv))
    and not (first == second and isinstance(first, wc.nn.Gather))
]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_layers_of_one_name_are_an_error(first: Any, second: Any, inside: bool) -> None:
    """Of any kinds, one after the other or one in a branch."""
    images = isinstance(first, wc.nn.Conv) or isinstance(second, wc.nn.Conv)
    other = replace(second, **({"site": "b"} if isinstance(second, wc.nn.Mask) else {"name": "b"}))
    flat = (wc.nn.Flatten(),) if isinstance(second, wc.nn.Dense) else ()
    later = wc.nn.Residual((second,), (other,)) if inside else second
    layers = (first, *flat, later, wc.nn.Flatten(), wc.nn.Dense("logits", 2))
    with pytest.raises(wc.errors.ConfigError, match=r"^two layers are named 'a'; each needs its own name\.$"):
        wc.Network(layers, (3, 3, 3) if images else (3,))


def test_gather_layers_of_one_name_share_their_indices() -> None:
    """As compaction leaves them in the branches of a residual."""
    both = wc.nn.Residual((wc.nn.Gather("a", 2),), (wc.nn.Gather("a", 2),))
    net = wc.Network((both, wc.nn.Dense("logits", 2)), (3,))
    with pytest.raises(wc.errors.ConfigError, match="two layers are named 'a'"):
        replace(net, layers=(both, wc.nn.Gather("a", 2), *net.layers[1:]))  # of two nodes, not of three


def test_networks_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        MLP.input_shape = (3,)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "input_shape must be a sequence of at least 1, each item an integer of at least 1; got ()."),
        ((0,), "input_shape[0] must be an integer of at least 1; got 0."),
        ((3, -1), "input_shape[1] must be an integer of at least 1; got -1."),
        (("x",), "input_shape[0] must be an integer of at least 1; got 'x'."),
        ((True,), "input_shape[0] must be an integer of at least 1; got True."),
    ],
)
def test_an_input_shape_must_be_positive_integers(shape: tuple[object, ...], message: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match=f"^{re.escape(message)}$"):
        wc.Network((wc.nn.Dense("logits", 2),), cast(Any, shape))


# Trees that belong to a network

PARAMS = {path: np.zeros(shape) for path, shape in wc.nn.parameter_shapes(EVERY_KIND).items()}
STATISTICS = wc.nn.initial_statistics(EVERY_KIND)


def without(tree: Any, path: str) -> Any:
    return {name: value for name, value in tree.items() if name != path}


def test_trees_that_fit_are_fine_in_any_order() -> None:
    checked_parameters(EVERY_KIND, PARAMS)
    checked_parameters(EVERY_KIND, dict(reversed(PARAMS.items())))
    checked_statistics(EVERY_KIND, STATISTICS)
    checked_statistics(MLP, {})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (without(PARAMS, "norm/bias"), "'norm/bias' must have shape (4,); got nothing."),
        ({**PARAMS, "conv/bias": np.zeros(4)}, "'conv/bias' must not be there; got (4,)."),
        (
            {**PARAMS, "main/kernel": np.zeros((2, 4, 3, 3))},
            "'main/kernel' must have shape (3, 3, 4, 2); got (2, 4, 3, 3). Outputs and inputs come first here: "
            "transpose it by (2, 3, 1, 0).",
        ),
        (
            {**PARAMS, "norm/scale": np.zeros(3), "logits/bias": np.zeros(1)},
            "'norm/scale' must have shape (4,); got (3,).",
        ),
        ({**without(PARAMS, "logits/bias"), "x": np.zeros(1)}, "'logits/bias' must have shape (3,); got nothing."),
        ({}, "'conv/kernel' must have shape (5, 5, 3, 4); got nothing."),
    ],
)
def test_parameters_of_another_network_are_an_error_that_names_the_first(tree: Any, message: str) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        checked_parameters(EVERY_KIND, tree)
    assert str(caught.value) == f"params must be those of the network: {message}"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (without(STATISTICS, "norm/mean"), "'norm/mean' must have shape (4,); got nothing."),
        ({**STATISTICS, "norm/scale": np.zeros(4)}, "'norm/scale' must not be there; got (4,)."),
        ({**STATISTICS, "inner/mean": np.zeros((4, 1))}, "'inner/mean' must have shape (4,); got (4, 1)."),
    ],
)
def test_statistics_of_another_network_are_an_error_that_names_the_first(tree: Any, message: str) -> None:
    with pytest.raises(wc.errors.ConfigError) as caught:
        checked_statistics(EVERY_KIND, tree)
    assert str(caught.value) == f"statistics must be those of the network: {message}"


def test_what_is_no_tree_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"params must be a mapping of paths to arrays; got list\."):
        checked_parameters(MLP, [np.zeros(3)])
    with pytest.raises(wc.errors.ConfigError, match=r"statistics must be a mapping of paths to arrays; got ndarray\."):
        checked_statistics(MLP, np.zeros(3))


def test_the_sites_of_a_network_are_a_table() -> None:
    net = wc.mlp((4,), (6, 5), 3)
    assert [(one.site, one.shape, one.after, one.before) for one in net.sites] == [
        ("hidden_0", (6,), "dense_0", "dense_1"),
        ("hidden_1", (5,), "dense_1", "logits"),
    ]
    assert str(net.sites).splitlines()[:2] == ["site      shape  after    before", "hidden_0  6      dense_0  dense_1"]
    residual = wc.wide_resnet(10, 1, 10, mask_residual=True)
    assert [one.site for one in residual.sites] == list(wc.mask_space(residual))
