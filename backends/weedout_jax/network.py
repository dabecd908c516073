"""A network's layers, interpreted."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from weedout_core import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Network,
    Relu,
    Residual,
    activation_shapes,
    every_layer,
)
from weedout_jax.batch_norm import Norm, batch_norm
from weedout_jax.devices import everywhere, gather, platform, share
from weedout_jax.layers import Arithmetic, convolve, dense, masked, max_pool

_CHUNK = 4096  # examples that a device predicts at once, at most
_FLOATS = 2**26  # of the widest layer's activations meanwhile: 256 MiB


def forward(
    layers: Sequence[Layer],
    params: Mapping[str, Any],
    h: jax.Array,
    masks: Mapping[str, Any] | None,
    norm: Norm,
    how: Arithmetic,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Run layers on activations ``(examples, *shape)``.

    Args:
        masks: {site: ``shape``}; None leaves every node in.
        norm: what batch normalisation takes, see ``batch_norm``.
        how: products are computed.
    Returns:
        the activations, and the statistics that batch normalisation took from the batch, {path: ``(channels,)``}.
    """
    taken: dict[str, jax.Array] = {}
    for layer in layers:
        match layer:
            case Dense(name):
                h = dense(h, params[f"{name}/kernel"], params[f"{name}/bias"], how)
            case Conv(name, stride=stride):
                h = convolve(h, params[f"{name}/kernel"], stride, how)
            case BatchNorm():
                h, statistics = batch_norm(layer, params, h, norm)
                taken |= statistics
            case Relu():
                h = jax.nn.relu(h)  # its slope at 0 is 0, as in the reference; that of maximum is 1/2
            case Flatten():
                h = h.reshape(len(h), -1)
            case MaxPool(window):
                h = max_pool(h, window)
            case GlobalAveragePool():
                h = jnp.mean(h, axis=(1, 2))
            case Mask(site, rescale):
                h = h if masks is None else masked(h, masks[site], rescale)
            case Residual(main, shortcut):
                one, of_main = forward(main, params, h, masks, norm, how)
                other, of_shortcut = forward(shortcut, params, h, masks, norm, how)
                h = one + other
                taken |= of_main | of_shortcut
    return h, taken


def each_network(net: Network, one: Callable[..., Any], *trees: Any) -> Any:
    """What ``one`` gives for each of R networks, on trees of arrays with a leading axis R.

    Dense networks are one batch of products. Those with convolutions come one after the other: side by side they
    would be grouped convolutions, which XLA runs many times slower.
    """
    if any(isinstance(layer, Conv) for layer in every_layer(net.layers)):
        return lax.map(lambda trees: one(*trees), trees)
    return jax.vmap(one)(*trees)


def predict(mesh: Mesh, net: Network, params: Any, statistics: Any, masks: Any, x: Any) -> jax.Array:
    """The logits ``(R, examples, classes)`` of R networks, a chunk of examples at a time, shared over the devices."""
    placed = jax.device_put((params, statistics, masks, x), everywhere(mesh))
    return logits(*placed, mesh=mesh, net=net)


@partial(jax.jit, static_argnames=("mesh", "net"))
def logits(params: Any, statistics: Any, masks: Any, x: jax.Array, *, mesh: Mesh, net: Network) -> jax.Array:
    """The program."""
    how = Arithmetic(platform(mesh), "highest")

    def one_chunk(chunk: jax.Array) -> jax.Array:
        mine = share(mesh, chunk)

        def one(params: Any, statistics: Any, masks: Any) -> jax.Array:
            return forward(net.layers, params, mine, masks, statistics, how)[0]

        return gather(mesh, each_network(net, one, params, statistics, masks))

    size = chunk_size(mesh, net)
    if len(x) <= size:
        return one_chunk(x)
    chunks = -(-len(x) // size)
    padded = jnp.pad(x, [(0, chunks * size - len(x))] + [(0, 0)] * (x.ndim - 1))
    parts = lax.map(one_chunk, padded.reshape(chunks, size, *x.shape[1:]))  # (chunks, R, size, classes)
    return jnp.moveaxis(parts, 0, 1).reshape(parts.shape[1], chunks * size, -1)[:, : len(x)]


def chunk_size(mesh: Mesh, net: Network) -> int:
    """Examples in flight while predicting: bounds the memory of activations, changes no logit's meaning."""
    widest = max(math.prod(shape) for shape in activation_shapes(net))
    return mesh.size * max(1, min(_CHUNK, _FLOATS // widest))
