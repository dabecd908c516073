"""Masked weights: the masks of single weights are applied in another way than the contract's."""

import numpy as np

from tests.mutants.body import WEIGHTS
from tests.mutants.witnesses import Given, predicts, sensitivities, trains
from weedout_core import Network
from weedout_core.nn import Conv, Dense, Flatten, Mask, MaxPool, Relu, Residual

NET = Network(
    (
        Conv("first", 3, connections=True), Relu(), Mask("channels", granularity="channel"), MaxPool(2),
        Residual((Conv("inside", 3, connections=True),)), Flatten(), Dense("square", 18, connections=True), Relu(),
        Mask("nodes"), Dense("out", 3, connections=True),
    ),
    (6, 4, 2),
)  # fmt: skip


def infinite_where_removed(given: Given) -> None:
    """Weights that a mask removes are infinite."""
    for path, mask in given.masks.items():
        if path in given.params:
            given.params[path][~mask] = np.inf


edit = WEIGHTS.edits("predict", "network")
edit(
    "weights_of_dense_layers_unmasked",
    "the masks of weights of dense layers are not applied",
    predicts(NET),
    ("masks is None or not layer.connections:", "masks is None or not layer.connections or isinstance(layer, Dense):"),
)
edit(
    "weights_of_convolutions_unmasked",
    "the masks of weights of convolutions are not applied",
    predicts(NET),
    ("masks is None or not layer.connections:", "masks is None or not layer.connections or isinstance(layer, Conv):"),
)
edit(
    "weights_masked_by_a_product",
    "a mask of weights is multiplied in: a removed weight that is infinite gives NaN",
    predicts(NET, prepare=infinite_where_removed),
    ("    return nn.apply_mask(params[path], masks[path], rescale=False)\n", "    return params[path] * masks[path]\n"),
)
edit(
    "weights_rescaled",
    "weights under a mask are divided by the fraction kept",
    predicts(NET),
    ("    return nn.apply_mask(params[path], masks[path], rescale=False)\n",
     "    return nn.apply_mask(params[path], masks[path], rescale=True)\n"),
)  # fmt: skip
edit(
    "square_weights_masked_by_the_transpose",
    "a mask of as many rows as columns is transposed",
    predicts(NET),
    ("    return nn.apply_mask(params[path], masks[path], rescale=False)\n",
     "    mask = masks[path]\n"
     "    return nn.apply_mask(params[path], mask.T if mask.shape == mask.T.shape else mask, rescale=False)\n"),
)  # fmt: skip
edit = WEIGHTS.edits("train_epoch", "network")
edit(
    "removed_weights_learn",
    "the gradient of a removed weight is that which it would have if it were kept",
    trains(NET),
    ("            gradients[path] = nn.apply_mask(gradients[path], masks[path], rescale=False)\n", ""),
)
edit(
    "removed_weights_lead_back",
    "the gradient of what comes before a dense layer goes through removed weights",
    trains(NET),
    ("                    x, kernel(layer, params, masks), gradient\n                )\n            case Conv",
     '                    x, params[f"{name}/kernel"], gradient\n                )\n            case Conv'),
)  # fmt: skip
edit(
    "removed_weights_of_windows_lead_back",
    "the gradient of what comes before a convolution goes through removed weights",
    trains(NET),
    ("                    x, kernel(layer, params, masks), stride, gradient\n",
     '                    x, params[f"{name}/kernel"], stride, gradient\n'),
)  # fmt: skip
WEIGHTS.edits("mask_gradient", "network")(
    "removed_weights_have_no_gradient",
    "the gradient of the mask of a removed weight is 0",
    sensitivities(NET),
    ("masked[path] = gradients[path] * params[path]",
     "masked[path] = gradients[path] * nn.apply_mask(params[path], masks[path], rescale=False)"),
)  # fmt: skip
WEIGHTS.edits("mask_gradient", "network")(
    "gradient_of_the_weights_themselves",
    "the gradient of a mask of weights is that of the weights",
    sensitivities(NET),
    ("masked[path] = gradients[path] * params[path]", "masked[path] = gradients[path]"),
)
