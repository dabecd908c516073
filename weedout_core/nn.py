"""Networks as data: layers, the shapes of activations and parameters, initial weights, and networks as JSON."""

from weedout_core._networks.as_json import network_from_json, network_to_json
from weedout_core._networks.connections import with_connections
from weedout_core._networks.initial import ParameterSpec, he_normal
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Granularity,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    Shape,
    Units,
    every_layer,
)
from weedout_core._networks.network import (
    Network,
    activation_shapes,
    initial_statistics,
    mask_space,
    parameter_shapes,
)

__all__ = [
    "BatchNorm",
    "Conv",
    "Dense",
    "Flatten",
    "Gather",
    "GlobalAveragePool",
    "Granularity",
    "Layer",
    "Mask",
    "MaxPool",
    "Network",
    "ParameterSpec",
    "Relu",
    "Residual",
    "Scale",
    "Shape",
    "Units",
    "activation_shapes",
    "every_layer",
    "he_normal",
    "initial_statistics",
    "mask_space",
    "network_from_json",
    "network_to_json",
    "parameter_shapes",
    "with_connections",
]


def __dir__() -> list[str]:
    return __all__
