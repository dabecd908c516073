"""The forward pass: layers are applied in order. Activations, weights and masks may have a leading axis R."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from weedout_core import Network
from weedout_core.backend import Adopted
from weedout_core.nn import (
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
    activation_shapes,
    every_layer,
)
from weedout_torch.adopt.running import Learning, run_adopted
from weedout_torch.batch_norm import Source, batch_norm
from weedout_torch.devices import Place, Tensor
from weedout_torch.layers import convolve, dense, gather, masked, masked_weights, max_pool
from weedout_torch.precision import in_its_program, precise

FLOATS = 2**26  # floats of activations and own weights that may exist at once: 256 MiB
_CHUNK = 4096  # the most examples that are predicted at once
_ALIVE = 3  # activations at once without a gradient: a layer's input, its output, and the input of a residual

_MAKES = (Dense, Conv, BatchNorm, Relu, Residual, Gather)  # the output of these layers is a new tensor

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def forward(
    layers: Sequence[Layer],
    params: Mapping[str, Tensor],
    h: Tensor,
    masks: Mapping[str, Tensor] | None,
    source: Source | Learning,
    compute: str = "float32",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run layers on activations ``(R, examples, *shape)``; their R may be 1 if weights or masks have the axis R.

    Args:
        params: weights of a layer's shape, which all networks share, or with a leading axis R, one for each network.
        masks: {site: bool ``(R, *shape)``}, and the indices of Gather layers by name; None keeps every node.
        source: the source of the statistics of batch normalisation, see ``batch_norm``.
        compute: the dtype of the operands of products, "float32" or "bfloat16".
    Returns:
        the activations, and the statistics that batch normalisation took from the batch, {path: ``(R, channels)``}.
    """
    taken: dict[str, Tensor] = {}
    h = in_its_program(h)
    ours = False  # whether h may be changed in place: it was made here, and neither a caller nor a gradient needs it
    for layer in layers:
        match layer:
            case Dense(name):
                h = dense(h, _kernel(layer, params, masks), params[f"{name}/bias"], _DTYPES[compute])
            case Conv(stride=stride):
                h = convolve(h, _kernel(layer, params, masks), stride, _DTYPES[compute])
            case BatchNorm():
                h, statistics = batch_norm(layer, params, h, cast(Source, source))
                taken |= statistics
            case Relu():
                h = torch.relu_(h) if ours else torch.relu(h)
            case Flatten():
                h = h.flatten(2)
            case MaxPool(window):
                h = max_pool(h, window)
            case GlobalAveragePool():
                h = h.mean(dim=(2, 3))
            case Mask(site, rescale):
                h = h if masks is None else masked(h, masks[site], rescale, ours)
            case Gather(name):
                h = gather(h, (masks or {})[name])
            case Scale(factor):
                h = factor * h
            case Adopted():
                h, taken = run_adopted(layer, params, h, masks, source)
            case Residual(main, shortcut):
                one, of_main = forward(main, params, h, masks, source, compute)
                other, of_shortcut = forward(shortcut, params, h, masks, source, compute)
                h = one + other
                taken |= of_main | of_shortcut
        ours = not torch.is_grad_enabled() and (isinstance(layer, _MAKES) or (ours and isinstance(layer, Mask)))
    return h, taken


def _kernel(layer: Dense | Conv, params: Mapping[str, Tensor], masks: Mapping[str, Tensor] | None) -> Tensor:
    """A layer's weights, under their masks if they are a site."""
    path = f"{layer.name}/kernel"
    return params[path] if masks is None or not layer.connections else masked_weights(params[path], masks[path])


def has_convolutions(net: Network) -> bool:
    """Whether a network has convolutions, or is adopted: these take the weights of one network at a time."""
    return any(isinstance(layer, Conv | Adopted) for layer in every_layer(net.layers))


def alive(net: Network) -> int:
    """The floats of activations that exist at once for one example, if no gradient is computed."""
    return _ALIVE * max(math.prod(shape) for shape in activation_shapes(net))


def nth(tree: Mapping[str, Tensor], r: int) -> dict[str, Tensor]:
    """The r-th of several networks in a tree, with a leading axis of 1."""
    return {path: value[r : r + 1] for path, value in tree.items()}


def predict(place: Place, net: Network, params: Any, statistics: Any, masks: Any, x: Tensor) -> Tensor:
    """The logits ``(R, examples, classes)`` of R networks, a chunk of examples at a time.

    Networks with convolutions predict one after the other.
    """
    params, statistics, masks, x = map(place.placed, (params, statistics, masks, x))
    networks = len(next(iter(params.values())))
    if networks > 1 and has_convolutions(net):
        trees = [(nth(params, r), nth(statistics, r), masks and nth(masks, r)) for r in range(networks)]
        return torch.cat([predict(place, net, *one, x) for one in trees])
    with torch.no_grad(), precise("highest"):
        chunks = x.split(max(1, min(_CHUNK, FLOATS // (networks * alive(net)))))
        place.sync()  # otherwise each chunk's graph would contain its offset, and each would be compiled
        logits: list[Tensor] = []
        for chunk in chunks:
            logits.append(forward(net.layers, params, chunk.unsqueeze(0), masks, statistics)[0])
            place.sync()
        result = torch.cat(logits, dim=1)
    place.sync()
    return result
