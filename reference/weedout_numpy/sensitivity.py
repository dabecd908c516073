"""Sensitivity: how a loss changes with the numbers of the masks. Algorithm 1 does not need this file.

A mask multiplies what comes to it by 0 or 1. Methods that choose a mask before training ask how the loss would change
if such a factor m changed a little, ∂L/∂m: SNIP (Lee, Ajanthan, Torr, ICLR 2019) and SynFlow (Tanaka, Kunin, Yamins,
Ganguli, NeurIPS 2020) do it for weights, and here it is done for nodes. The backward pass has it on its way.
"""

import numpy as np

from weedout_core import Network
from weedout_core.nn import Conv, Dense, Mask
from weedout_numpy.fitness import cross_entropy_gradient
from weedout_numpy.masks import Masks
from weedout_numpy.network import Batch, Parameters, backward, forward
from weedout_numpy.shapes import layer_inputs


def mask_gradient(
    net: Network, params: Parameters, statistics: Parameters, masks: Masks, x: Batch, y: np.ndarray | None
) -> dict[str, np.ndarray]:
    """∂L/∂m for each node of each site: {site: float64 ``shape``}; for the nodes that are removed too.

    L is the sum over the examples of the cross-entropy with the labels y, or without labels the sum of all logits.
    The factor of a mask with ``rescale`` is held constant, and batch normalisation takes the statistics given.
    """
    params, statistics = (
        {path: np.asarray(value, dtype=np.float64) for path, value in tree.items()} for tree in (params, statistics)
    )
    with np.errstate(over="ignore", invalid="ignore"):  # as in training: it shows in what comes out
        logits, record = forward(net.layers, params, masks, np.asarray(x, dtype=np.float64), statistics)
        of_logits = np.ones(logits.shape) if y is None else len(x) * cross_entropy_gradient(logits, y)
        masked = backward(params, masks, record, of_logits, statistics=statistics).masked
        gradients: dict[str, np.ndarray] = {}
        for layer, _ in layer_inputs(net.layers, net.input_shape):
            if isinstance(layer, Mask):
                of_nodes, mask = masked[layer.site], masks[layer.site]
                pixels = tuple(range(of_nodes.ndim - mask.ndim))  # one number of a channel stands for all its pixels
                factor = mask.size / max(np.count_nonzero(mask), 1) if layer.rescale else 1.0
                gradients[layer.site] = factor * of_nodes.sum(axis=pixels)
            elif isinstance(layer, Dense | Conv) and layer.connections:
                gradients[f"{layer.name}/kernel"] = masked[f"{layer.name}/kernel"]
    return gradients
