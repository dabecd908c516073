"""Architectures: multilayer perceptrons, Wide ResNets and small VGGs, with their masks."""

from collections.abc import Sequence
from typing import Annotated

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive, integer
from weedout_core._networks.connections import with_connections
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Granularity,
    InputShape,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Units,
)
from weedout_core._networks.network import Network
from weedout_core.errors import ConfigError

Classes = Annotated[int, integer(2)]

_IMAGE = (32, 32, 3)
_VGG_WIDTHS = (1, 2, 4, 8, 8)  # features of a group, in units of ``width`` (Simonyan, Zisserman, ICLR 2015, table 1)


@guarded
def mlp(
    inputs: Positive | InputShape,
    hidden: tuple[Positive, ...],
    classes: Classes,
    rescale: bool = False,
    granularity: Granularity = "node",
) -> Network:
    """A multilayer perceptron with a mask after every hidden ReLU, or of every weight.

    Args:
        inputs: the number of features of one example, or the shape of one example, which is then flattened.
        hidden: the units of each hidden layer. Their masks are named ``hidden_0``, ``hidden_1``, …
        classes: the number of classes, at least 2. Logits are never masked.
        rescale: whether masked activations are divided by the fraction kept.
        granularity: "node" or "channel", here the same, or "connection", which masks single weights and no activation.
    Raises:
        ConfigError: a number is out of its range, or weights are to be rescaled.
    """
    shape = (inputs,) if isinstance(inputs, int) else inputs
    flat: tuple[Layer, ...] = () if len(shape) == 1 else (Flatten(),)
    return _masked((*flat, *_head(hidden, classes, rescale)), shape, granularity, rescale)


@guarded
def wide_resnet(
    depth: Positive,
    width: Positive,
    classes: Classes,
    input_shape: InputShape = _IMAGE,
    granularity: Granularity = "node",
    rescale: bool = False,
    mask_residual: bool = False,
    hidden: tuple[Positive, ...] = (),
) -> Network:
    """A Wide ResNet WRN-depth-width with basic pre-activation blocks (Zagoruyko, Komodakis, BMVC 2016, table 1).

    Three groups of n blocks have 16·width, 32·width and 64·width features; the second and the third group halve height
    and width. Masks stand after every batch norm and ReLU in the blocks, and on the pooled features before the logits.

    Args:
        depth: the number of weight layers, 6·n + 4 with n ≥ 1.
        width: the widening factor k ≥ 1.
        classes: the number of classes, at least 2.
        input_shape: the shape of one image, (height, width, channels).
        granularity: "node" masks each unit of an activation by itself, "channel" masks whole channels, "connection"
            masks single weights and no activation.
        rescale: whether masked activations are divided by the fraction kept.
        mask_residual: whether the sums at the end of the blocks are masked too.
        hidden: the units of extra fully connected layers before the logits, each masked (the paper's "last
            fully-connected layers" in the plural; a Wide ResNet has one).
    Raises:
        ConfigError: depth is not 6·n + 4, a number is below 1, or weights are to be rescaled or masked in sums.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ConfigError(f"the depth of a Wide ResNet must be 6·n + 4 (10, 16, 22, 28, 40, …); got {depth}.")
    if mask_residual and granularity == "connection":
        raise ConfigError("mask_residual=True needs masks of nodes or of channels; a sum has no weights.")
    layers: list[Layer] = [Conv("conv", 16)]
    channels = 16
    for group, features in enumerate((16 * width, 32 * width, 64 * width)):
        for block in range(blocks):
            name = f"group_{group}/block_{block}"
            stride = 2 if group and not block else 1
            layers += _block(name, channels, features, stride, _units(granularity), rescale)
            layers += [Mask(f"{name}/sum", rescale, _units(granularity))] if mask_residual else []
            channels = features
    layers += [BatchNorm("norm"), Relu(), GlobalAveragePool(), Mask("pooled", rescale)]
    return _masked((*layers, *_head(hidden, classes, rescale)), input_shape, granularity, rescale)


def _block(name: str, channels: int, features: int, stride: int, granularity: Units, rescale: bool) -> list[Layer]:
    """A basic block. Where it changes the shape, the shortcut is a 1 × 1 convolution of the first activation."""

    def activation(index: int) -> tuple[Layer, ...]:
        return BatchNorm(f"{name}/norm_{index}"), Relu(), Mask(f"{name}/mask_{index}", rescale, granularity)

    main = (Conv(f"{name}/conv_0", features, stride=stride), *activation(1), Conv(f"{name}/conv_1", features))
    if channels == features and stride == 1:
        return [Residual((*activation(0), *main))]
    return [*activation(0), Residual(main, (Conv(f"{name}/shortcut", features, kernel_size=1, stride=stride),))]


@guarded
def vgg(
    width: Positive,
    classes: Classes,
    input_shape: InputShape = _IMAGE,
    granularity: Granularity = "node",
    rescale: bool = False,
    hidden: tuple[Positive, ...] = (),
) -> Network:
    """A small VGG with batch norm: up to five groups, each of a 3 × 3 convolution and a max pooling.

    The groups have 1, 2, 4, 8 and 8 times ``width`` features. With width 64 this is configuration A of Simonyan,
    Zisserman, "Very deep convolutional networks" (ICLR 2015), without its doubled layers. There are no more groups once
    the image cannot be halved. Masks stand after every ReLU.

    Args:
        width: the features of the first group, ≥ 1.
        hidden: the units of fully connected layers before the logits, each masked.
        classes, input_shape, granularity, rescale: as for :func:`wide_resnet`.
    Raises:
        ConfigError: a number is out of its range, or the input is no image.
    """
    if len(input_shape) != 3:
        raise ConfigError(f"a VGG needs images (height, width, channels); got shape {input_shape}.")
    layers: list[Layer] = []
    height, columns, _ = input_shape
    for group, factor in enumerate(_VGG_WIDTHS):
        if height % 2 or columns % 2:
            break
        layers += [Conv(f"conv_{group}", factor * width), BatchNorm(f"norm_{group}"), Relu()]
        layers += [Mask(f"group_{group}", rescale, _units(granularity)), MaxPool(2)]
        height, columns = height // 2, columns // 2
    return _masked((*layers, Flatten(), *_head(hidden, classes, rescale)), input_shape, granularity, rescale)


def _head(hidden: tuple[int, ...], classes: int, rescale: bool) -> list[Layer]:
    """Fully connected layers, each hidden one masked, and the logits."""
    layers: list[Layer] = []
    for index, units in enumerate(hidden):
        layers += [Dense(f"dense_{index}", units), Relu(), Mask(f"hidden_{index}", rescale)]
    return [*layers, Dense("logits", classes)]


def _units(granularity: Granularity) -> Units:
    """The granularity of masks of activations; where weights are masked instead, they are taken out again."""
    return "node" if granularity == "connection" else granularity


def _masked(layers: Sequence[Layer], shape: InputShape, granularity: Granularity, rescale: bool) -> Network:
    """The network of layers with masks of activations or, in their place, of weights."""
    if granularity != "connection":
        return Network(tuple(layers), shape)
    if rescale:
        raise ConfigError("rescale=True needs masks of nodes or of channels; weights under a mask stay as they are.")
    return with_connections(Network(_without_masks(layers), shape))


def _without_masks(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    left = (layer for layer in layers if not isinstance(layer, Mask))
    return tuple(
        Residual(*map(_without_masks, (layer.main, layer.shortcut))) if isinstance(layer, Residual) else layer
        for layer in left
    )
