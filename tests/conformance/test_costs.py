"""Multiply-adds against the counters of the frameworks: those of the weight layers of a Wide ResNet and a VGG."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core._networks.layers import walk

NETWORKS = {
    "WRN-16-2": wc.wide_resnet(16, 2, 10),
    "WRN-10-1, odd image": wc.wide_resnet(10, 1, 5, (9, 7, 3), hidden=(6,)),
    "VGG": wc.vgg(4, 10, hidden=(8,)),
    "WRN-28-10": wc.wide_resnet(28, 10, 10),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_half_the_operations_that_pytorch_counts(name: str) -> None:
    """FlopCounterMode counts two for each multiply-add of a convolution or a matrix product, padding included.

    It counts nothing else, so that only those need be right here; on meta tensors nothing is computed.
    """
    torch = imported("torch", "torch")
    from torch.utils.flop_counter import FlopCounterMode

    net = NETWORKS[name]
    height, width, channels = net.input_shape
    with FlopCounterMode(display=False) as counter:
        run_in_torch(torch, net.layers, torch.empty(1, channels, height, width, device="meta"))
    assert 2 * wc.costs(net).macs == counter.get_total_flops()


def run_in_torch(torch: Any, layers: Sequence[wc.nn.Layer], x: Any) -> Any:
    """The layers with their own shapes and no numbers. NCHW, as PyTorch has it."""
    for layer in layers:
        match layer:
            case wc.nn.Dense(_, units):
                x = x @ torch.empty(x.shape[1], units, device="meta")
            case wc.nn.Conv(_, features, window, stride):
                kernel = torch.empty(features, x.shape[1], window, window, device="meta")
                x = torch.nn.functional.conv2d(x, kernel, stride=stride, padding=(window - 1) // 2)
            case wc.nn.MaxPool(window):
                x = torch.nn.functional.max_pool2d(x, window)
            case wc.nn.GlobalAveragePool():
                x = x.mean(dim=(2, 3))
            case wc.nn.Flatten():
                x = x.flatten(1)
            case wc.nn.Residual(main, shortcut):
                x = run_in_torch(torch, main, x) + run_in_torch(torch, shortcut, x)
            case wc.nn.BatchNorm() | wc.nn.Relu() | wc.nn.Mask():
                pass
    return x


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_half_the_operations_that_xla_counts_and_those_with_the_padding(name: str) -> None:
    """XLA counts two for each multiply-add too, but leaves out those with the zeros of the padding.

    It also counts element-wise work; a program of one convolution or one matrix product alone has none.
    """
    jax = imported("jax", "jax")
    net = NETWORKS[name]
    total = padding = 0
    for layer, shape in walk(net.layers, net.input_shape):
        if isinstance(layer, wc.nn.Dense | wc.nn.Conv):
            total += operations_in_jax(jax, layer, shape)
        if isinstance(layer, wc.nn.Conv):
            padding += macs_with_padding(layer, shape)
    assert 2 * (wc.costs(net).macs - padding) == total


def operations_in_jax(jax: Any, layer: wc.nn.Dense | wc.nn.Conv, shape: tuple[int, ...]) -> int:
    """XLA's count for one layer and one example. Nothing is compiled: the count is that of the program as written."""
    x, f32 = jax.ShapeDtypeStruct((1, *shape), "float32"), "float32"
    if isinstance(layer, wc.nn.Dense):
        kernel = jax.ShapeDtypeStruct((shape[0], layer.units), f32)
        lowered = jax.jit(jax.numpy.matmul).lower(x, kernel)
    else:
        margin = (layer.kernel_size - 1) // 2
        kernel = jax.ShapeDtypeStruct((layer.kernel_size, layer.kernel_size, shape[2], layer.features), f32)

        def convolve(x: Any, kernel: Any) -> Any:
            return jax.lax.conv_general_dilated(
                x, kernel, (layer.stride,) * 2, [(margin, margin)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        lowered = jax.jit(convolve).lower(x, kernel)
    return round(lowered.cost_analysis()["flops"])


def macs_with_padding(conv: wc.nn.Conv, shape: tuple[int, ...]) -> int:
    """The multiply-adds of a convolution in which the input is a zero of the padding."""
    margin = (conv.kernel_size - 1) // 2

    def inside(size: int) -> int:
        """Pairs of an output and a window entry, along one axis, that meet the image."""
        places = range(0, size, conv.stride)
        return sum(0 <= place + entry - margin < size for place in places for entry in range(conv.kernel_size))

    height, width, channels = shape
    outputs = math.ceil(height / conv.stride) * math.ceil(width / conv.stride)
    return (outputs * conv.kernel_size**2 - inside(height) * inside(width)) * channels * conv.features
