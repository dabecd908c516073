"""Structure: mutants that are wrong for some windows, strides, crops and gathers."""

from typing import Any

import numpy as np

from tests.mutants.body import STRUCTURE
from tests.mutants.witnesses import IMAGES, predicts, trains
from weedout_core import Network
from weedout_core.backend import Backend
from weedout_core.nn import (
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Scale,
)

edit = STRUCTURE.edits("predict", "layers")
_Y = "    return y\n\n\ndef conv_gradient"


def _convolved(stride: int = 1, window: int = 3, shape: tuple[int, int, int] = (9, 8, 2)) -> Network:
    return Network((Conv("one", 3, window, stride), Relu(), Mask("one"), GlobalAveragePool(), Dense("out", 3)), shape)


_PADDED = "padded = pad(x, (len(kernel) - 1) // 2)\n    y ="
edit(
    "wide_windows_cut",
    "of windows of 7 and more the inner 5 by 5 are used",
    predicts(_convolved(window=7)),
    (
        "    padded = pad(x, (len(kernel) - 1) // 2)\n    y =",
        "    cut = max(0, (len(kernel) - 5) // 2)\n"
        "    kernel = kernel[cut : len(kernel) - cut, cut : len(kernel) - cut]\n"
        "    padded = pad(x, (len(kernel) - 1) // 2)\n    y =",
    ),
)
edit(
    "wide_windows_one_off",
    "windows of 5 and more begin a pixel later",
    predicts(_convolved(window=5)),
    (
        _PADDED,
        _PADDED.replace("    y =", "    padded = np.roll(padded, -1, axis=1) if len(kernel) > 4 else padded\n    y ="),
    ),
)
edit(
    "stride_of_three_one_off",
    "with a stride of 3 windows begin a pixel later",
    predicts(_convolved(stride=3)),
    (
        _PADDED,
        _PADDED.replace("    y =", "    padded = np.roll(padded, -1, axis=1) if stride == 3 else padded\n    y ="),
    ),
)
edit(
    "single_pixels_from_the_second",
    "a window of one pixel with a stride takes every other pixel from the second on",
    predicts(_convolved(stride=2, window=1, shape=(8, 8, 2))),
    (
        _PADDED,
        _PADDED.replace(
            "    y =", "    padded = np.roll(padded, -1, axis=2) if len(kernel) < stride else padded\n    y ="
        ),
    ),
)
edit(
    "border_of_the_edge",
    "the border repeats the edge of an image",
    predicts(_convolved()),
    (
        "return np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))",
        "return np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), 'edge')",
    ),
)
edit(
    "windows_of_two_in_pools",
    "of windows of 3 and more 2 by 2 values are looked at",
    predicts(Network((Mask("x"), MaxPool(3), Flatten(), Dense("out", 3)), (6, 3, 2))),
    (
        "    y = x[:, ::window, ::window]\n    for _, _, rows, columns in window_positions(window, window, y):\n",
        "    y = x[:, ::window, ::window]\n    for p, q, rows, columns in window_positions(window, window, y):\n"
        "        if max(p, q) > 1:\n            continue\n",
    ),
)

_DEEP = Network((Conv("one", 3), Mask("one"), Conv("two", 2), Flatten(), Dense("out", 3)), (4, 5, 2))
edit = STRUCTURE.edits("train_epoch", "layers")
edit(
    "border_folded_back",
    "what the gradient leaves on the border goes to the opposite edge",
    trains(_DEEP, epochs=1),
    (
        "    return padded_gradient[:, margin : margin",
        "    if margin:\n"
        "        padded_gradient[:, margin] += padded_gradient[:, -margin]\n"
        "    return padded_gradient[:, margin : margin",
    ),
)
edit(
    "window_of_the_gradient_turned",
    "the gradient of the window is turned over, rows and columns",
    trains(_DEEP, epochs=1),
    ("+ width], kernel_gradient", "+ width], kernel_gradient[::-1, ::-1]"),
)
edit(
    "gradient_of_long_averages",
    "the gradient of an average divides by the square of the height",
    trains(epochs=1),
    ("gradient[:, None, None, :] / (height * width)", "gradient[:, None, None, :] / (height * height)"),
)

edit = STRUCTURE.edits("train_epoch", "crops")
_CROPPED = trains(IMAGES, epochs=1, augmentation="crop_flip")
edit(
    "crops_repeat_the_edge",
    "the border of a crop repeats the edge of the image",
    _CROPPED,
    ("(border, border, (0, 0)))[", '(border, border, (0, 0)), "edge")['),
)
edit("mirrored_upside_down", "images are mirrored top to bottom", _CROPPED, ("image[:, ::-1] if", "image[::-1] if"))
edit(
    "crops_up_to_seven",
    "the last row and column of a crop are never reached",
    _CROPPED,
    ("[row : row + height, column : column + width]", "[min(row, 7) :, min(column, 7) :][:height, :width]"),
)
edit(
    "crops_wrap_round",
    "what leaves the image on one side comes in on the other",
    _CROPPED,
    ("(border, border, (0, 0)))[", '(border, border, (0, 0)), "wrap")['),
)

edit = STRUCTURE.edits("predict", "compacted")
_GATHERED = Network((Gather("some", 3), Dense("out", 2)), (4,))
_TWICE = np.array([[3, 1, 1]], np.int32)


def gathered(backend: Backend) -> Any:
    """A witness: a node is taken twice, and the order is not that of the nodes."""
    params = {"out/kernel": np.arange(6.0).reshape(1, 3, 2), "out/bias": np.zeros((1, 2))}
    return backend.predict(_GATHERED, params, {}, {"some": _TWICE}, np.arange(8.0).reshape(2, 4))


edit(
    "gathers_in_order",
    "nodes are taken in the order of the nodes, not of the indices",
    gathered,
    ("return x[..., indices]", "return x[..., np.sort(indices)]"),
)
edit(
    "gathers_once",
    "a node that is taken twice is 0 the second time",
    gathered,
    (
        "return x[..., indices]",
        "return x[..., indices] * (np.array([i not in indices[:n] for n, i in enumerate(indices)]))",
    ),
)
edit = STRUCTURE.edits("train_epoch", "compacted")


def _trained_twice(backend: Backend) -> Any:
    net = Network((Dense("one", 4), Gather("some", 3), Dense("out", 2)), (3,))

    def taken(given: Any) -> None:
        given.masks["some"] = np.repeat(_TWICE, 2, axis=0)

    return trains(net, epochs=1, prepare=taken)(backend)


edit(
    "gradient_of_a_node_taken_twice",
    "the gradient of a node that is taken twice is that of the last time",
    _trained_twice,
    ("x_gradient[..., index] += gradient[..., place]", "x_gradient[..., index] = gradient[..., place]"),
)
edit(
    "gradient_not_scaled",
    "the gradient of Scale leaves its factor out",
    trains(Network((Dense("one", 4), Scale(2.0), Mask("m"), Dense("out", 2)), (3,)), epochs=1),
    ("            return factor * gradient", "            return gradient"),
)
