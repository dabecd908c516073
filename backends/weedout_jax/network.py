"""A network's layers, interpreted."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from weedout_core import Dense, Flatten, Mask, Network, Relu

Layer = Dense | Relu | Flatten | Mask
_CHUNK = 4096  # examples in flight while predicting: bounds the memory of activations, changes no logit's meaning


def forward(
    layers: Sequence[Layer], params: Mapping[str, Any], h: jax.Array, masks: Mapping[str, Any] | None, precision: str
) -> jax.Array:
    """Run layers on activations ``(examples, *shape)``. ``masks=None`` leaves every node in.

    A removed node is absent, whatever its activation was: zero is selected, not multiplied in.
    """
    for layer in layers:
        match layer:
            case Dense(name):
                h = jnp.dot(h, params[f"{name}/kernel"], precision=precision) + params[f"{name}/bias"]
            case Relu():
                h = jax.nn.relu(h)  # its slope at 0 is 0, as in the reference; that of maximum is 1/2
            case Flatten():
                h = h.reshape(len(h), -1)
            case Mask(site, rescale):
                if masks is not None:
                    h = jnp.where(masks[site], h, 0)
                    kept = jnp.maximum(jnp.sum(masks[site], dtype=h.dtype), 1)
                    h = h * (masks[site].size / kept) if rescale else h
    return h


def predict(net: Network, params: Any, statistics: Any, masks: Any, x: jax.Array) -> jax.Array:
    """The logits ``(R, examples, classes)`` of R networks, a chunk of examples at a time."""
    del statistics  # no layer has any yet
    return _predict(net, params, masks, x)


@partial(jax.jit, static_argnames="net")
def _predict(net: Network, params: Any, masks: Any, x: jax.Array) -> jax.Array:
    def one_chunk(chunk: jax.Array) -> jax.Array:
        return jax.vmap(lambda p, m: forward(net.layers, p, chunk, m, "highest"))(params, masks)

    if len(x) <= _CHUNK:
        return one_chunk(x)
    chunks = -(-len(x) // _CHUNK)
    padded = jnp.pad(x, [(0, chunks * _CHUNK - len(x))] + [(0, 0)] * (x.ndim - 1))
    logits = lax.map(one_chunk, padded.reshape(chunks, _CHUNK, *x.shape[1:]))  # (chunks, R, _CHUNK, classes)
    return jnp.moveaxis(logits, 0, 1).reshape(logits.shape[1], chunks * _CHUNK, -1)[:, : len(x)]
