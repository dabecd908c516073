"""How much of a device's memory training takes, by arithmetic: an estimate, before anything is compiled."""

import math

from weedout_core import Network, TrainConfig
from weedout_core.backend import train_plan
from weedout_core.nn import Conv, activation_shapes, every_layer, parameter_shapes

_FLOAT = 4  # bytes of a float32

# Weights and velocities go into a step and come out anew, with the gradients between them: five floats a parameter.
_STATE = 5

# Every layer's output twice: once as it is kept for the backward pass, and once for the gradients on their way back and
# for copies in another layout. What PyTorch keeps was 0.6 to 0.9 of the outputs; all of XLA's temporaries in an epoch
# were 0.9 to 1.0 of them for Wide ResNets and 1.7 to 1.8 for VGGs, whose widest layers come first (on a CPU).
_KEPT = 2

# The other half is for what is not counted: programs, workspaces of convolutions, memory in pieces that do not fit,
# the logits of an evaluation, and on a CPU the process itself and those beside it.
_FRACTION = 0.5


def usable(memory: int) -> int:
    """The bytes that training may plan with, of those that a device holds."""
    return int(memory * _FRACTION)


def training_bytes(net: Network, train: TrainConfig, examples: int, devices: int, networks: int) -> int:
    """About how many bytes a device holds while networks are trained together.

    Networks with convolutions are trained one after the other within a program, and the activations of one are there
    at a time; dense ones are trained side by side, on most devices.

    Args:
        net: the parent; what a mask removes is counted too.
        train: the learning phase.
        examples: that lie on each device.
        devices: over which a batch is shared, where their number divides it.
        networks: how many are trained together.
    """
    batch = train_plan(train, examples).batch_size
    shown = batch if batch % devices else batch // devices
    state = _STATE * sum(math.prod(shape) for shape in parameter_shapes(net).values())
    activations = _KEPT * shown * sum(math.prod(shape) for shape in activation_shapes(net))
    convolutions = any(isinstance(layer, Conv) for layer in every_layer(net.layers))
    alive = activations * (1 if convolutions else networks)
    data = examples * (math.prod(net.input_shape) + 1)  # and a label
    return _FLOAT * (networks * state + alive + data)
