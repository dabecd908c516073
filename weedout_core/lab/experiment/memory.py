"""How much memory a run takes, by arithmetic, before anything is allocated or compiled.

What it needs at the very least is refused where this machine has less; what training takes of a device is an estimate.
"""

import math
from typing import NamedTuple

from weedout_core import Network, TrainConfig, mask_space
from weedout_core.backend import share_of_memory, train_plan
from weedout_core.errors import ConfigError
from weedout_core.nn import Conv, activation_shapes, every_layer, parameter_shapes

_FLOAT = 4  # bytes of a float32
_CANDIDATE = 64  # bytes of a candidate at the least: the key of its mask, its origin and its fitness
_REPEAT = 1024  # bytes of a repeat in the record and the tables of a run at the least
_WORKER = 2**26  # bytes of a process that has imported NumPy, at the least
_EPOCH = 128  # bytes of an epoch in the history of a network at the least: its loss and its accuracies

# A step reads weights and velocities and writes new ones, with the gradients in between: five floats a parameter.
_STATE = 5

# Every layer's output is counted twice: once because it is kept for the backward pass, and once for the gradients in
# that pass and for copies in another layout. On a CPU, PyTorch kept 0.6 to 0.9 of the outputs; all of XLA's temporaries
# in an epoch were 0.9 to 1.0 of them for Wide ResNets and 1.7 to 1.8 for VGGs, whose widest layers come first.
_KEPT = 2

# The other half is for what is not counted: programs, workspaces of convolutions, fragmented memory, the logits of an
# evaluation, and on a CPU this process and the other ones.
_FRACTION = 0.5


class Size(NamedTuple):
    """How many parameters and nodes that masks may remove a network has."""

    parameters: int
    nodes: int


def size_of(net: Network) -> Size:
    """The size of a network."""
    return Size(*(sum(map(math.prod, shapes.values())) for shapes in (parameter_shapes(net), mask_space(net))))


def check_fits(size: Size, at_once: int, repeats: int, epochs: int, population: int, chunk: int) -> None:
    """Raise ConfigError where a run needs more than this machine's memory, whatever it computes with.

    Args:
        size: the size of the parent.
        at_once: the number of repeats whose parents exist at once.
        repeats: the number of all repeats.
        epochs: for how many epochs a network is trained.
        population: the number of candidates in a generation.
        chunk: the number of candidates whose masks exist at once.
    """
    memory = share_of_memory(1)
    needs = {
        (f"the weights of {at_once:,} x {size.parameters:,} parameters", "hidden, the network, or together"):
            _FLOAT * at_once * size.parameters,
        (f"the record of {repeats:,} repeats", "repeats"): _REPEAT * repeats,
        (f"the masks of {chunk:,} x {size.nodes:,} nodes", "chunk, hidden, or the size of the network"):
            chunk * size.nodes,
        (f"the history of {repeats:,} x {epochs:,} epochs", "epochs or repeats"): _EPOCH * repeats * epochs,
        (f"a population of {population:,} candidates", "population"): _CANDIDATE * population,
    }  # fmt: skip
    if memory is not None and sum(needs.values()) > memory:
        what, lower = max(needs, key=lambda one: needs[one])
        raise ConfigError(
            f"a run must fit into the memory of this machine, {memory / 2**30:,.1f} GiB; it needs at least "
            f"{sum(needs.values()) / 2**30:,.1f} GiB, most of it for {what}. Lower {lower}."
        )


def check_workers(workers: int) -> None:
    """Raise ConfigError where so many processes need more than this machine's memory, whatever they compute."""
    memory = share_of_memory(1)
    if memory is not None and workers * _WORKER > memory:
        raise ConfigError(
            f"workers must fit into the memory of this machine, {memory / 2**30:,.1f} GiB; {workers:,} processes need "
            f"at least {workers * _WORKER / 2**30:,.1f} GiB. Lower workers."
        )


def usable(memory: int) -> int:
    """The part of a device's memory that training may plan with, in bytes."""
    return int(memory * _FRACTION)


def training_bytes(net: Network, train: TrainConfig, examples: int, devices: int, networks: int) -> int:
    """An estimate of the bytes that a device holds while networks are trained together.

    Networks with convolutions are trained one after the other within a program, so that only the activations of one
    exist at a time; dense networks are trained side by side, on most devices.

    Args:
        net: the parent; it is counted whole, although a mask removes a part of it.
        train: the learning phase.
        examples: the number of examples that lie on each device.
        devices: the number of devices that share a batch, if this number divides it.
        networks: the number of networks trained together.
    """
    batch = train_plan(train, examples).batch_size
    shown = batch if batch % devices else batch // devices
    state = _STATE * sum(math.prod(shape) for shape in parameter_shapes(net).values())
    activations = _KEPT * shown * sum(math.prod(shape) for shape in activation_shapes(net))
    convolutions = any(isinstance(layer, Conv) for layer in every_layer(net.layers))
    alive = activations * (1 if convolutions else networks)
    data = examples * (math.prod(net.input_shape) + 1)  # an example and its label
    return _FLOAT * (networks * state + alive + data)
