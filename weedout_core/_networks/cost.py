"""What a network costs: parameters, multiply-adds (MACs) for one example, bytes. Dense, and active under masks.

A removed node takes with it the products that lead to it and away from it. A masked network still *computes* the
dense MACs; the active ones are those that decide the logits. Masks of single nodes thin out the products of a
convolution but remove none of its weights; masks of channels remove both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np

from weedout_core._guard.composed import either, mapping
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import BOOLEANS, integer
from weedout_core._guard.showing import layout, reordered
from weedout_core._networks.cost_of_model import of_model
from weedout_core._networks.cost_of_weights import leading, of_weights
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    Shape,
    output_shape,
    walk,
)
from weedout_core._networks.models import Adopted
from weedout_core._networks.network import Network, adopted, mask_space
from weedout_core.errors import MaskError

_BYTES_PER_PARAMETER = 4  # float32

#: {site: the mask of one candidate, or how many nodes it keeps}.
KeptOrMasks = Annotated[Mapping[str, Any], mapping(either(BOOLEANS, integer(0)), MaskError)]


@dataclass(frozen=True)
class Costs:
    """The costs of one network. An active parameter or product is one that can change a logit under the masks.

    MACs are for the forward pass of one example. Products with padding, and with activations that ReLU sets to 0, are
    counted in ``macs`` and in ``active_macs``.

    Attributes:
        parameters, active_parameters: the number of trainable values, and how many of them are active.
        macs, active_macs: the multiply-adds of dense and convolutional layers, and how many of them are active.
        bytes, active_bytes: the memory of these parameters in float32, 4 bytes each.
    """

    parameters: int
    active_parameters: int
    macs: int
    active_macs: int

    @property
    def bytes(self) -> int:
        """Bytes of all parameters in float32."""
        return self.parameters * _BYTES_PER_PARAMETER

    @property
    def active_bytes(self) -> int:
        """Bytes of the active parameters in float32."""
        return self.active_parameters * _BYTES_PER_PARAMETER


@guarded
def costs(net: Network, masks: KeptOrMasks | None = None) -> Costs:
    """Count a network's costs under masks.

    Args:
        net: the parent.
        masks: {site: bool array} of one candidate, or {site: number of nodes kept} for sites with one axis. A site that
            is not named keeps every node; None keeps all nodes of all sites. A number keeps the first nodes of its
            site: where sites meet in a sum, masks that keep different nodes leave more than that.
    Raises:
        ConfigError: ``net`` is not a Network.
        MaskError: a site is not one of the network's, or a mask does not fit its site.
    """
    kept = _as_masks(mask_space(net), {} if masks is None else masks)
    parameters, macs = _whole(net)
    active_parameters, active_macs = _count(net, kept) if kept else (parameters, macs)
    return Costs(parameters, active_parameters, macs, active_macs)


def _as_masks(space: Mapping[str, Shape], masks: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if unknown := set(masks) - set(space):
        raise MaskError(f"masks must name sites of the network, {sorted(space)}; got {sorted(unknown)}.")
    found: dict[str, np.ndarray] = {}
    for site, mask in masks.items():
        if isinstance(mask, int) and len(space[site]) == 1:
            if mask > space[site][0]:
                raise MaskError(f"site {site!r} must keep at most its {space[site][0]} nodes; got {mask}.")
            mask = np.arange(space[site][0]) < mask
        found[site] = np.asarray(mask)
        if found[site].shape != space[site]:
            order = reordered(space[site], found[site].shape)
            raise MaskError(
                f"the mask of site {site!r} must have shape {layout(space[site])}; got {found[site].shape}.{order}"
            )
    return found


@lru_cache(maxsize=64)
def _whole(net: Network) -> tuple[int, int]:
    return _count(net, {})


def _count(net: Network, masks: Mapping[str, np.ndarray]) -> tuple[int, int]:
    """The parameters and multiply-adds that decide the logits under masks, given by site."""
    if (model := adopted(net)) is not None:
        return of_model(model, masks)
    inputs, _ = _alive(net.layers, np.ones(net.input_shape, dtype=bool), masks)
    outputs, _ = _needed(net.layers, net.input_shape, np.ones(net.output_shape, dtype=bool), masks)
    parameters = macs = 0
    for (layer, _), alive, needed in zip(walk(net.layers, net.input_shape), inputs, outputs, strict=True):
        match layer:
            case Dense(name) | Conv(name) if layer.connections and f"{name}/kernel" in masks:
                weights, products = of_weights(layer, masks[f"{name}/kernel"], alive, needed)
                parameters += weights + (int(needed.sum()) if isinstance(layer, Dense) else 0)
                macs += products
            case Dense():
                parameters += (int(alive.sum()) + 1) * int(needed.sum())
                macs += int(alive.sum()) * int(needed.sum())
            case Conv(_, _, window):
                parameters += window**2 * _channels(alive) * _channels(needed)
                macs += int(np.sum(_links(alive, layer) * needed.sum(axis=-1)))
            case BatchNorm():
                parameters += 2 * _channels(needed)
            case _:
                pass
    return parameters, macs


def _links(alive: np.ndarray, conv: Conv) -> np.ndarray:
    """How many inputs in the window of each output are alive: ``(height, width)`` of the output.

    The padding of a channel is computed with the channel: it counts where any of the channel's nodes is alive.
    """
    channels, margin, stride = alive.shape[-1], (conv.kernel_size - 1) // 2, conv.stride
    dead = np.pad(channels - alive.sum(axis=-1), margin, constant_values=channels - _channels(alive))
    windows = np.lib.stride_tricks.sliding_window_view(dead, (conv.kernel_size, conv.kernel_size))[::stride, ::stride]
    return conv.kernel_size**2 * channels - windows.sum(axis=(-2, -1))


def _channels(nodes: np.ndarray) -> int:
    """How many channels have at least one of these nodes: bool ``(..., channels)``."""
    return int(np.count_nonzero(nodes.reshape(-1, nodes.shape[-1]).any(axis=0)))


def _alive(
    layers: Sequence[Layer], nodes: np.ndarray, masks: Mapping[str, np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Which nodes before each layer are not masked away, in the order of ``walk``, and which after the last."""
    found: list[np.ndarray] = []
    for layer in layers:
        found.append(nodes)
        match layer:
            case Mask(site):
                nodes = nodes & masks[site] if site in masks else nodes
            case Residual(main, shortcut):
                of_main, main_nodes = _alive(main, nodes, masks)
                of_shortcut, shortcut_nodes = _alive(shortcut, nodes, masks)
                found += of_main + of_shortcut
                nodes = main_nodes | shortcut_nodes
            case Relu() | Scale():
                pass
            case Flatten():
                nodes = nodes.reshape(-1)
            case GlobalAveragePool():
                nodes = np.logical_or.reduce(nodes, axis=(0, 1))
            case MaxPool(window):
                height, width, channels = nodes.shape
                windows = nodes.reshape(height // window, window, width // window, window, channels)
                nodes = np.logical_or.reduce(windows, axis=(1, 3))
            case Dense() | Conv() | BatchNorm() | Gather() | Adopted():  # a bias gives a value even without inputs
                nodes = np.ones(output_shape(layer, nodes.shape), dtype=bool)
    return found, nodes


def _needed(
    layers: Sequence[Layer], shape: Shape, nodes: np.ndarray, masks: Mapping[str, np.ndarray]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Which nodes after each layer have a way to the logits, in the order of ``walk``, and which before the first.

    Args:
        shape: the shape of the input of the first layer.
        nodes: the nodes after the last layer that have a way to the logits.
    """
    shapes = [shape]
    for layer in layers:
        shapes.append(output_shape(layer, shapes[-1]))
    found: list[np.ndarray] = []
    for layer, before in zip(reversed(layers), reversed(shapes[:-1]), strict=True):
        after, inside = nodes, []
        match layer:
            case Mask(site):
                nodes = nodes & masks[site] if site in masks else nodes
            case Residual(main, shortcut):
                of_main, main_nodes = _needed(main, before, nodes, masks)
                of_shortcut, shortcut_nodes = _needed(shortcut, before, nodes, masks)
                inside = of_main + of_shortcut
                nodes = main_nodes | shortcut_nodes
            case BatchNorm() | Relu() | Scale():
                pass
            case Flatten():
                nodes = nodes.reshape(before)
            case GlobalAveragePool():
                nodes = np.broadcast_to(nodes, before)
            case MaxPool(window):
                nodes = nodes.repeat(window, axis=0).repeat(window, axis=1)
            case Dense(name) | Conv(name) if layer.connections and f"{name}/kernel" in masks:
                nodes = np.broadcast_to(leading(masks[f"{name}/kernel"], nodes), before)
            case Dense() | Conv() | Gather() | Adopted():
                nodes = np.ones(before, dtype=bool)
        found = [after, *inside, *found]
    return found, nodes
