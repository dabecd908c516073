"""Shapes: what the reference infers is what the core infers, and what the layers really put out."""

import numpy as np
import pytest

import weedout_core as wc
from weedout_core import Network
from weedout_core._networks.layers import walk
from weedout_core.nn import Conv, Dense, Flatten, GlobalAveragePool, Mask, MaxPool, Residual
from weedout_numpy.initial import draw_parameters, he_normal
from weedout_numpy.network import Record, forward
from weedout_numpy.randomness import key
from weedout_numpy.shapes import layer_inputs, mask_space

NETWORKS = {
    "mlp": wc.mlp((2, 3), (4,), 2),
    "nodes": wc.wide_resnet(10, 1, 3, (6, 5, 2), mask_residual=True),
    "channels": wc.wide_resnet(16, 1, 3, (4, 4, 1), granularity="channel", hidden=(5,)),
    "vgg": wc.vgg(2, 3, (8, 12, 3), hidden=(4,)),
}


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_sites_are_those_of_the_core(net: Network) -> None:
    assert list(mask_space(net).items()) == list(wc.mask_space(net).items()), "in the same order too"


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_what_goes_into_each_layer_has_its_shape(net: Network) -> None:
    def shapes(record: Record) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        for step in record:
            found += [step.x.shape[1:], *shapes(step.main), *shapes(step.shortcut)]
        return found

    _, record = forward(net.layers, draw_parameters(key(0), he_normal(net)), None, np.ones((2, *net.input_shape)))
    assert shapes(record) == [shape for _, shape in layer_inputs(net.layers, net.input_shape)]


def test_sites_by_hand() -> None:
    branch = (Mask("a"), Conv("conv_1", 4, stride=2), Mask("b", granularity="channel"))
    shortcut = (MaxPool(2), Mask("c"), Conv("conv_2", 4, kernel_size=1))
    layers = (Residual(branch, shortcut), Mask("d"), GlobalAveragePool(), Mask("e", granularity="channel"))
    net = Network((*layers, Flatten(), Dense("logits", 2)), (6, 8, 3))
    assert mask_space(net) == {"a": (6, 8, 3), "b": (4,), "c": (3, 4, 3), "d": (3, 4, 4), "e": (4,)}


@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
def test_shapes_of_a_compacted_network(net: Network) -> None:
    small = wc.compact(net, wc.mask_plan(wc.mask_space(net), 0.5).counts).net
    inputs = [shape for _, shape in layer_inputs(small.layers, small.input_shape)]
    assert inputs == [shape for _, shape in walk(small.layers, small.input_shape)]
