"""Multilayer perceptrons, Wide ResNets and VGGs: their layers, their masks, their published sizes."""

from collections.abc import Sequence

import pytest

import weedout_core as wc
from weedout_core._networks.layers import walk

MLP = wc.mlp(inputs=6, hidden=(4, 3), classes=2)


def names(net: wc.Network) -> list[str]:
    """The layers from first to last, those of branches too: masks by their site, the others by their kind."""
    return [
        layer.site if isinstance(layer, wc.nn.Mask) else type(layer).__name__
        for layer, _ in walk(net.layers, net.input_shape)
    ]


def sequences(layers: Sequence[wc.nn.Layer]) -> list[Sequence[wc.nn.Layer]]:
    """The layers, and those of every branch within."""
    found = [layers]
    for layer in layers:
        if isinstance(layer, wc.nn.Residual):
            found += sequences(layer.main) + sequences(layer.shortcut)
    return found


def masks(net: wc.Network) -> list[wc.nn.Mask]:
    return [layer for layer, _ in walk(net.layers, net.input_shape) if isinstance(layer, wc.nn.Mask)]


# Multilayer perceptrons


def test_an_mlp_is_dense_relu_mask_again_and_again() -> None:
    assert MLP.layers == (
        wc.nn.Dense("dense_0", 4),
        wc.nn.Relu(),
        wc.nn.Mask("hidden_0"),
        wc.nn.Dense("dense_1", 3),
        wc.nn.Relu(),
        wc.nn.Mask("hidden_1"),
        wc.nn.Dense("logits", 2),
    ), "masks sit after the ReLU, before the next weights; the logits are never masked"
    assert (MLP.input_shape, MLP.output_shape, MLP.classes) == ((6,), (2,), 2)
    assert wc.mlp(6, (4,), 2, rescale=True).layers[2] == wc.nn.Mask("hidden_0", rescale=True)


def test_an_mlp_flattens_inputs_with_axes() -> None:
    net = wc.mlp((2, 3, 1), (4, 3), 2)
    assert net.layers == (wc.nn.Flatten(), *MLP.layers)
    assert net.input_shape == (2, 3, 1)
    assert wc.nn.parameter_shapes(net) == wc.nn.parameter_shapes(MLP), "6 features either way"
    assert wc.mlp((6,), (4, 3), 2) == MLP, "one axis is flat already"


def test_an_mlp_needs_inputs_and_units() -> None:
    one = "an integer of at least 1"
    with pytest.raises(
        wc.errors.ConfigError, match=rf"^inputs must be {one} or a sequence of at least 1, each item {one}; got 0\.$"
    ):
        wc.mlp(0, (3,), 2)
    with pytest.raises(wc.errors.ConfigError, match=rf"^inputs\[1\] must be {one}; got 0\.$"):
        wc.mlp((3, 0), (3,), 2)
    with pytest.raises(wc.errors.ConfigError, match=rf"^hidden\[1\] must be {one}; got 0\.$"):
        wc.mlp(3, (3, 0), 2)


# Wide ResNets


@pytest.mark.parametrize(
    ("depth", "width", "millions"),
    [
        (40, 1, 0.6),
        (40, 2, 2.2),
        (40, 4, 8.9),
        (40, 8, 35.7),
        (28, 10, 36.5),
        (22, 8, 17.2),
        (16, 8, 11.0),
        (16, 10, 17.1),
    ],
)
def test_a_wide_resnet_has_its_published_size(depth: int, width: int, millions: float) -> None:
    """Zagoruyko, Komodakis, "Wide Residual Networks" (BMVC 2016), table 4: parameters on CIFAR-10."""
    parameters = wc.costs(wc.wide_resnet(depth, width, 10)).parameters
    assert round(parameters / 1e6, 1) == millions, f"WRN-{depth}-{width} has {parameters} parameters"


def test_the_layers_of_the_smallest_wide_resnet() -> None:
    """Depth 10 is one block a group; each changes the shape, so each has a shortcut with weights."""
    block = ["BatchNorm", "Relu", "group_{}/block_0/mask_0", "Residual", "Conv", "BatchNorm", "Relu"]
    block += ["group_{}/block_0/mask_1", "Conv", "Conv"]
    groups = [layer.format(group) for group in range(3) for layer in block]
    head = ["BatchNorm", "Relu", "GlobalAveragePool", "pooled", "Dense"]
    assert names(wc.wide_resnet(10, 2, 5)) == ["Conv", *groups, *head]


def test_a_block_that_keeps_the_shape_has_the_identity_as_its_shortcut() -> None:
    """Where a block keeps the shape, its first activation belongs to the branch; else both branches share it."""
    net = wc.wide_resnet(16, 2, 5)
    blocks = [layer for layer in net.layers if isinstance(layer, wc.nn.Residual)]
    assert [len(block.shortcut) for block in blocks] == [1, 0, 1, 0, 1, 0], "two blocks a group"
    assert blocks[1].main[:4] == (
        wc.nn.BatchNorm("group_0/block_1/norm_0"),
        wc.nn.Relu(),
        wc.nn.Mask("group_0/block_1/mask_0"),
        wc.nn.Conv("group_0/block_1/conv_0", 32),
    )
    assert blocks[0].main[0] == wc.nn.Conv("group_0/block_0/conv_0", 32)
    assert blocks[2].main[0] == wc.nn.Conv("group_1/block_0/conv_0", 64, stride=2)
    assert blocks[2].shortcut == (wc.nn.Conv("group_1/block_0/shortcut", 64, kernel_size=1, stride=2),)
    first = wc.wide_resnet(16, 1, 5).layers[1]
    assert isinstance(first, wc.nn.Residual), "with width 1 the first group keeps 16 channels: its first block too"
    assert first.shortcut == ()


@pytest.mark.parametrize("options", [{}, {"mask_residual": True}, {"hidden": (4,)}, {"granularity": "channel"}])
def test_masks_stand_after_every_activation_of_the_blocks_and_on_the_pooled_features(
    options: dict[str, object],
) -> None:
    net = wc.wide_resnet(16, 2, 5, **options)  # pyright: ignore[reportArgumentType]
    for layers in sequences(net.layers):
        for index, layer in enumerate(layers):
            after = layers[index + 1] if index + 1 < len(layers) else None
            if isinstance(layer, wc.nn.Relu):
                assert isinstance(after, wc.nn.Mask | wc.nn.GlobalAveragePool), f"{after} follows a ReLU"
            elif isinstance(layer, wc.nn.GlobalAveragePool):
                assert isinstance(after, wc.nn.Mask), f"{after} follows the pooling"
                assert after.site == "pooled", "the input of the last fully connected layers is masked"
            elif isinstance(layer, wc.nn.BatchNorm):
                assert after == wc.nn.Relu(), f"{after} follows a batch norm: before it, a zero would not stay zero"
    assert net.layers[-1] == wc.nn.Dense("logits", 5), "never the logits"


def test_the_mask_space_of_a_small_wide_resnet() -> None:
    blocks = {f"group_{group}/block_0/mask_{index}" for group in range(3) for index in range(2)}
    space = wc.mask_space(wc.wide_resnet(10, 2, 5, (8, 12, 3)))
    assert space == {
        "group_0/block_0/mask_0": (8, 12, 16),
        "group_0/block_0/mask_1": (8, 12, 32),
        "group_1/block_0/mask_0": (8, 12, 32),
        "group_1/block_0/mask_1": (4, 6, 64),
        "group_2/block_0/mask_0": (4, 6, 64),
        "group_2/block_0/mask_1": (2, 3, 128),
        "pooled": (128,),
    }
    assert set(space) == {*blocks, "pooled"}
    channels = wc.mask_space(wc.wide_resnet(10, 2, 5, (8, 12, 3), granularity="channel"))
    assert channels == {site: shape[-1:] for site, shape in space.items()}, "one bit a feature map"


def test_the_sums_of_a_wide_resnet_may_be_masked_too() -> None:
    plain, masked = wc.wide_resnet(16, 1, 5), wc.wide_resnet(16, 1, 5, mask_residual=True, granularity="channel")
    sums = [f"group_{group}/block_{block}/sum" for group in range(3) for block in range(2)]
    assert set(wc.mask_space(masked)) - set(wc.mask_space(plain)) == set(sums)
    top = masked.layers
    for index, layer in enumerate(top):
        if isinstance(layer, wc.nn.Residual):
            after = top[index + 1]
            assert isinstance(after, wc.nn.Mask), "after every sum"
            assert (after.site, after.granularity) == (sums.pop(0), "channel")
    assert not sums


def test_a_wide_resnet_may_have_hidden_layers_before_the_logits() -> None:
    net = wc.wide_resnet(10, 1, 5, hidden=(7, 6))
    assert net.layers[-8:] == (
        wc.nn.Mask("pooled"),
        wc.nn.Dense("dense_0", 7),
        wc.nn.Relu(),
        wc.nn.Mask("hidden_0"),
        wc.nn.Dense("dense_1", 6),
        wc.nn.Relu(),
        wc.nn.Mask("hidden_1"),
        wc.nn.Dense("logits", 5),
    )


@pytest.mark.parametrize(
    "net",
    [
        wc.wide_resnet(16, 1, 5, rescale=True, mask_residual=True, hidden=(3,)),
        wc.vgg(1, 5, rescale=True, hidden=(3,)),
    ],
)
def test_rescaling_reaches_every_mask(net: wc.Network) -> None:
    assert all(mask.rescale for mask in masks(net))


def test_masks_are_not_rescaled_unless_told() -> None:
    for net in (wc.wide_resnet(16, 1, 5, mask_residual=True, hidden=(3,)), wc.vgg(1, 5, hidden=(3,)), MLP):
        assert not any(mask.rescale for mask in masks(net)), "the paper does not mention rescaling"
        assert all(mask.granularity == "node" for mask in masks(net)), "the paper masks every unit"


@pytest.mark.parametrize("depth", [4, 5, 9, 11, 27])
def test_a_depth_that_is_no_whole_number_of_blocks_is_an_error(depth: int) -> None:
    message = rf"the depth of a Wide ResNet must be 6·n \+ 4 \(10, 16, 22, 28, 40, …\); got {depth}\."
    with pytest.raises(wc.errors.ConfigError, match=message):
        wc.wide_resnet(depth, 1, 10)


def test_a_depth_or_width_below_1_is_an_error() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"^depth must be an integer of at least 1; got -2\.$"):
        wc.wide_resnet(-2, 1, 10)
    with pytest.raises(wc.errors.ConfigError, match=r"^width must be an integer of at least 1; got 0\.$"):
        wc.wide_resnet(10, 0, 10)
    with pytest.raises(wc.errors.ConfigError, match=r"^width must be an integer of at least 1; got 0\.$"):
        wc.vgg(0, 10)


def test_a_wide_resnet_needs_images() -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"Conv layer 'conv' needs an input \(height, width, channels\)"):
        wc.wide_resnet(10, 1, 10, (784,))


# VGGs


def test_a_vgg_is_a_convolution_and_a_pooling_a_group() -> None:
    net = wc.vgg(2, 5, (8, 8, 3))
    assert net.layers == (
        wc.nn.Conv("conv_0", 2),
        wc.nn.BatchNorm("norm_0"),
        wc.nn.Relu(),
        wc.nn.Mask("group_0"),
        wc.nn.MaxPool(2),
        wc.nn.Conv("conv_1", 4),
        wc.nn.BatchNorm("norm_1"),
        wc.nn.Relu(),
        wc.nn.Mask("group_1"),
        wc.nn.MaxPool(2),
        wc.nn.Conv("conv_2", 8),
        wc.nn.BatchNorm("norm_2"),
        wc.nn.Relu(),
        wc.nn.Mask("group_2"),
        wc.nn.MaxPool(2),
        wc.nn.Flatten(),
        wc.nn.Dense("logits", 5),
    ), "an image of 8 × 8 can be halved three times"


def test_the_mask_space_of_a_small_vgg() -> None:
    assert wc.mask_space(wc.vgg(2, 5, hidden=(7,))) == {
        "group_0": (32, 32, 2),
        "group_1": (16, 16, 4),
        "group_2": (8, 8, 8),
        "group_3": (4, 4, 16),
        "group_4": (2, 2, 16),
        "hidden_0": (7,),
    }
    channels = wc.mask_space(wc.vgg(2, 5, granularity="channel"))
    assert channels == {"group_0": (2,), "group_1": (4,), "group_2": (8,), "group_3": (16,), "group_4": (16,)}


@pytest.mark.parametrize(
    ("input_shape", "groups"), [((28, 28, 1), 2), ((32, 24, 3), 3), ((64, 64, 3), 5), ((6, 5, 1), 0)]
)
def test_the_groups_of_a_vgg_end_where_the_image_cannot_be_halved(input_shape: tuple[int, ...], groups: int) -> None:
    assert list(wc.mask_space(wc.vgg(1, 5, input_shape))) == [f"group_{group}" for group in range(groups)]


def test_a_vgg_of_no_images_is_an_error() -> None:
    with pytest.raises(
        wc.errors.ConfigError, match=r"a VGG needs images \(height, width, channels\); got shape \(32,\)"
    ):
        wc.vgg(1, 10, (32,))
