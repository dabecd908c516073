"""Networks without a mask: the dense parent, and a narrower one that has as many parameters as a sparse network."""

import math
from collections.abc import Sequence
from dataclasses import replace

from weedout_core import Network, Subnetwork, costs
from weedout_core._random.keys import of_parent
from weedout_core.backend import map_tree, masks_from_keys
from weedout_core.lab.arms.starts import masked
from weedout_core.lab.experiment.arms import Arm, Start, Task
from weedout_core.nn import Conv, Dense, Layer, Residual, he_normal, initial_statistics, parameter_shapes


def dense(task: Task) -> Start:
    """The parent with all of its nodes, at its initial weights."""
    return masked(None, task)


def small_dense(task: Task) -> Start:
    """A dense network whose layers are all narrower by one factor, with as many parameters as a random mask leaves.

    Its weights are drawn as the parent's are, by the same key.
    """
    masks = {site: mask[0] for site, mask in masks_from_keys(task.key[None], task.plan).items()}
    net = narrower(task.net, costs(task.net, masks).active_parameters)
    drawn = task.backend.draw_parameters(of_parent(task.root), he_normal(net, task.search.fan))
    return Start(Subnetwork(net, map_tree(task.backend.to_numpy, drawn), None, initial_statistics(net) or None))


def narrower(net: Network, parameters: int) -> Network:
    """The network with all hidden widths times one factor, at most 1, whose parameters are nearest to a number."""
    low, high = 0.0, 1.0
    while high - low > 1 / (2 * _widest(net.layers)):  # below this a factor changes no width by more than one
        middle = (low + high) / 2
        if _parameters(_scaled(net, middle)) > parameters:
            high = middle
        else:
            low = middle
    return min((_scaled(net, low), _scaled(net, high)), key=lambda one: abs(_parameters(one) - parameters))


def _parameters(net: Network) -> int:
    return sum(math.prod(shape) for shape in parameter_shapes(net).values())


def _scaled(net: Network, factor: float) -> Network:
    *hidden, logits = net.layers
    return Network((*_narrow(hidden, factor), logits), net.input_shape)


def _narrow(layers: Sequence[Layer], factor: float) -> tuple[Layer, ...]:
    def width(whole: int) -> int:
        return max(1, math.floor(factor * whole + 0.5))

    found: list[Layer] = []
    for layer in layers:
        match layer:
            case Dense(units=units):
                found.append(replace(layer, units=width(units)))
            case Conv(features=features):
                found.append(replace(layer, features=width(features)))
            case Residual(main, shortcut):
                found.append(Residual(_narrow(main, factor), _narrow(shortcut, factor)))
            case _:
                found.append(layer)
    return tuple(found)


def _widest(layers: Sequence[Layer]) -> int:
    widths = [1]
    for layer in layers:
        match layer:
            case Dense(units=width) | Conv(features=width):
                widths.append(width)
            case Residual(main, shortcut):
                widths += [_widest(main), _widest(shortcut)]
            case _:
                pass
    return max(widths)


DENSE, SMALL_DENSE = Arm("dense", dense), Arm("small_dense", small_dense)
