"""How much of a device's memory training takes, by arithmetic: an estimate, before anything is compiled."""

import math

from weedout_core import Network, TrainConfig
from weedout_core.backend import train_plan
from weedout_core.nn import Conv, activation_shapes, every_layer, parameter_shapes

_FLOAT = 4  # bytes of a float32

# A step reads weights and velocities and writes new ones, with the gradients in between: five floats a parameter.
_STATE = 5

# Every layer's output is counted twice: once because it is kept for the backward pass, and once for the gradients in
# that pass and for copies in another layout. On a CPU, PyTorch kept 0.6 to 0.9 of the outputs; all of XLA's temporaries
# in an epoch were 0.9 to 1.0 of them for Wide ResNets and 1.7 to 1.8 for VGGs, whose widest layers come first.
_KEPT = 2

# The other half is for what is not counted: programs, workspaces of convolutions, fragmented memory, the logits of an
# evaluation, and on a CPU this process and the other ones.
_FRACTION = 0.5


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
