"""Layers: what each computes, and beside it, by the chain rule, how it passes a gradient back. Paper, the network 𝔑.

x is the input of a layer for a batch, ``(examples, ...)``, and y its output. A loss L depends on y, and ``gradient``
is always ∂L/∂y; a function ``…_gradient`` turns it into ∂L/∂x, and where the layer has weights into ∂L/∂W.
Batch normalisation has a file of its own, ``batch_norm``.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

Batch = Float[np.ndarray, "examples ..."]
Flat = Float[np.ndarray, "examples nodes"]
Images = Float[np.ndarray, "examples height width channels"]
Kernel = Float[np.ndarray, "window window channels features"]


def dense(x: Flat, kernel: np.ndarray, bias: np.ndarray) -> Flat:
    """y = x W + b."""
    return x @ kernel + bias


def dense_gradient(x: Flat, kernel: np.ndarray, gradient: Flat) -> tuple[Flat, np.ndarray, np.ndarray]:
    """∂L/∂x = ∂L/∂y Wᵀ, ∂L/∂W = xᵀ ∂L/∂y, ∂L/∂b = Σ_examples ∂L/∂y."""
    return gradient @ kernel.T, x.T @ gradient, gradient.sum(axis=0)


def conv(x: Images, kernel: Kernel, stride: int) -> Images:
    """y[i, j] = Σ_{p,q} x[s·i + p, s·j + q] W[p, q], where x has a border of zeros and s is the stride.

    A convolution in the field's words, a cross-correlation in those of signal processing: the window is not turned
    over. The window is odd. The border is (window − 1)/2 wide on each side, whatever the stride, so that the window is
    centred on pixel (s·i, s·j), and stride 1 keeps the size of the image.

    The sum goes over the positions (p, q) of the window. At each, all pixels that it meets go through one matrix,
    W[p, q] of shape ``(channels, features)``.
    """
    _, height, width, _ = x.shape
    padded = pad(x, (len(kernel) - 1) // 2)
    y = np.zeros((len(x), -(-height // stride), -(-width // stride), kernel.shape[-1]))
    for p, q, rows, columns in window_positions(len(kernel), stride, y):
        y += padded[:, rows, columns] @ kernel[p, q]
    return y


def conv_gradient(x: Images, kernel: Kernel, stride: int, gradient: Images) -> tuple[Images, Kernel]:
    """∂L/∂x and ∂L/∂W: each product of the forward pass, x[s·i + p, s·j + q] W[p, q], gives its share to both.

    ∂L/∂W[p, q] = Σ_{examples,i,j} x[s·i + p, s·j + q]ᵀ ∂L/∂y[i, j]; and to ∂L/∂x[s·i + p, s·j + q] is added
    ∂L/∂y[i, j] W[p, q]ᵀ. What falls on the border is dropped.
    """
    _, height, width, channels = x.shape
    margin = (len(kernel) - 1) // 2
    padded = pad(x, margin)
    padded_gradient, kernel_gradient = np.zeros(padded.shape), np.zeros(kernel.shape)
    flat_gradient = gradient.reshape(-1, kernel.shape[-1])
    for p, q, rows, columns in window_positions(len(kernel), stride, gradient):
        met = padded[:, rows, columns].reshape(-1, channels)
        kernel_gradient[p, q] = met.T @ flat_gradient
        padded_gradient[:, rows, columns] += gradient @ kernel[p, q].T
    return padded_gradient[:, margin : margin + height, margin : margin + width], kernel_gradient


def pad(x: Images, margin: int) -> Images:
    """Images with a border of zeros."""
    return np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def window_positions(window: int, stride: int, y: Images) -> Iterator[tuple[int, int, slice, slice]]:
    """Each position (p, q) of a window, and the rows s·i + p and columns s·j + q that it meets for the outputs y."""
    _, height, width, _ = y.shape
    for p in range(window):
        for q in range(window):
            rows = slice(p, p + stride * (height - 1) + 1, stride)
            columns = slice(q, q + stride * (width - 1) + 1, stride)
            yield p, q, rows, columns


def relu(x: Batch) -> Batch:
    """y = max(x, 0)."""
    return np.maximum(x, 0.0)


def relu_gradient(x: Batch, gradient: Batch) -> Batch:
    """∂L/∂x = ∂L/∂y where x > 0, else 0: the slope is 1 above 0, and at 0 it is taken from the left."""
    return gradient * (x > 0)


def max_pool(x: Images, window: int) -> Images:
    """y[i, j] = max_{p,q} x[w·i + p, w·j + q], channel by channel: the largest in each of the windows side by side.

    Height and width are multiples of the window. The paper's Wide ResNets have no such layer; VGG networks do. A window
    with a NaN gives NaN.
    """
    y = x[:, ::window, ::window]
    for _, _, rows, columns in window_positions(window, window, y):
        y = np.maximum(y, x[:, rows, columns])
    return y


def max_pool_gradient(x: Images, window: int, gradient: Images) -> Images:
    """∂L/∂x = ∂L/∂y at the largest of a window, the first of equals, row by row; 0 at every other node."""
    y = max_pool(x, window)
    x_gradient, found = np.zeros(x.shape), np.zeros(y.shape, dtype=bool)
    for _, _, rows, columns in window_positions(window, window, y):
        seen = x[:, rows, columns]
        largest = ((seen == y) | np.isnan(seen)) & ~found
        x_gradient[:, rows, columns] = np.where(largest, gradient, 0.0)
        found |= largest
    return x_gradient


def global_average_pool(x: Images) -> Flat:
    """y = the mean of each channel over the pixels."""
    return x.mean(axis=(1, 2))


def global_average_pool_gradient(x: Images, gradient: Flat) -> Images:
    """∂L/∂x = ∂L/∂y / (height · width) at every pixel."""
    _, height, width, _ = x.shape
    return np.broadcast_to(gradient[:, None, None, :] / (height * width), x.shape)


def apply_mask(x: Batch, mask: Bool[np.ndarray, "..."], rescale: bool) -> Batch:
    """x ⊙ M (paper, section 3: "a Hadamard product"): the output of a kept node as it is, and 0 for a removed one.

    A mask of the channels, ``(channels,)``, is the same at every pixel. A removed node is absent, so 0 is chosen and
    not multiplied in: 0 · ∞ would be NaN. With ``rescale`` the result is divided by the fraction kept, as is usual with
    dropout, so that the sum over the nodes keeps its size; the paper does not mention it.

    The function is its own gradient: ∂L/∂x = ∂L/∂y ⊙ M, with ``rescale`` times the same factor.
    """
    kept = np.where(mask, x, 0.0)
    return kept * (mask.size / max(np.count_nonzero(mask), 1)) if rescale else kept
