"""A network's layers, interpreted."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from weedout_core import Network
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
from weedout_jax.batch_norm import Source, batch_norm
from weedout_jax.devices import everywhere, gather, platform, put, share
from weedout_jax.layers import Arithmetic, convolve, dense, gather_nodes, masked, max_pool

_CHUNK = 4096  # examples that a device predicts at once, at most
_FLOATS = 2**26  # of the widest layer's activations meanwhile: 256 MiB


def forward(
    net: Network,
    params: Mapping[str, Any],
    x: jax.Array,
    masks: Mapping[str, Any] | None,
    source: Source,
    how: Arithmetic,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The logits ``(classes, examples)`` for inputs ``(examples, *shape)``, and the statistics; see ``run_layers``."""
    return run_layers(net.layers, params, nodes_first(x), masks, source, how)


def nodes_first(x: jax.Array) -> jax.Array:
    """Inputs as the layers take them: images as they are, flat ones as ``(nodes, examples)``."""
    return x.T if x.ndim == 2 else x


def run_layers(
    layers: Sequence[Layer],
    params: Mapping[str, Any],
    h: jax.Array,
    masks: Mapping[str, Any] | None,
    source: Source,
    how: Arithmetic,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Run layers on activations, images or flat with the nodes first.

    Args:
        masks: {site: ``shape``}, and the indices of Gather layers by name; None leaves every node in.
        source: of the statistics of batch normalisation, see ``batch_norm``.
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
                h, statistics = batch_norm(layer, params, h, source)
                taken |= statistics
            case Relu():
                h = jax.nn.relu(h)  # its slope at 0 is 0, as in the reference; that of maximum is 1/2
            case Flatten():
                h = h if h.ndim == 2 else h.reshape(len(h), -1).T
            case MaxPool(window):
                h = max_pool(h, window)
            case GlobalAveragePool():
                h = jnp.mean(h, axis=(1, 2)).T
            case Mask(site, rescale):
                h = h if masks is None else masked(h, masks[site], rescale)
            case Gather(name):
                h = gather_nodes(h, (masks or {})[name])
            case Scale(factor):
                h = factor * h
            case Residual(main, shortcut):
                one, of_main = run_layers(main, params, h, masks, source, how)
                other, of_shortcut = run_layers(shortcut, params, h, masks, source, how)
                h = one + other
                taken |= of_main | of_shortcut
    return h, taken


def has_convolutions(net: Network) -> bool:
    """Whether products are convolutions, which side by side are grouped ones."""
    return any(isinstance(layer, Conv) for layer in every_layer(net.layers))


def widest(net: Network) -> int:
    """Floats of the widest layer's activations, for each example."""
    return max(math.prod(shape) for shape in activation_shapes(net))


def each_network(mesh: Mesh, net: Network, one: Callable[..., Any], *trees: Any) -> Any:
    """What ``one`` gives for each of R networks, on trees of arrays with a leading axis R.

    On accelerators dense networks are one batch of products. Those with convolutions come one after the other: side by
    side they would be grouped convolutions, which XLA runs many times slower. So do all on a CPU, where a batch of one
    large product takes three times as long as the product.
    """
    if has_convolutions(net) or platform(mesh) == "cpu":
        return lax.map(lambda trees: one(*trees), trees)
    return jax.vmap(one)(*trees)


def predict(mesh: Mesh, net: Network, params: Any, statistics: Any, masks: Any, x: Any) -> jax.Array:
    """The logits ``(R, examples, classes)`` of R networks, a chunk of examples at a time, shared over the devices."""
    placed = put((params, statistics, masks, x), everywhere(mesh))
    return logits(*placed, mesh=mesh, net=net)


@partial(jax.jit, static_argnames=("mesh", "net"))
def logits(params: Any, statistics: Any, masks: Any, x: jax.Array, *, mesh: Mesh, net: Network) -> jax.Array:
    """The program."""
    how = Arithmetic(platform(mesh), "highest")

    def one_chunk(chunk: jax.Array) -> jax.Array:
        mine = share(mesh, chunk)

        def one(params: Any, statistics: Any, masks: Any) -> jax.Array:
            return forward(net, params, mine, masks, statistics, how)[0].T

        return gather(mesh, each_network(mesh, net, one, params, statistics, masks))

    size = chunk_size(mesh, net)
    if len(x) <= size:
        return one_chunk(x)
    chunks = -(-len(x) // size)
    padded = jnp.pad(x, [(0, chunks * size - len(x))] + [(0, 0)] * (x.ndim - 1))
    parts = lax.map(one_chunk, padded.reshape(chunks, size, *x.shape[1:]))  # (chunks, R, size, classes)
    return jnp.moveaxis(parts, 0, 1).reshape(parts.shape[1], chunks * size, -1)[:, : len(x)]


def chunk_size(mesh: Mesh, net: Network) -> int:
    """Examples in flight while predicting: bounds the memory of activations, changes no logit's meaning."""
    return mesh.size * max(1, min(_CHUNK, _FLOATS // widest(net)))
