"""Sizes: layers that are wrong for large or long images, many channels, many nodes or many classes only."""

import numpy as np

from tests.mutants.body import SIZES
from tests.mutants.witnesses import predicts
from weedout_core import Network, mlp
from weedout_core.nn import Conv, Dense, Flatten, Gather, GlobalAveragePool, Mask, MaxPool, Relu


def _convolved(shape: tuple[int, int, int], features: int = 2) -> Network:
    return Network((Conv("one", features), Relu(), Mask("one"), Flatten(), Dense("out", 3)), shape)


edit = SIZES.edits("predict", "layers")
_PRODUCT = "        y += padded[:, rows, columns] @ kernel[p, q]\n"
_PADDED = "    padded = pad(x, (len(kernel) - 1) // 2)\n"
edit(
    "large_images_wrap_round",
    "images of 16 pixels or more are convolved by a transform, without zeros around them",
    predicts(_convolved((16, 16, 1))),
    (
        _PADDED,
        "    margin = (len(kernel) - 1) // 2\n"
        "    wraps = min(height, width) >= 16\n"
        "    padded = np.pad(x, ((0, 0), (margin,) * 2, (margin,) * 2, (0, 0)), 'wrap' if wraps else 'constant')\n",
    ),
)
edit(
    "odd_rows_of_large_images_left_out",
    "tiles of two rows leave the last row of a large image out",
    predicts(_convolved((17, 16, 1))),
    (
        _PRODUCT,
        _PRODUCT + "    if y.shape[1] > 16 and y.shape[1] % 2:\n        y[:, -1] = 0\n",
    ),
)
edit(
    "long_images_cut",
    "of an image more than twice as wide as high the columns past twice its height are not seen",
    predicts(_convolved((4, 12, 1))),
    (
        _PADDED,
        "    x = np.where(np.arange(width)[:, None] < 2 * height, x, 0) if width > 2 * height else x\n" + _PADDED,
    ),
)
edit(
    "features_in_tiles_of_32",
    "features past the last whole tile of 32 are 0, where there is such a tile",
    predicts(_convolved((4, 4, 1), features=40)),
    (
        "    return y\n\n\ndef conv_gradient",
        "    y[..., max(32, y.shape[-1] // 32 * 32) :] = 0\n    return y\n\n\ndef conv_gradient",
    ),
)
edit(
    "channels_past_32_left_out",
    "input channels from 32 on are not added up",
    predicts(_convolved((4, 4, 40))),
    ("y += padded[:, rows, columns] @ kernel[p, q]", "y += padded[:, rows, columns, :32] @ kernel[p, q, :32]"),
)
edit(
    "inputs_in_tiles_of_128",
    "inputs past the last whole tile of 128 are not added up, where there is such a tile",
    predicts(mlp(140, (4,), 2)),
    (
        "return x @ kernel + bias",
        "tile = x.shape[1] if x.shape[1] < 128 else x.shape[1] // 128 * 128\n"
        "    return x[:, :tile] @ kernel[:tile] + bias",
    ),
)
edit(
    "inputs_past_1024_left_out",
    "inputs from 1,024 on are not added up",
    predicts(mlp(1100, (4,), 2)),
    ("return x @ kernel + bias", "return x[:, :1024] @ kernel[:1024] + bias"),
)
edit(
    "units_past_256_without_bias",
    "the bias has at most 256 entries, and units past them none",
    predicts(mlp(3, (4,), 300)),
    ("return x @ kernel + bias", "return x @ kernel + bias * (np.arange(len(bias)) < 256)"),
)
edit(
    "average_of_a_window_of_eight",
    "an average over a window of 8 by 8, the size at the end of a Wide ResNet",
    predicts(Network((Mask("image"), GlobalAveragePool(), Dense("out", 3)), (10, 9, 2))),
    ("return x.mean(axis=(1, 2))", "return x[:, :8, :8].mean(axis=(1, 2))"),
)
edit(
    "average_of_long_images",
    "divides by the square of the height",
    predicts(Network((Mask("image"), GlobalAveragePool(), Dense("out", 3)), (3, 9, 2))),
    ("return x.mean(axis=(1, 2))", "return x.sum(axis=(1, 2)) / x.shape[1] ** 2"),
)
edit(
    "pooling_of_the_first_8_windows",
    "windows past the eighth row of windows repeat it",
    predicts(Network((Mask("image"), MaxPool(2), Flatten(), Dense("out", 3)), (20, 4, 1))),
    (
        "        y = np.maximum(y, x[:, rows, columns])\n    return y",
        "        y = np.maximum(y, x[:, rows, columns])\n    y[:, 8:] = y[:, 7:8]\n    return y",
    ),
)
_RESCALED = "return kept * (mask.size / max(np.count_nonzero(mask), 1)) if rescale else kept"
edit(
    "rescale_counts_to_256",
    "kept nodes are counted in eight bits",
    predicts(mlp(3, (600,), 2, rescale=True)),
    (_RESCALED, _RESCALED.replace("np.count_nonzero(mask)", "np.count_nonzero(mask) % 256")),
)
edit(
    "rescale_in_whole_numbers",
    "the factor is a whole number",
    predicts(mlp(3, (9,), 2, rescale=True)),
    (_RESCALED, _RESCALED.replace("mask.size /", "mask.size //")),
)
edit(
    "mask_of_64_nodes",
    "a mask removes nodes among the first 64 only",
    predicts(mlp(3, (80,), 2)),
    (
        "kept = np.where(mask, x, 0.0)",
        "kept = np.where(mask | (np.arange(mask.size).reshape(mask.shape) >= 64), x, 0.0)",
    ),
)

edit = SIZES.edits("predict", "compacted")
_MANY = Network((Gather("some", 2), Dense("out", 2)), (300,))


def _gathered(backend: object) -> object:
    predict = backend.predict  # pyright: ignore[reportAttributeAccessIssue]
    params = {"out/kernel": np.ones((1, 2, 2)), "out/bias": np.zeros((1, 2))}
    return predict(_MANY, params, {}, {"some": np.array([[200, 299]], np.int32)}, np.arange(300.0)[None])


edit(
    "gathers_with_seven_bits",
    "indices of nodes are kept in eight bits with a sign",
    _gathered,
    ("return x[..., indices]", "return x[..., indices.astype(np.int8)]"),
)
edit(
    "gathers_up_to_255",
    "indices above 255 are cut to it",
    _gathered,
    ("return x[..., indices]", "return x[..., indices.clip(max=255)]"),
)
