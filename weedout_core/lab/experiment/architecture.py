"""Networks by name: "mlp", "wrn-28-10", "vgg-64"."""

import re
from typing import Any

from weedout_core import Network, mlp, vgg, wide_resnet
from weedout_core.errors import ConfigError
from weedout_core.lab.code.functions import checked_place, is_place
from weedout_core.lab.experiment.memory import Size, size_of
from weedout_core.nn import Granularity, Shape

# With more digits no size could be computed: features are counted in 32 bits.
_WIDE_RESNET, _VGG = re.compile(r"wrn-([1-9][0-9]{0,9})-([1-9][0-9]{0,6})"), re.compile(r"vgg-([1-9][0-9]{0,6})")
_MLP_HIDDEN = (512, 512)


def check_network_name(name: str) -> None:
    """Raise ConfigError unless a name is one that :func:`build` knows, or the place of a function of the user's."""
    if is_place(name):
        checked_place(name, "model")
    elif (found := _WIDE_RESNET.fullmatch(name)) and (int(found[1]) % 6 != 4 or int(found[1]) < 10):
        raise ConfigError(
            f"network must be wrn-D-K of a depth D = 6·n + 4 (10, 16, 22, 28, 40, …); got {name!r}. Change D."
        )
    elif name != "mlp" and not _WIDE_RESNET.fullmatch(name) and not _VGG.fullmatch(name):
        raise ConfigError(
            f'network must be "mlp", "wrn-D-K" (a Wide ResNet of depth D and width K, such as "wrn-28-10") or "vgg-W" '
            f'(of width W, such as "vgg-64"), or package.module:function, a function of your own; got {name!r}.'
        )


def build(
    name: str,
    input_shape: Shape,
    classes: int,
    hidden: tuple[int, ...] | None = None,
    granularity: Granularity = "node",
    rescale: bool = False,
    mask_residual: bool = False,
) -> Network:
    """A network by its name.

    Args:
        name: "mlp", "wrn-D-K" (depth D, width K) or "vgg-W" (width W).
        input_shape: the shape of one example, without the axis of examples.
        classes: the number of logits.
        hidden: units of each fully connected hidden layer; None means 512, 512 for "mlp", and none for the others.
        granularity, rescale, mask_residual: as for ``wc.wide_resnet``; a network ignores those that it does not have.
    Raises:
        ConfigError: the name is unknown, or the network cannot take inputs of this shape.
    """
    check_network_name(name)
    if name == "mlp":
        return mlp(input_shape, _MLP_HIDDEN if hidden is None else hidden, classes, rescale, granularity)
    if found := _VGG.fullmatch(name):
        return vgg(int(found[1]), classes, input_shape, granularity, rescale, hidden or ())
    depth, width = (int(number) for number in name.split("-")[1:])
    return wide_resnet(depth, width, classes, input_shape, granularity, rescale, mask_residual, hidden or ())


def size_by_name(name: str, *args: Any) -> Size:
    """The size of the network that :func:`build` makes of these arguments, which takes long where it is deep.

    Each further block of a group of a Wide ResNet is as large as the one before.
    """
    found = _WIDE_RESNET.fullmatch(name)
    blocks = (int(found[1]) - 4) // 6 if found else 1
    if blocks <= 2:
        return size_of(build(name, *args))
    one, two = (size_of(build(f"wrn-{depth}-{name.split('-')[2]}", *args)) for depth in (10, 16))
    return Size(*(less + (blocks - 1) * (more - less) for less, more in zip(one, two, strict=True)))
