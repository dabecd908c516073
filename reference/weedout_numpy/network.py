"""The network: its initial weights, the forward pass and, by the chain rule, the backward pass.

A network is a list of layers; a layer is a line in each of the functions below. Weights are {path: array}, with
the kernel W of a dense layer at ``name/kernel`` and its bias b at ``name/bias``.

``masks=None`` is the parent: the fully connected network, every node kept.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float

from weedout_core import Dense, Flatten, Mask, Network, ParameterSpec, Relu
from weedout_numpy.masks import Masks
from weedout_numpy.randomness import Key, fold_in, path_code, standard_normal

Parameters = Mapping[str, np.ndarray]
Layer = Dense | Relu | Flatten | Mask


def layer_inputs(net: Network) -> Iterator[tuple[Layer, tuple[int, ...]]]:
    """Each layer, with the shape of what goes into it for one example."""
    shape = net.input_shape
    for layer in net.layers:
        yield layer, shape
        match layer:
            case Dense(units=units):
                shape = (units,)
            case Flatten():
                shape = (math.prod(shape),)
            case Relu() | Mask():
                pass


def mask_space(net: Network) -> dict[str, tuple[int, ...]]:
    """The shape of each site: {site: shape}."""
    return {layer.site: shape for layer, shape in layer_inputs(net) if isinstance(layer, Mask)}


def he_normal(net: Network) -> tuple[ParameterSpec, ...]:
    """He-normal initial weights (paper, section 3): W ~ N(0, 2/inputs), b = 0.

    He, Zhang, Ren, Sun, "Delving deep into rectifiers" (ICCV 2015), equation 10: a ReLU halves the second moment of
    what goes through it; the 2 makes up for that, so that signals neither die out nor explode with depth. The inputs
    counted are the parent's, whatever a mask removes.
    """
    specs: list[ParameterSpec] = []
    for layer, shape in layer_inputs(net):
        if isinstance(layer, Dense):
            inputs, kernel, bias = shape[0], f"{layer.name}/kernel", f"{layer.name}/bias"
            specs.append(ParameterSpec(kernel, (inputs, layer.units), path_code(kernel), math.sqrt(2 / inputs)))
            specs.append(ParameterSpec(bias, (layer.units,), path_code(bias), 0.0))
    return tuple(specs)


def draw_parameters(key: Key, specs: tuple[ParameterSpec, ...]) -> dict[str, np.ndarray]:
    """Draw a network's weights, each parameter from a stream of its own: {path: float64 ``shape``}."""
    params: dict[str, np.ndarray] = {}
    for spec in specs:
        n = math.prod(spec.shape)
        drawn = spec.std * standard_normal(fold_in(key, spec.code), n) if spec.std > 0 else np.zeros(n)
        params[spec.path] = drawn.reshape(spec.shape)
    return params


def apply_mask(
    x: Float[np.ndarray, "examples ..."], mask: np.ndarray, rescale: bool
) -> Float[np.ndarray, "examples ..."]:
    """x ⊙ M (paper, section 3: "a Hadamard product"): what a kept node says, and 0 for a removed one.

    A removed node is absent, so 0 is chosen and not multiplied in: 0 · ∞ would be NaN. With ``rescale`` the result is
    divided by the fraction kept, as in inverted dropout, so that the sum over the nodes keeps its size.
    """
    kept = np.where(mask, x, 0.0)
    return kept * (mask.size / max(np.count_nonzero(mask), 1)) if rescale else kept


def forward(
    net: Network, params: Parameters, masks: Masks | None, x: Float[np.ndarray, "examples ..."]
) -> tuple[Float[np.ndarray, "examples classes"], list[np.ndarray]]:
    """Run the network on a batch.

    Returns:
        the logits, and the record that the backward pass needs: the input of each layer, in order.
    """
    record: list[np.ndarray] = []
    for layer in net.layers:
        record.append(x)
        match layer:
            case Dense(name):
                x = x @ params[f"{name}/kernel"] + params[f"{name}/bias"]  # y = x W + b
            case Relu():
                x = np.maximum(x, 0.0)  # y = max(x, 0)
            case Flatten():
                x = x.reshape(len(x), -1)
            case Mask(site, rescale):
                if masks is not None:
                    x = apply_mask(x, masks[site], rescale)  # y = x ⊙ M
    return x, record


def backward(
    net: Network,
    params: Parameters,
    masks: Masks | None,
    record: list[np.ndarray],
    gradient: Float[np.ndarray, "examples classes"],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Carry the gradient of a loss L from the logits back to every weight, last layer first.

    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors" (Nature, 1986). On the way
    ``gradient`` is always ∂L/∂y for the output y of the layer at hand; the layer turns it into ∂L/∂x for its input x.

    Args:
        record: of the forward pass.
        gradient: ∂L/∂logits.
    Returns:
        {path: ∂L/∂weight}, and ∂L/∂x for the input of the network.
    """
    gradients: dict[str, np.ndarray] = {}
    for layer, x in zip(reversed(net.layers), reversed(record), strict=True):
        match layer:
            case Dense(name):
                gradients[f"{name}/kernel"] = x.T @ gradient  # ∂L/∂W = xᵀ ∂L/∂y
                gradients[f"{name}/bias"] = gradient.sum(axis=0)  # ∂L/∂b = Σ_examples ∂L/∂y
                gradient = gradient @ params[f"{name}/kernel"].T  # ∂L/∂x = ∂L/∂y Wᵀ
            case Relu():
                gradient = gradient * (x > 0)  # the slope is 1 above 0, else 0
            case Flatten():
                gradient = gradient.reshape(x.shape)
            case Mask(site, rescale):
                if masks is not None:
                    gradient = apply_mask(gradient, masks[site], rescale)  # ∂L/∂x = ∂L/∂y ⊙ M
    return gradients, gradient


def predict(
    net: Network,
    params: Parameters,
    statistics: Parameters,
    masks: Masks | None,
    x: Float[np.ndarray, "examples ..."],
) -> Float[np.ndarray, "R examples classes"]:
    """The logits of R networks, one after the other. Weights and masks have a leading axis R."""
    del statistics  # no layer here keeps any
    logits: list[np.ndarray] = []
    # Overflow is a finding, not a fault: it shows in the logits.
    with np.errstate(over="ignore", invalid="ignore"):
        for r in range(len(next(iter(params.values())))):
            logits.append(forward(net, nth(params, r), None if masks is None else nth(masks, r), x)[0])
    return np.stack(logits)


def nth(tree: Mapping[str, np.ndarray], r: int) -> dict[str, np.ndarray]:
    """One of several networks side by side: {path: ``(R, *shape)``} → {path: ``shape``}."""
    return {path: value[r] for path, value in tree.items()}
