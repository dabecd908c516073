"""The forward pass: a network's layers, applied one after the other."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

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
from weedout_jax.adopt.running import Learning, run_adopted
from weedout_jax.batch_norm import Source, batch_norm
from weedout_jax.compiling import compiled
from weedout_jax.devices import everywhere, gather, platform, put, share
from weedout_jax.layers import Arithmetic, convolve, dense, gather_nodes, masked, masked_weights, max_pool

_CHUNK = 4096  # the most examples that a device predicts at once
_FLOATS = 2**26  # the most floats of the widest layer's activations at once: 256 MiB


def forward(
    net: Network,
    params: Mapping[str, Any],
    x: jax.Array,
    masks: Mapping[str, Any] | None,
    source: Source | Learning,
    how: Arithmetic,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The logits ``(classes, examples)`` for inputs ``(examples, *shape)``, and statistics; see ``run_layers``."""
    return run_layers(net.layers, params, nodes_first(x), masks, source, how)


def nodes_first(x: jax.Array) -> jax.Array:
    """Inputs in the layout of the layers: images as they are, flat inputs as ``(nodes, examples)``."""
    return x.T if x.ndim == 2 else x


def run_layers(
    layers: Sequence[Layer],
    params: Mapping[str, Any],
    h: jax.Array,
    masks: Mapping[str, Any] | None,
    source: Source | Learning,
    how: Arithmetic,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Run layers on activations, images or flat with the nodes first.

    Args:
        params: {path: ``shape``}.
        masks: {site: bool ``shape``}, and the indices of Gather layers by name; None keeps every node.
        source: the source of the statistics of batch normalisation, see ``batch_norm``.
        how: how products are computed.
    Returns:
        the activations, and the statistics that batch normalisation took from the batch, {path: ``(channels,)``}.
    """
    taken: dict[str, jax.Array] = {}
    for layer in layers:
        match layer:
            case Dense(name):
                h = dense(h, _kernel(layer, params, masks), params[f"{name}/bias"], how)
            case Conv(stride=stride):
                h = convolve(h, _kernel(layer, params, masks), stride, how)
            case BatchNorm():
                h, statistics = batch_norm(layer, params, h, cast(Source, source))
                taken |= statistics
            case Relu():
                h = jax.nn.relu(h)  # its gradient at 0 is 0, as in the reference; that of jnp.maximum is 1/2
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
            case Adopted():
                h, taken = run_adopted(layer, params, h, masks, source, how)
            case Residual(main, shortcut):
                one, of_main = run_layers(main, params, h, masks, source, how)
                other, of_shortcut = run_layers(shortcut, params, h, masks, source, how)
                h = one + other
                taken |= of_main | of_shortcut
    return h, taken


def _kernel(layer: Dense | Conv, params: Mapping[str, Any], masks: Mapping[str, Any] | None) -> jax.Array:
    """A layer's weights, under their mask if they are a site."""
    path = f"{layer.name}/kernel"
    return params[path] if masks is None or not layer.connections else masked_weights(params[path], masks[path])


def has_convolutions(net: Network) -> bool:
    """Whether a network has convolutions, or is adopted: several at once would make them grouped convolutions."""
    return any(isinstance(layer, Conv | Adopted) for layer in every_layer(net.layers))


def widest(net: Network) -> int:
    """The number of floats of the widest layer's activations, for one example."""
    return max(math.prod(shape) for shape in activation_shapes(net))


def each_network(mesh: Mesh, net: Network, one: Callable[..., Any], *trees: Any) -> Any:
    """Apply ``one`` to each of R networks, given as trees of arrays with a leading axis R.

    On accelerators, dense networks are computed together in batched products. Networks with convolutions are computed
    one after the other: together they would need grouped convolutions, which XLA runs many times slower. On a CPU all
    networks are computed one after the other, because there a large batched product takes three times as long.
    """
    if has_convolutions(net) or platform(mesh) == "cpu":
        return lax.map(lambda trees: one(*trees), trees)
    return jax.vmap(one)(*trees)


def predict(mesh: Mesh, net: Network, params: Any, statistics: Any, masks: Any, x: Any) -> jax.Array:
    """The logits ``(R, examples, classes)`` of R networks. The devices share each chunk of examples."""
    placed = put((params, statistics, masks, x), everywhere(mesh))
    return logits(*placed, mesh=mesh, net=net)


@compiled(("mesh", "net"))
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
    """The number of examples that are predicted at once, which bounds the memory of activations."""
    return mesh.size * max(1, min(_CHUNK, _FLOATS // widest(net)))
