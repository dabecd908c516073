"""The layers one by one: by hand, against naive loops, and each gradient against exact differences.

Numbers are small integers, and steps powers of two, so that float64 computes every sum here without rounding.
"""

from collections.abc import Callable

import numpy as np
import pytest

from weedout_numpy import layers as nn

STEP = 2.0**-4


def integers(seed: int, *shape: int) -> np.ndarray:
    array = np.random.default_rng(seed).integers(-4, 5, size=shape).astype(np.float64)
    array.setflags(write=False)
    return array


def distinct(seed: int, *shape: int) -> np.ndarray:
    """Integers none of which is 0 or equal to another: no step of 1/16 makes one overtake another or change sign."""
    values = np.arange(1, np.prod(shape) + 1) * np.where(np.arange(np.prod(shape)) % 3 == 0, -1.0, 1.0)
    array = np.random.default_rng(seed).permutation(values).reshape(shape)
    array.setflags(write=False)
    return array


def differences(f: Callable[[np.ndarray], np.ndarray], at: np.ndarray, c: np.ndarray) -> np.ndarray:
    """∂L/∂at for L = Σ c ⊙ f(at): exact where f is linear over the step."""
    slope = np.zeros(at.size)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = STEP
        slope[i] = (c * (f(at + step.reshape(at.shape)) - f(at - step.reshape(at.shape)))).sum() / (2 * STEP)
    return slope.reshape(at.shape)


def naive_conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Six loops, and the border of zeros as an index that falls outside."""
    examples, height, width, channels = x.shape
    window, _, _, features = kernel.shape
    y = np.zeros((examples, -(-height // stride), -(-width // stride), features))
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            for p in range(window):
                for q in range(window):
                    row, column = stride * i + p - window // 2, stride * j + q - window // 2
                    if not (0 <= row < height and 0 <= column < width):
                        continue
                    for channel in range(channels):
                        for feature in range(features):
                            y[:, i, j, feature] += x[:, row, column, channel] * kernel[p, q, channel, feature]
    return y


SIZES = [(1, 1), (2, 3), (4, 4), (5, 6), (7, 7)]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("size", SIZES)
def test_a_convolution_is_six_loops(size: tuple[int, int], window: int, stride: int) -> None:
    x, kernel = integers(0, 2, *size, 3), integers(1, window, window, 3, 2)
    np.testing.assert_array_equal(nn.conv(x, kernel, stride), naive_conv(x, kernel, stride))


def test_a_convolution_does_not_turn_its_window_over() -> None:
    x = np.zeros((1, 3, 3, 1))
    x[0, 1, 1, 0] = 1
    kernel = np.arange(9.0).reshape(3, 3, 1, 1)
    expected = [[8, 7, 6], [5, 4, 3], [2, 1, 0]]
    np.testing.assert_array_equal(nn.conv(x, kernel, 1)[0, :, :, 0], expected, "pixel (0, 0) meets it at (2, 2)")


def test_a_stride_of_2_looks_at_the_even_pixels_whatever_the_size() -> None:
    """A window whose only weight is in its middle copies pixel (2i, 2j): the border is the same on both sides."""
    kernel = np.zeros((3, 3, 1, 1))
    kernel[1, 1] = 1
    for height, width in SIZES:
        x = np.arange(1.0, height * width + 1).reshape(1, height, width, 1)
        np.testing.assert_array_equal(nn.conv(x, kernel, 2), x[:, ::2, ::2], f"{height} × {width}")


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 4), (5, 4)])
def test_the_gradients_of_a_convolution(size: tuple[int, int], window: int, stride: int) -> None:
    x, kernel = integers(0, 2, *size, 2), integers(1, window, window, 2, 3)
    c = integers(2, *nn.conv(x, kernel, stride).shape)
    x_gradient, kernel_gradient = nn.conv_gradient(x, kernel, stride, c)
    np.testing.assert_array_equal(x_gradient, differences(lambda x: nn.conv(x, kernel, stride), x, c), "∂L/∂x")
    np.testing.assert_array_equal(kernel_gradient, differences(lambda w: nn.conv(x, w, stride), kernel, c), "∂L/∂W")


def test_the_gradients_of_a_dense_layer() -> None:
    x, kernel, bias, c = integers(0, 5, 4), integers(1, 4, 3), integers(2, 3), integers(3, 5, 3)
    x_gradient, kernel_gradient, bias_gradient = nn.dense_gradient(x, kernel, c)
    np.testing.assert_array_equal(x_gradient, differences(lambda x: nn.dense(x, kernel, bias), x, c), "∂L/∂x")
    np.testing.assert_array_equal(kernel_gradient, differences(lambda w: nn.dense(x, w, bias), kernel, c), "∂L/∂W")
    np.testing.assert_array_equal(bias_gradient, differences(lambda b: nn.dense(x, kernel, b), bias, c), "∂L/∂b")


def test_the_gradient_of_a_relu() -> None:
    x, c = distinct(0, 4, 3), integers(1, 4, 3)
    np.testing.assert_array_equal(nn.relu_gradient(x, c), differences(nn.relu, x, c))
    zero = np.zeros((1, 1))
    np.testing.assert_array_equal(nn.relu_gradient(zero, zero + 1), zero, "at 0 the slope is taken from the left")


def test_max_pool_takes_the_largest_of_windows_side_by_side() -> None:
    x = np.array([[1, 2, -1, -2], [3, 0, -4, -3], [5, 5, 0, 0], [5, 5, 0, 7]], dtype=np.float64)[None, :, :, None]
    np.testing.assert_array_equal(nn.max_pool(x, 2)[0, :, :, 0], [[3, -1], [5, 7]])
    np.testing.assert_array_equal(nn.max_pool(x, 4)[0, :, :, 0], [[7]])
    np.testing.assert_array_equal(nn.max_pool(x, 1), x, "a window of 1 changes nothing")


@pytest.mark.parametrize("window", [1, 2, 3])
def test_the_gradient_of_max_pool(window: int) -> None:
    x, c = distinct(0, 2, 6, 6, 2), integers(1, 2, 6 // window, 6 // window, 2)
    slope = differences(lambda x: nn.max_pool(x, window), x, c)
    np.testing.assert_array_equal(nn.max_pool_gradient(x, window, c), slope)


def test_of_equals_the_first_gets_the_gradient_of_max_pool() -> None:
    x = np.array([[0, 5], [5, 5]], dtype=np.float64)[None, :, :, None]
    gradient = nn.max_pool_gradient(x, 2, np.full((1, 1, 1, 1), 3.0))
    np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 3], [0, 0]], "row by row, and only once")


def test_global_average_pool_is_the_mean_of_each_channel() -> None:
    x, c = integers(0, 3, 2, 4, 5), integers(1, 3, 5)  # 8 pixels: an eighth is exact
    y = nn.global_average_pool(x)
    np.testing.assert_array_equal(y[1, 2], x[1, :, :, 2].sum() / 8)
    gradient = nn.global_average_pool_gradient(x, c)
    np.testing.assert_array_equal(gradient, differences(nn.global_average_pool, x, c))


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("shape", [(4, 4, 4), (4,)], ids=["nodes", "channels"])
def test_a_mask_is_its_own_gradient(shape: tuple[int, ...], rescale: bool) -> None:
    mask = np.random.default_rng(3).permutation(np.arange(np.prod(shape)) % 2 == 0).reshape(shape)  # half: factor 2
    x, c = integers(0, 2, 4, 4, 4), integers(1, 2, 4, 4, 4)
    slope = differences(lambda x: nn.apply_mask(x, mask, rescale), x, c)
    np.testing.assert_array_equal(nn.apply_mask(c, mask, rescale), slope)


def test_a_mask_of_channels_removes_whole_channels() -> None:
    x = integers(0, 2, 3, 3, 4) + 10
    y = nn.apply_mask(x, np.array([True, False, False, True]), rescale=False)
    np.testing.assert_array_equal(y[..., [0, 3]], x[..., [0, 3]], "these stay")
    assert not y[..., [1, 2]].any(), "these are 0 at every pixel"
    rescaled = nn.apply_mask(x, np.array([True, False, False, True]), rescale=True)
    np.testing.assert_array_equal(rescaled, 2 * y, "2 of 4 are kept: what is left is twice as large")


def test_a_removed_channel_is_absent_whatever_it_says() -> None:
    x = np.array([1.0, np.inf, np.nan]).reshape(1, 1, 1, 3)
    y = nn.apply_mask(x, np.array([True, False, False]), rescale=False)
    np.testing.assert_array_equal(y.ravel(), [1, 0, 0], "0 is chosen, not multiplied in")
