"""Networks as data: a network is a tuple of layers with an input shape, and everything else is inferred from it.

A backend interprets the layers; the core reads them for shapes, mask space, initial weights and costs without
running anything. The path of a parameter, ``layer/parameter``, is the same in every backend.
"""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._masks.checks import Gathered, checked_masks
from weedout_core._masks.plan import Masks
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Gather,
    InputShape,
    Layer,
    Mask,
    Shape,
    output_shape,
    run_shape,
    walk,
)
from weedout_core._networks.mask_shapes import kernel_shape, mask_shape
from weedout_core._networks.models import Adopted, Model
from weedout_core._networks.places import Sites, places
from weedout_core._random.keys import check_codes, check_names
from weedout_core.errors import ConfigError, MaskError, WeedoutWarning


@dataclass(frozen=True)
class Network:
    """A network: its layers in order, and the shape of one input. Hashable, and compared by value.

    Attributes:
        layers: the layers in order, the last of them a Dense layer that gives the logits.
        input_shape: the shape of one input, ``(height, width, channels)`` or ``(features,)``.
    Raises:
        ConfigError: the layers do not fit together, or two names are equal or have the same CRC-32.
    """

    layers: tuple[Layer, ...]
    input_shape: InputShape

    def __post_init__(self) -> None:
        convert_fields(self)
        shape = self.output_shape
        if len(shape) != 1 or shape[0] < 2:
            raise ConfigError(f"a network must end in at least two logits; its output shape is {shape}.")
        if adopted(self) is None:
            if not self.layers or not isinstance(self.layers[-1], Dense):
                raise ConfigError("a network must end in a Dense layer: the logits are never masked.")
            _warn_of_channels_first(self.input_shape)
        check_names([layer.name for layer, _ in self.walked if isinstance(layer, Dense | Conv | BatchNorm)])
        check_names([name for name, _ in _takers(self)])
        check_codes(tuple(mask_space(self)))
        check_codes(tuple(parameter_shapes(self)))

    @cached_property
    def walked(self) -> tuple[tuple[Layer, Shape], ...]:
        """Each layer with the shape of its input. Cached, because everything that is inferred starts from it."""
        return tuple(walk(self.layers, self.input_shape))

    @property
    def output_shape(self) -> Shape:
        """The shape of one output: ``(classes,)``."""
        return run_shape(self.layers, self.input_shape)

    @property
    def sites(self) -> Sites:
        """Its sites in order: name, shape of the mask, and the weight layers before and after. Printed as a table."""
        return places(self.walked)

    @property
    def classes(self) -> int:
        """The number of logits."""
        return self.output_shape[0]


@guarded
def adopted(net: Network) -> Adopted | None:
    """The model of another library that is all of a network; None for a network that is made of layers.

    Raises ConfigError if a model is one layer among others.
    """
    models = [layer for layer, _ in net.walked if isinstance(layer, Adopted)]
    if models and len(net.layers) > 1:
        raise ConfigError(f"an adopted model must be all of a network; got {len(net.layers)} layers.")
    return models[0] if models else None


@guarded
def mask_space(net: Network) -> dict[str, Shape]:
    """The shape of each site's mask, in the order of the layers: {site: shape}."""
    found: dict[str, Shape] = {}
    for layer, shape in net.walked:
        if isinstance(layer, Mask):
            found[layer.site] = mask_shape(layer, shape)
        elif isinstance(layer, Dense | Conv) and layer.connections:
            found[f"{layer.name}/kernel"] = kernel_shape(layer, shape)
        elif isinstance(layer, Adopted):
            found |= {place.site: place.shape for place in layer.places}
            found |= {held.path: held.shape for held in layer.params if held.connections}
    return found


def _takers(net: Network) -> set[tuple[str, Any]]:
    """The arrays that are handed in as masks, by name: one for each site, and one for all Gather layers of a name.

    Gather layers with the same name take the same indices, so they must be alike.
    """
    masks = {(layer.site, place) for place, (layer, _) in enumerate(net.walked) if isinstance(layer, Mask)}
    weights = [layer for layer, _ in net.walked if isinstance(layer, Dense | Conv) and layer.connections]
    masks |= {(f"{layer.name}/kernel", "weights") for layer in weights}
    if (model := adopted(net)) is not None:
        masks |= {(one.site, place) for place, one in enumerate(model.places)}
        masks |= {(held.path, "weights") for held in model.params if held.connections}
    return masks | {(layer.name, (layer.count, shape[-1])) for layer, shape in net.walked if isinstance(layer, Gather)}


def _warn_of_channels_first(shape: Shape) -> None:
    """Warn of a shape that looks like (channels, height, width): 1 or 3, and then two equal numbers."""
    if len(shape) == 3 and shape[0] in (1, 3) and shape[1] == shape[2] > 4:
        warnings.warn(
            f"input_shape {shape} is read as (height, width, channels): images of {shape[0]} × {shape[1]} with "
            f"{shape[2]} channels. If the channels come first in your data, move them to the end: "
            f"{(*shape[1:], shape[0])}.",
            WeedoutWarning,
            stacklevel=4,
        )


def gather_space(net: Network) -> dict[str, Gathered]:
    """What each Gather layer reads, by its name, in the order of the layers."""
    layers = net.walked
    return {layer.name: Gathered(layer.count, shape[-1]) for layer, shape in layers if isinstance(layer, Gather)}


def checked_network_masks(net: Network, masks: Masks | None, leading: int, fetched: bool = True) -> tuple[int, ...]:
    """Check the masks and the Gather indices that a network takes, and return their common leading shape.

    Args:
        net: the network.
        masks: {site: bool ``(*leading, *shape)``} and, for Gather layers, {name: integers ``(*leading, count)``}. None
            masks nothing; a network with Gather layers does not allow it.
        leading: how many leading axes there must be (0: one candidate, 1: a population).
        fetched: as for :func:`checked_masks`.
    Raises:
        MaskError: as :func:`checked_masks`, or masks are None and a Gather layer needs its indices.
    """
    gathers = gather_space(net)
    if masks is not None:
        return checked_masks(masks, mask_space(net), leading, gathers, fetched)
    if gathers:
        raise MaskError(
            f"masks must have the indices of the network's Gather layers {sorted(gathers)}; got none. Pass "
            "what gather_masks of its CompactedNetwork returns."
        )
    return ()


@guarded
def activation_shapes(net: Network) -> tuple[Shape, ...]:
    """The shape of one input and of each layer's output, in order."""
    return (net.input_shape, *(output_shape(layer, shape) for layer, shape in net.walked))


@guarded
def parameter_shapes(net: Network) -> dict[str, Shape]:
    """The shape of each parameter, in the order of the layers: {path: shape}."""
    shapes: dict[str, Shape] = {}
    for layer, shape in net.walked:
        shapes |= _parameters(layer, shape)
    return shapes


def _parameters(layer: Layer, shape: Shape) -> dict[str, Shape]:
    match layer:
        case Dense(name, units):
            return {f"{name}/kernel": kernel_shape(layer, shape), f"{name}/bias": (units,)}
        case Conv(name):
            return {f"{name}/kernel": kernel_shape(layer, shape)}
        case BatchNorm(name):
            return {f"{name}/scale": shape[-1:], f"{name}/bias": shape[-1:]}
        case Adopted():
            return {held.path: held.shape for held in layer.params}
        case _:
            return {}


@guarded
def initial_statistics(net: Network) -> dict[str, np.ndarray]:
    """The running statistics before training: {path: float32 ``(channels,)``}, mean 0 and variance 1.

    Those of an adopted model are as they were when it was adopted.

    Raises:
        ConfigError: the network was read from a file, and its model is not there.
    """
    if (model := adopted(net)) is not None:
        return dict(the_model(model).statistics)
    values = {"mean": 0.0, "variance": 1.0}
    return {
        path: np.full(shape, values[path.rpartition("/")[2]], np.float32)
        for path, shape in statistic_shapes(net).items()
    }


def statistic_shapes(net: Network) -> dict[str, Shape]:
    """The shape of each running statistic, in the order of the layers: {path: shape}."""
    found: dict[str, Shape] = {}
    for layer, shape in net.walked:
        if isinstance(layer, BatchNorm):
            found |= {f"{layer.name}/{statistic}": shape[-1:] for statistic in ("mean", "variance")}
        elif isinstance(layer, Adopted):
            found |= {held.path: held.shape for held in layer.statistics}
    return found


def the_model(layer: Adopted) -> Model:
    """The model itself. Raises ConfigError if it is not there."""
    if layer.model is None:
        raise ConfigError(
            f"the model {layer.name} was adopted in another process, and a file holds its arrays alone. Adopt it again "
            "by wc.adopt, and make a wc.Subnetwork of that network and the arrays."
        )
    return layer.model


@guarded
def check_normalised(net: Network, examples: int) -> None:
    """Raise ConfigError where batch normalisation would take statistics over a single value, whose variance is 0."""
    for layer, shape in net.walked:
        if isinstance(layer, BatchNorm) and examples * math.prod(shape[:-1]) < 2:
            raise ConfigError(
                f"batch normalisation {layer.name!r} takes its statistics over at least two values of a channel, and "
                "a group of one example has one: its output would not depend on its input. Take more examples."
            )
