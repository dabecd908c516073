"""Initial weights: He's standard deviations, the fans they count, and the masks beside each layer."""

import math
import zlib
from typing import Any

import pytest
from hypothesis import given

import weedout_core as wc
from tests.core.random_networks import networks
from weedout_core._networks.initial import weight_layers

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


def sites(net: wc.Network) -> dict[str, tuple[str | None, str | None]]:
    """The masks before and after each layer with weights."""
    return {layer.name: (layer.site_before, layer.site_after) for layer in weight_layers(net)}


def chain(*layers: wc.nn.Layer) -> wc.Network:
    """Layers between two convolutions, in front of the logits."""
    head = (wc.nn.GlobalAveragePool(), wc.nn.Dense("logits", 2))
    return wc.Network((wc.nn.Conv("first", 4), *layers, wc.nn.Conv("second", 4), *head), (4, 4, 3))


def stds(specs: tuple[wc.nn.ParameterSpec, ...]) -> dict[str, float]:
    return {spec.path: spec.std for spec in specs if spec.std}


def from_fans(fans: dict[str, float]) -> dict[str, Any]:
    """He's standard deviations: two roundings of a quotient and a root, each 2^-53 of it."""
    return {f"{name}/kernel": pytest.approx(math.sqrt(2 / fan), rel=1e-15) for name, fan in fans.items()}


# The masks beside a layer


def test_weight_layers_know_the_masks_beside_them() -> None:
    assert weight_layers(MLP) == (
        ("dense_0", 6, 4, None, "hidden_0"),
        ("dense_1", 4, 3, "hidden_0", "hidden_1"),
        ("logits", 3, 2, "hidden_1", None),
    )
    assert sites(IMAGES) == {"first": ("pixels", "hidden"), "second": ("hidden", None), "logits": (None, None)}


def test_the_links_of_a_convolution_count_its_window() -> None:
    net = wc.Network(
        (
            wc.nn.Conv("a", 7, kernel_size=5, stride=2),
            wc.nn.Conv("b", 2, kernel_size=1),
            wc.nn.Flatten(),
            wc.nn.Dense("logits", 3),
        ),
        (6, 4, 3),
    )
    assert [(layer.name, layer.fan_in, layer.fan_out) for layer in weight_layers(net)] == [
        ("a", 25 * 3, 25 * 7),
        ("b", 7, 2),
        ("logits", 3 * 2 * 2, 3),
    ]


@pytest.mark.parametrize("layer", [wc.nn.Relu(), wc.nn.MaxPool(), wc.nn.Scale(2.0)], ids=repr)
def test_what_keeps_a_zero_zero_lets_the_mask_through(layer: wc.nn.Layer) -> None:
    found = sites(chain(wc.nn.Mask("mask"), layer))
    assert found == {"first": (None, "mask"), "second": ("mask", None), "logits": (None, None)}
    found = sites(chain(layer, wc.nn.Mask("mask")))
    assert found == {"first": (None, "mask"), "second": ("mask", None), "logits": (None, None)}


def test_batch_norm_gives_a_removed_node_a_value_again() -> None:
    found = sites(chain(wc.nn.Mask("mask"), wc.nn.BatchNorm("norm"), wc.nn.Relu()))
    assert found["second"] == (None, None), "its inputs are no longer masked"
    assert found["first"] == (None, "mask"), "its outputs are"
    found = sites(chain(wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("mask")))
    assert (found["first"], found["second"]) == ((None, "mask"), ("mask", None))


def test_what_a_gather_takes_has_masks_of_its_own() -> None:
    part = wc.nn.Gather("part", 4)
    found = sites(chain(wc.nn.Mask("mask"), part))
    assert (found["first"], found["second"]) == ((None, "mask"), (None, None)), "which nodes it takes is not known"
    found = sites(chain(part, wc.nn.Mask("mask")))
    assert (found["first"], found["second"]) == ((None, None), ("mask", None))


def test_a_sum_is_masked_only_where_both_branches_are() -> None:
    found = sites(chain(wc.nn.Mask("outer"), wc.nn.Residual((wc.nn.Conv("main", 4), wc.nn.Mask("inner")))))
    assert found == {
        "first": (None, "outer"),
        "main": ("outer", "inner"),
        "second": (None, None),  # the shortcut brings what the mask of the branch took away
        "logits": (None, None),
    }


def test_a_mask_behind_a_sum_masks_what_both_branches_give() -> None:
    block = wc.nn.Residual((wc.nn.Conv("main", 4),), (wc.nn.Conv("shortcut", 4, kernel_size=1),))
    found = sites(chain(block, wc.nn.Mask("sum")))
    assert (found["main"], found["shortcut"]) == ((None, "sum"), (None, "sum"))
    assert (found["first"], found["second"]) == ((None, None), ("sum", None))


def test_the_input_of_a_residual_is_masked_where_every_branch_begins_with_one_mask() -> None:
    found = sites(chain(wc.nn.Residual((wc.nn.Mask("inner"), wc.nn.Conv("main", 4)))))
    assert found["first"] == (None, None), "the shortcut needs all of its output"
    found = sites(chain(wc.nn.Mask("outer"), wc.nn.Residual((wc.nn.Relu(), wc.nn.Conv("main", 4)))))
    assert (found["first"], found["main"]) == ((None, "outer"), ("outer", None))


def test_the_masks_beside_the_layers_of_a_wide_resnet() -> None:
    found = sites(wc.wide_resnet(16, 2, 5))
    assert list(found)[:4] == ["conv", "group_0/block_0/conv_0", "group_0/block_0/conv_1", "group_0/block_0/shortcut"]
    for group in range(3):
        first, second = f"group_{group}/block_0", f"group_{group}/block_1"
        next_group = f"group_{group + 1}/block_0/mask_0" if group < 2 else None
        assert found[f"{first}/conv_0"] == (f"{first}/mask_0", f"{first}/mask_1")
        assert found[f"{first}/conv_1"] == (f"{first}/mask_1", None), "its sum goes on unmasked"
        assert found[f"{first}/shortcut"] == (f"{first}/mask_0", None)
        assert found[f"{second}/conv_0"] == (f"{second}/mask_0", f"{second}/mask_1")
        expected = next_group or "pooled"
        assert found[f"{second}/conv_1"] == (f"{second}/mask_1", expected), "all of the sum goes through one mask"
    assert found["conv"] == (None, "group_0/block_0/mask_0")
    assert found["logits"] == ("pooled", None)


def test_the_masks_beside_the_layers_of_a_vgg() -> None:
    assert sites(wc.vgg(1, 5, (4, 4, 3), hidden=(6,))) == {
        "conv_0": (None, "group_0"),
        "conv_1": ("group_0", "group_1"),
        "dense_0": ("group_1", "hidden_0"),
        "logits": ("hidden_0", None),
    }


@given(networks())
def test_every_layer_with_weights_is_listed_once_in_order(net: wc.Network) -> None:
    kernels = [path.removesuffix("/kernel") for path in wc.nn.parameter_shapes(net) if path.endswith("/kernel")]
    assert [layer.name for layer in weight_layers(net)] == kernels


# He's initialisation


def test_he_normal_counts_the_inputs() -> None:
    assert stds(wc.nn.he_normal(MLP)) == from_fans({"dense_0": 6, "dense_1": 4, "logits": 3})


def test_he_normal_may_count_the_outputs() -> None:
    assert stds(wc.nn.he_normal(MLP, "fan_out")) == from_fans({"dense_0": 4, "dense_1": 3, "logits": 2})


def test_he_normal_may_count_what_is_kept() -> None:
    kept = {"hidden_0": 2, "hidden_1": 1}
    assert stds(wc.nn.he_normal(MLP, kept=kept)) == from_fans({"dense_0": 6, "dense_1": 2, "logits": 1})
    assert stds(wc.nn.he_normal(MLP, "fan_out", kept)) == from_fans({"dense_0": 2, "dense_1": 1, "logits": 2})


def test_he_normal_counts_the_window_of_a_convolution() -> None:
    net = wc.wide_resnet(10, 1, 5)
    inputs, outputs = stds(wc.nn.he_normal(net)), stds(wc.nn.he_normal(net, "fan_out"))
    block = "group_1/block_0"
    assert {path: inputs[path] for path in ("conv/kernel", f"{block}/conv_0/kernel", f"{block}/shortcut/kernel")} == (
        from_fans({"conv": 9 * 3, f"{block}/conv_0": 9 * 16, f"{block}/shortcut": 16})
    )
    assert {path: outputs[path] for path in ("conv/kernel", f"{block}/conv_0/kernel", f"{block}/shortcut/kernel")} == (
        from_fans({"conv": 9 * 16, f"{block}/conv_0": 9 * 32, f"{block}/shortcut": 32})
    )


@pytest.mark.parametrize(("granularity", "nodes"), [("node", 8 * 8 * 16), ("channel", 16)])
def test_he_normal_counts_the_part_of_a_window_that_is_kept(granularity: Any, nodes: int) -> None:
    """A quarter of the nodes kept, of whatever kind, is a quarter of the links on average."""
    net = wc.wide_resnet(10, 1, 5, (8, 8, 3), granularity)
    kept = {"group_0/block_0/mask_0": nodes // 4}
    inputs, outputs = stds(wc.nn.he_normal(net, kept=kept)), stds(wc.nn.he_normal(net, "fan_out", kept))
    assert inputs["group_0/block_0/conv_0/kernel"] == from_fans({"a": 9 * 16 / 4})["a/kernel"]
    assert (
        outputs["group_0/block_0/conv_0/kernel"]
        == stds(wc.nn.he_normal(net, "fan_out"))["group_0/block_0/conv_0/kernel"]
    )
    changed = {path for path, std in stds(wc.nn.he_normal(net)).items() if std != inputs[path]}
    assert changed == {"group_0/block_0/conv_0/kernel"}, "the one layer behind this mask: the shortcut is the sum's own"


def test_he_normal_does_not_count_a_mask_beyond_a_batch_norm() -> None:
    net = chain(wc.nn.Mask("mask", granularity="channel"), wc.nn.BatchNorm("norm"))
    assert stds(wc.nn.he_normal(net, kept={"mask": 1})) == stds(wc.nn.he_normal(net))
    assert stds(wc.nn.he_normal(net, "fan_out", {"mask": 1}))["first/kernel"] == from_fans({"a": 9 * 1})["a/kernel"]


@given(networks())
def test_he_normal_covers_every_parameter_with_its_own_stream(net: wc.Network) -> None:
    specs = wc.nn.he_normal(net)
    assert {spec.path: spec.shape for spec in specs} == wc.nn.parameter_shapes(net)
    assert [spec.path for spec in specs] == list(wc.nn.parameter_shapes(net)), "in the order of the layers"
    for spec in specs:
        assert spec.code == zlib.crc32(spec.path.encode())
        assert (spec.std > 0) == spec.path.endswith("/kernel"), "kernels are drawn, the others are not"
        assert spec.value == (1 if spec.path.endswith("/scale") else 0), "γ = 1, β = 0, and every other bias 0"


def test_an_unknown_fan_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"^fan must be one of 'fan_in', 'fan_out'; got 'both'\.$"):
        wc.nn.he_normal(MLP, "both")  # pyright: ignore[reportArgumentType]
