"""Magnitude: weights are rated by their size, and nodes by the weights that lead to them."""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from weedout_core._guard.composed import mapping
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import HOSTED
from weedout_core._networks.connections import connection_sites
from weedout_core._networks.layers import (
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Residual,
    output_shape,
)
from weedout_core._networks.network import Network, adopted, gather_space
from weedout_core._networks.trees import checked_parameters
from weedout_core.errors import ConfigError

HostedParameters = Annotated[Any, mapping(HOSTED)]


@guarded
def magnitude(net: Network, params: HostedParameters) -> dict[str, np.ndarray]:
    """The size of each weight that is masked by itself, and the L2 norm of the weights that lead to each node.

    Pruning by magnitude (Han, Pool, Tran, Dally, "Learning both weights and connections", NeurIPS 2015), for nodes: the
    norm of a column of a dense layer's kernel, or of a filter of a convolution (Li et al., "Pruning filters for
    efficient ConvNets", ICLR 2017, there with the L1 norm). The positions of a channel have the norm of its filter. A
    node of a sum of branches has the weights of both; a node of the input has none, and the score 0. Biases and batch
    normalisation do not count. Of an adopted model only weights can be rated.

    Args:
        net: the network.
        params: its weights, initial or trained: {path: float ``shape``} of any framework.
    Returns:
        {site: float64 ``shape``}, ≥ 0.
    Raises:
        ConfigError: the weights are not the network's, or the network is a compacted one.
    """
    check_parent(net)
    if (model := adopted(net)) is not None and model.places:
        raise ConfigError(
            f"the magnitude of weights that lead to a node is known of the library's own layers; got the adopted model "
            f"{model.name}. Rate its nodes by a function of your own, and make masks of it by wc.masks_from_scores."
        )
    checked_parameters(net, params)
    found = {site: np.abs(np.asarray(params[site], dtype=np.float64)) for site in connection_sites(net)}
    if model is not None:
        return found
    with np.errstate(over="ignore"):  # the square of a weight beyond 1e154 is infinite, and the score the highest
        _squares(net.layers, params, np.zeros(net.input_shape), found)
    return found


def check_parent(net: Network) -> None:
    """Raise ConfigError for a compacted network, of which nodes are gone already."""
    if gather_space(net):
        raise ConfigError("scores rate the nodes of a parent; got a compacted network. Pass the network it is made of.")


def _squares(layers: Sequence[Layer], params: Any, squares: np.ndarray, found: dict[str, np.ndarray]) -> np.ndarray:
    """The sum of the squares of the weights that lead to each node of the output, ``shape``; those of sites in passing.

    Args:
        squares: those of the nodes of the input.
        found: {site: scores}, which grows.
    """
    for layer in layers:
        shape = output_shape(layer, squares.shape)
        match layer:
            case Dense(name) | Conv(name):
                kernel = np.asarray(params[f"{name}/kernel"], dtype=np.float64)
                squares = np.broadcast_to((kernel**2).sum(axis=tuple(range(kernel.ndim - 1))), shape)
            case Flatten():
                squares = squares.reshape(shape)
            case MaxPool(window):
                squares = squares[::window, ::window]  # all positions of a channel have the same
            case GlobalAveragePool():
                squares = squares.mean(axis=(0, 1))
            case Residual(main, shortcut):
                squares = _squares(main, params, squares, found) + _squares(shortcut, params, squares, found)
            case Mask(site, granularity=granularity):
                pixels = tuple(range(squares.ndim - 1)) if granularity == "channel" else ()
                found[site] = np.sqrt(squares.mean(axis=pixels))
            case _:
                pass
    return squares
