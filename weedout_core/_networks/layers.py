"""Layers as data, and the shapes of their outputs.

Activations are ``(height, width, channels)`` or flat, ``(nodes,)``; layouts are NHWC and HWIO in every backend.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from weedout_core._guard.composed import several
from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._guard.kinds import POSITIVE, AboveZero, Fraction, Name, Odd, Positive
from weedout_core._networks.models import Adopted
from weedout_core.errors import ConfigError

#: A shape without the axis of examples.
Shape = tuple[Positive, ...]
InputShape = Annotated[Shape, several(POSITIVE, least=1)]
#: What a mask of an activation keeps or removes: each of its units by itself, or whole channels.
Units = Literal["node", "channel"]
#: What the masks of a network keep or remove: units or channels of activations, or single weights.
Granularity = Literal["node", "channel", "connection"]

_DEEPEST = 100


@dataclass(frozen=True)
class _Checked:
    """What all layers have in common: their fields are checked when they are made."""

    def __post_init__(self) -> None:
        """Raise ConfigError for a field that has a wrong type, or is out of its range."""
        convert_fields(self, f" of {type(self).__name__}")


@dataclass(frozen=True)
class Dense(_Checked):
    """Fully connected: ``y = x·W + b``, ``x`` of shape ``(inputs,)``, W ``(inputs, units)``, b ``(units,)``.

    ``name`` is the name of the layer, with parameters ``kernel`` W and ``bias`` b; ``units`` ≥ 1 counts its outputs.
    With ``connections`` its weights W are a site, "name/kernel": they are multiplied by a mask of their own shape.
    """

    name: Name
    units: Positive
    connections: bool = False


@dataclass(frozen=True)
class Conv(_Checked):
    """Convolution without a bias: ``y[i, j] = Σ x[stride·i + p, stride·j + q]·W[p, q]`` over a square window.

    ``x`` is padded with ``(kernel_size − 1) / 2`` zeros on each side, so that stride 1 keeps height and width. W is
    ``(kernel_size, kernel_size, channels, features)``.

    Attributes:
        name: the name of the layer; its parameter is ``kernel`` W.
        features: channels of the output, ≥ 1.
        kernel_size: side of the square window, odd, ≥ 1.
        stride: step of the window, ≥ 1.
        connections: whether W is a site, as of :class:`Dense`.
    """

    name: Name
    features: Positive
    kernel_size: Odd = 3
    stride: Positive = 1
    connections: bool = False


@dataclass(frozen=True)
class BatchNorm(_Checked):
    """Batch normalisation of each channel: ``y = γ·(x − mean) / √(variance + epsilon) + β``.

    Ioffe, Szegedy, "Batch Normalization" (ICML 2015), algorithms 1 and 2. In training, mean and (biased) variance
    are those of a group of examples; after training they are the running ones. After each training step
    ``running ← momentum·running + (1 − momentum)·mean over the groups``.

    Attributes:
        name: the name of the layer; parameters ``scale`` γ and ``bias`` β, statistics ``mean`` and ``variance``.
        momentum: the momentum of the running statistics, in [0, 1).
        epsilon: > 0.
    """

    name: Name
    momentum: Fraction = 0.9
    epsilon: AboveZero = 1e-5


@dataclass(frozen=True)
class Relu(_Checked):
    """``max(x, 0)``; its slope at 0 is 0."""


@dataclass(frozen=True)
class Flatten(_Checked):
    """Any shape to ``(nodes,)``, row-major."""


@dataclass(frozen=True)
class MaxPool(_Checked):
    """The largest value of each channel in adjacent ``window`` × ``window`` parts, which must tile the image."""

    window: Positive = 2


@dataclass(frozen=True)
class GlobalAveragePool(_Checked):
    """The mean of each channel over the image: ``(height, width, channels)`` to ``(channels,)``."""


@dataclass(frozen=True)
class Mask(_Checked):
    """A site: a place where an activation is multiplied by a mask (paper, section 3: the Hadamard product).

    Attributes:
        site: the name of the site, by which its mask is drawn and handed in.
        rescale: divide by the fraction kept, as inverted dropout does; the paper does not mention it.
        granularity: "node", a bit for every unit of the activation (the paper), or "channel", one for each channel.
    """

    site: Name
    rescale: bool = False
    granularity: Units = "node"


@dataclass(frozen=True)
class Gather(_Checked):
    """Some nodes or channels of an activation, ``x[..., indices]``. Compaction puts it in the place of a mask.

    Attributes:
        name: the name by which its indices, int32 ``(count,)``, are handed in, among the masks. Gather layers with the
            same name take the same indices, and their inputs must have the same number of nodes or channels.
        count: the number of indices, ≥ 1.
    """

    name: Name
    count: Positive


@dataclass(frozen=True)
class Scale(_Checked):
    """``factor · x``. Compaction puts it in the place of a rescaling mask, whose factor it has."""

    factor: float


@dataclass(frozen=True)
class Residual(_Checked):
    """Two branches from one input, summed: ``y = main(x) + shortcut(x)``; an empty branch is the input itself.

    He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks" (ECCV 2016).
    """

    main: "tuple[Layer, ...]"
    shortcut: "tuple[Layer, ...]" = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if _depth(self) > _DEEPEST:
            raise ConfigError(f"residuals must be nested at most {_DEEPEST} deep; got one deeper.")


#: Any layer of a network: one of several of the library's own, or an adopted model alone.
Own = Dense | Conv | BatchNorm | Relu | Flatten | MaxPool | GlobalAveragePool | Mask | Gather | Scale | Residual
Layer = Own | Adopted
OWN_LAYERS: tuple[type[Own], ...] = get_args(Own)
#: The layers by name, as they are written in JSON.
LAYERS: Mapping[str, type[Layer]] = MappingProxyType({kind.__name__: kind for kind in (*OWN_LAYERS, Adopted)})


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape of a layer's output for an input of this shape. Raises ConfigError where it cannot be applied."""
    match layer:
        case Dense(name, units):
            if len(shape) != 1:
                raise ConfigError(
                    f"Dense layer {name!r} needs a flat input; got shape {shape}. Put a Flatten before it."
                )
            return (units,)
        case Conv(name, features, _, stride):
            _check_image(f"Conv layer {name!r}", shape)
            return (-(-shape[0] // stride), -(-shape[1] // stride), features)
        case MaxPool(window):
            _check_image("MaxPool", shape)
            if shape[0] % window or shape[1] % window:
                raise ConfigError(f"the window of a MaxPool must divide its input {shape}; got {window!r}.")
            return (shape[0] // window, shape[1] // window, shape[2])
        case GlobalAveragePool():
            _check_image("GlobalAveragePool", shape)
            return shape[-1:]
        case Flatten():
            return (math.prod(shape),)
        case Residual(main, shortcut):
            one, other = run_shape(main, shape), run_shape(shortcut, shape)
            if one != other:
                raise ConfigError(f"the branches of a Residual must have outputs of one shape; got {one} and {other}.")
            return one
        case Gather(_, count):
            return (*shape[:-1], count)
        case BatchNorm() | Mask() | Relu() | Scale():
            return shape
        case Adopted():
            return (layer.classes,)


def run_shape(layers: Sequence[Layer], shape: Shape) -> Shape:
    """The shape of the output of layers one after the other."""
    for layer in layers:
        shape = output_shape(layer, shape)
    return shape


@guarded
def every_layer(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Each layer, depth first: a residual comes before the layers of its branches.

    Raises ConfigError if an item is not a layer.
    """
    return _every(layers)


def _every(layers: Sequence[Layer]) -> Iterator[Layer]:
    for layer in layers:
        yield layer
        if isinstance(layer, Residual):
            yield from _every((*layer.main, *layer.shortcut))


def walk(layers: Sequence[Layer], shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Each layer with the shape of its input, in the order of :func:`every_layer`."""
    for layer in layers:
        yield layer, shape
        if isinstance(layer, Residual):
            yield from walk(layer.main, shape)
            yield from walk(layer.shortcut, shape)
        shape = output_shape(layer, shape)


def _depth(layer: Layer) -> int:
    """How many residuals are nested in each other, counted from this layer on."""
    inside = (*layer.main, *layer.shortcut) if isinstance(layer, Residual) else ()
    return 1 + max(map(_depth, inside), default=0) if isinstance(layer, Residual) else 0


def _check_image(what: str, shape: Shape) -> None:
    if len(shape) != 3:
        raise ConfigError(f"{what} needs an input (height, width, channels); got shape {shape}.")
