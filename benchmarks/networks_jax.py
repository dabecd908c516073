"""The benchmarked networks as a user of JAX writes them: plain functions of weights, masks and inputs."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import weedout_core as wc

Tree = Mapping[str, Any]
Logits = Callable[[Tree, Tree, jax.Array], jax.Array]


def logits_of(net: wc.Network) -> Logits:
    """``(params, masks, x) → logits`` for one of the benchmarked networks; masks are floats that broadcast."""
    if any(isinstance(layer, wc.nn.Dense) and layer.connections for layer in net.layers):
        return _masked_mlp
    return _mlp if len(net.input_shape) == 1 else _wide_resnet


def _mlp(params: Tree, masks: Tree, x: jax.Array) -> jax.Array:
    for index in range(len(masks)):
        x = jax.nn.relu(_dense(params, f"dense_{index}", x)) * masks[f"hidden_{index}"]
    return _dense(params, "logits", x)


def _masked_mlp(params: Tree, masks: Tree, x: jax.Array) -> jax.Array:
    under = {**params, **{path: params[path] * mask for path, mask in masks.items()}}
    for index in range(len(masks) - 1):
        x = jax.nn.relu(_dense(under, f"dense_{index}", x))
    return _dense(under, "logits", x)


def _wide_resnet(params: Tree, masks: Tree, x: jax.Array) -> jax.Array:
    x = _convolve(x, params["conv/kernel"], 1)
    for name in sorted(path.removesuffix("/conv_0/kernel") for path in params if path.endswith("/conv_0/kernel")):
        stride = 2 if name.endswith("block_0") and not name.startswith("group_0") else 1
        active = jax.nn.relu(_norm(params, f"{name}/norm_0", x)) * masks[f"{name}/mask_0"]
        h = _convolve(active, params[f"{name}/conv_0/kernel"], stride)
        h = jax.nn.relu(_norm(params, f"{name}/norm_1", h)) * masks[f"{name}/mask_1"]
        shortcut = f"{name}/shortcut/kernel"
        x = _convolve(active, params[shortcut], stride) if shortcut in params else x
        x = x + _convolve(h, params[f"{name}/conv_1/kernel"], 1)
    pooled = jax.nn.relu(_norm(params, "norm", x)).mean(axis=(1, 2))
    return _dense(params, "logits", pooled * masks["pooled"])


def _dense(params: Tree, name: str, x: jax.Array) -> jax.Array:
    return x @ params[f"{name}/kernel"] + params[f"{name}/bias"]


def _convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    margin = (kernel.shape[0] - 1) // 2
    padding = [(margin, margin)] * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _norm(params: Tree, name: str, x: jax.Array) -> jax.Array:
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    return (x - mean) / jnp.sqrt(variance + 1e-5) * params[f"{name}/scale"] + params[f"{name}/bias"]
