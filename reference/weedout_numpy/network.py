"""The network: its layers run one after the other and, by the chain rule, one after the other backwards.

Paper, Algorithm 1, lines 7 and 13 for the forward pass, and line 12 for both.

Weights are {path: array}: a dense layer's W is at ``name/kernel`` and its b at ``name/bias``, a convolution's W at
``name/kernel``, batch normalisation's γ at ``name/scale`` and β at ``name/bias``. The statistics of batch
normalisation are at ``name/mean`` and ``name/variance``.

``masks=None`` is the parent: every node is kept. ``statistics=None`` takes the statistics from the batch, which is cut
into equal ``groups`` of examples in order, each with its own (see ``batch_norm``).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
)
from weedout_numpy import batch_norm as bn
from weedout_numpy import compacted
from weedout_numpy import layers as nn
from weedout_numpy.masks import Masks
from weedout_numpy.shapes import Layer

Parameters = Mapping[str, np.ndarray]
Batch = Float[np.ndarray, "examples ..."]


class Step(NamedTuple):
    """What the backward pass needs of one layer's forward pass.

    Attributes:
        layer: the layer.
        x: its input.
        main, shortcut: the records of a residual's branches.
    """

    layer: Layer
    x: np.ndarray
    main: "tuple[Step, ...]" = ()
    shortcut: "tuple[Step, ...]" = ()


Record = tuple[Step, ...]


def forward(
    layers: Sequence[Layer],
    params: Parameters,
    masks: Masks | None,
    x: Batch,
    statistics: Parameters | None = None,
    groups: int = 1,
) -> tuple[Batch, Record]:
    """Run layers on a batch, each on the output of the one before it.

    Returns:
        the output of the last, which for a network are the logits, a number for each class; and a record of what each
        layer was given, for :func:`backward`.
    """
    record: list[Step] = []
    for layer in layers:
        main: Record = ()
        shortcut: Record = ()
        match layer:
            case Dense(name):
                y = nn.dense(x, kernel(layer, params, masks), params[f"{name}/bias"])
            case Conv(_, _, _, stride):
                y = nn.conv(x, kernel(layer, params, masks), stride)
            case BatchNorm(name, _, epsilon):
                scale, bias = params[f"{name}/scale"], params[f"{name}/bias"]
                if statistics is None:
                    y = bn.batch_norm(x, scale, bias, epsilon, groups)
                else:
                    y = bn.normalise(
                        x, statistics[f"{name}/mean"], statistics[f"{name}/variance"], scale, bias, epsilon
                    )
            case Relu():
                y = nn.relu(x)
            case Flatten():
                y = x.reshape(len(x), -1)
            case MaxPool(window):
                y = nn.max_pool(x, window)
            case GlobalAveragePool():
                y = nn.global_average_pool(x)
            case Mask(site, rescale):
                y = x if masks is None else nn.apply_mask(x, masks[site], rescale)
            case Residual():
                # y = main(x) + shortcut(x), an empty branch being x itself: He, Zhang, Ren, Sun, "Deep Residual
                # Learning" (CVPR 2016), equations 1 and 2.
                left, main = forward(layer.main, params, masks, x, statistics, groups)
                right, shortcut = forward(layer.shortcut, params, masks, x, statistics, groups)
                y = left + right
            case _:  # Gather and Scale
                y = compacted.output(layer, x, masks or {})
        record.append(Step(layer, x, main, shortcut))
        x = y
    return x, tuple(record)


class Gradients(NamedTuple):
    """What :func:`backward` gives.

    Attributes:
        weights: {path: ∂L/∂weight}.
        masked: {site: Σ_examples ∂L/∂y · x, for each node that comes to the mask, or ∂L/∂(W ⊙ M) · W for each weight},
            from which ``sensitivity`` makes the gradient of the mask's numbers. Algorithm 1 does not need it.
        x: ∂L/∂x for the input of the first layer.
    """

    weights: dict[str, np.ndarray]
    masked: dict[str, np.ndarray]
    x: Batch


def backward(
    params: Parameters,
    masks: Masks | None,
    record: Record,
    gradient: Batch,
    groups: int = 1,
    statistics: Parameters | None = None,
) -> Gradients:
    """Carry the gradient of a loss L from the output back to every weight, last layer first.

    Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors" (Nature, 1986). On the way
    ``gradient`` is always ∂L/∂y for the output y of the layer at hand; the layer turns it into ∂L/∂x for its input x.

    Args:
        params, masks, groups, statistics: of the forward pass.
        record: of the forward pass.
        gradient: ∂L/∂output, for a network ∂L/∂logits.
    """
    gradients: dict[str, np.ndarray] = {}
    masked: dict[str, np.ndarray] = {}
    for layer, x, main, shortcut in reversed(record):
        match layer:
            case Dense(name):
                gradient, gradients[f"{name}/kernel"], gradients[f"{name}/bias"] = nn.dense_gradient(
                    x, kernel(layer, params, masks), gradient
                )
            case Conv(name, _, _, stride):
                gradient, gradients[f"{name}/kernel"] = nn.conv_gradient(
                    x, kernel(layer, params, masks), stride, gradient
                )
            case BatchNorm(name, _, epsilon):
                scale = params[f"{name}/scale"]
                if statistics is None:
                    of_layer = bn.batch_norm_gradient(x, scale, epsilon, groups, gradient)
                else:
                    mean, variance = statistics[f"{name}/mean"], statistics[f"{name}/variance"]
                    of_layer = bn.normalise_gradient(x, mean, variance, scale, epsilon, gradient)
                gradient, gradients[f"{name}/scale"], gradients[f"{name}/bias"] = of_layer
            case Relu():
                gradient = nn.relu_gradient(x, gradient)
            case Flatten():
                gradient = gradient.reshape(x.shape)
            case MaxPool(window):
                gradient = nn.max_pool_gradient(x, window, gradient)
            case GlobalAveragePool():
                gradient = nn.global_average_pool_gradient(x, gradient)
            case Mask(site, rescale):
                if masks is not None:
                    masked[site] = (gradient * x).sum(axis=0)
                    gradient = nn.apply_mask(gradient, masks[site], rescale)
            case Residual():
                # A sum hands its gradient to both terms, and x, which went into both, gets back the sum of theirs.
                left = backward(params, masks, main, gradient, groups, statistics)
                right = backward(params, masks, shortcut, gradient, groups, statistics)
                gradients |= left.weights | right.weights
                masked |= left.masked | right.masked
                gradient = left.x + right.x
            case _:  # Gather and Scale
                gradient = compacted.gradient(layer, x, masks or {}, gradient)
        if isinstance(layer, Dense | Conv) and layer.connections and masks is not None:
            path = f"{layer.name}/kernel"
            masked[path] = gradients[path] * params[path]
            gradients[path] = nn.apply_mask(gradients[path], masks[path], rescale=False)
    return Gradients(gradients, masked, gradient)


def kernel(layer: Dense | Conv, params: Parameters, masks: Masks | None) -> np.ndarray:
    """A layer's W or, where its single weights are masked, W ⊙ M. Not in the paper, which masks nodes."""
    path = f"{layer.name}/kernel"
    if masks is None or not layer.connections:
        return params[path]
    return nn.apply_mask(params[path], masks[path], rescale=False)


def batch_norm_steps(record: Record) -> Iterator[tuple[BatchNorm, np.ndarray]]:
    """Every batch normalisation of a forward pass, with its input."""
    for layer, x, main, shortcut in record:
        if isinstance(layer, BatchNorm):
            yield layer, x
        yield from batch_norm_steps(main)
        yield from batch_norm_steps(shortcut)


def batch_statistics(record: Record, groups: int = 1) -> dict[str, np.ndarray]:
    """The statistics of the batch that each batch normalisation saw, means over the groups: {path: ``(channels,)``}."""
    statistics: dict[str, np.ndarray] = {}
    for layer, x in batch_norm_steps(record):
        statistics[f"{layer.name}/mean"], statistics[f"{layer.name}/variance"] = bn.group_statistics(x, groups)
    return statistics


def running_statistics(before: Parameters, record: Record, groups: int) -> dict[str, np.ndarray]:
    """The running statistics after a step, from those before it and what the batch showed."""
    seen = batch_statistics(record, groups)
    after = dict(before)
    for layer, _ in batch_norm_steps(record):
        for path in (f"{layer.name}/mean", f"{layer.name}/variance"):
            after[path] = bn.running(before[path], seen[path], layer.momentum)
    return after
