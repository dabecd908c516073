"""What the device can do at best, measured, and what that means for a piece of work."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import weedout_core as wc
from benchmarks.accelerator.clock import measure
from benchmarks.accelerator.frameworks import Framework
from weedout_core._networks.layers import output_shape, walk

_FLOAT = 4  # bytes


class Work(NamedTuple):
    """What has to be done: multiply-adds, and bytes through the device's memory."""

    macs: float
    bytes: float

    def times(self, number: float) -> "Work":
        return Work(self.macs * number, self.bytes * number)

    def plus(self, other: "Work") -> "Work":
        return Work(self.macs + other.macs, self.bytes + other.bytes)


class Limits(NamedTuple):
    """What the device did in this process: multiply-adds a second by precision, bytes a second."""

    macs: Mapping[str, float]
    bytes: float

    def columns(self, work: Work, kind: str, each: float = 1.0) -> dict[str, float]:
        """As columns of a table: milliseconds of each of so many things that the work makes."""
        return {
            "ms, products at most": 1e3 * work.macs / self.macs[kind] / each,
            "ms, memory at most": 1e3 * work.bytes / self.bytes / each,
        }


def limits(one: Framework, quick: bool) -> Limits:
    """Measure products of large matrices, and an array that is read and written."""
    side, floats = (128, 2**16) if quick else (8192, 2**29)
    speeds = {
        kind: side**3 / measure(one.product(side, kind), lambda _: None, quick).seconds
        for kind in ("highest", "default", "bfloat16")
    }
    return Limits(speeds, 2 * _FLOAT * floats / measure(one.copy(floats), lambda _: None, quick).seconds)


class WeightLayer(NamedTuple):
    """A layer with a kernel, for one example: its multiply-adds, and the floats that go in, come out and stay."""

    macs: int
    inputs: int
    outputs: int
    weights: int


def weight_layers(net: wc.Network) -> list[WeightLayer]:
    """The dense and convolutional layers, in order."""
    found: list[WeightLayer] = []
    for layer, shape in walk(net.layers, net.input_shape):
        if isinstance(layer, wc.nn.Dense | wc.nn.Conv):
            outputs = output_shape(layer, shape)
            window = 1 if isinstance(layer, wc.nn.Dense) else layer.kernel_size**2
            kernel = window * shape[-1] * outputs[-1]
            found.append(WeightLayer(math.prod(outputs[:-1]) * kernel, math.prod(shape), math.prod(outputs), kernel))
    return found


def forward(net: wc.Network, examples: int) -> Work:
    """One forward pass: of each weight layer its inputs, its outputs and its weights, each moved once, in float32."""
    layers = weight_layers(net)
    moved = sum(examples * (layer.inputs + layer.outputs) + layer.weights for layer in layers)
    return Work(examples * sum(layer.macs for layer in layers), _FLOAT * moved)


def search(net: wc.Network, plan: wc.backend.MaskPlan, candidates: int, examples: int) -> Work:
    """A population: all before the first mask once, the compacted rest for each candidate."""
    _, rest = wc.backend.split_at_first_mask(net)
    whole, masked = forward(net, examples), forward(rest, examples)
    once = Work(whole.macs - masked.macs, whole.bytes - masked.bytes)
    return once.plus(forward(wc.compact(rest, plan.counts).net, examples).times(candidates))


def training_step(net: wc.Network, examples: int) -> Work:
    """A step: the forward pass, and the gradients of weights and of inputs, but not those of the first layer."""
    once = forward(net, examples)
    return Work(3 * once.macs - examples * weight_layers(net)[0].macs, 3 * once.bytes)
