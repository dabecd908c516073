"""Initial weights, drawn for the parent or for a single candidate. Paper, the data of Algorithm 1, and section 3.

The weights of a network are a dict, from names to arrays. A name is a path, ``layer/kernel`` or ``layer/bias``: the
*kernel* is the W and the *bias* the b of y = x W + b. He et al. say how far each weight is spread; :func:`he_normal`
writes that down for each array, and :func:`draw_parameters` draws it.
"""

import math

import numpy as np

from weedout_core import Network
from weedout_core.nn import BatchNorm, Conv, Dense, ParameterSpec
from weedout_numpy.randomness import Key, fold_in, path_code, standard_normal
from weedout_numpy.shapes import Shape, layer_inputs


def he_normal(net: Network) -> tuple[ParameterSpec, ...]:
    """He-normal initial weights (paper, section 3): W ~ N(0, 2/inputs), b = 0; batch norm starts at γ = 1, β = 0.

    He, Zhang, Ren, Sun, "Delving deep into rectifiers" (ICCV 2015), equation 10: a ReLU halves the second moment of
    an input that is symmetric about 0; the 2 makes up for that, so that signals neither die out nor explode with depth.
    The inputs of one output are counted, in a convolution window² · channels; they are the parent's, whatever a mask
    removes. A convolution has no bias: the β of the batch normalisation after it is one.

    Returns:
        for each array of weights a ``ParameterSpec``: its path, its shape, the number that stands for the path in the
        random stream (``code``), and its standard deviation (``std``), or the ``value`` that all of it begins with.
    """
    specs: list[ParameterSpec] = []
    for layer, shape in layer_inputs(net.layers, net.input_shape):
        match layer:
            case Dense(name, units):
                (inputs,) = shape
                specs.append(normal(f"{name}/kernel", (inputs, units), math.sqrt(2 / inputs)))
                specs.append(constant(f"{name}/bias", (units,), 0.0))
            case Conv(name, features, window):
                channels = shape[-1]
                std = math.sqrt(2 / (window**2 * channels))
                specs.append(normal(f"{name}/kernel", (window, window, channels, features), std))
            case BatchNorm(name):
                specs.append(constant(f"{name}/scale", shape[-1:], 1.0))
                specs.append(constant(f"{name}/bias", shape[-1:], 0.0))
            case _:
                pass
    return tuple(specs)


def normal(path: str, shape: Shape, std: float) -> ParameterSpec:
    """An array that is drawn from the normal distribution with mean 0."""
    return ParameterSpec(path, shape, path_code(path), std)


def constant(path: str, shape: Shape, value: float) -> ParameterSpec:
    """An array that starts at one value everywhere."""
    return ParameterSpec(path, shape, path_code(path), 0.0, value)


def draw_parameters(key: Key, specs: tuple[ParameterSpec, ...]) -> dict[str, np.ndarray]:
    """Draw a network's weights, each array with a key of its own: {path: float64 ``shape``}."""
    params: dict[str, np.ndarray] = {}
    for spec in specs:
        n = math.prod(spec.shape)
        drawn = (
            spec.std * standard_normal(fold_in(key, spec.code), n) if spec.std > 0 else np.full(n, float(spec.value))
        )
        params[spec.path] = drawn.reshape(spec.shape)
    return params


def initial_statistics(net: Network) -> dict[str, np.ndarray]:
    """What ``batch_norm`` remembers before training: mean 0 and variance 1, {path: float64 ``(channels,)``}."""
    statistics: dict[str, np.ndarray] = {}
    for layer, shape in layer_inputs(net.layers, net.input_shape):
        if isinstance(layer, BatchNorm):
            statistics[f"{layer.name}/mean"] = np.zeros(shape[-1])
            statistics[f"{layer.name}/variance"] = np.ones(shape[-1])
    return statistics
