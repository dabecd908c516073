"""Networks as data: a network is a tuple of layers with an input shape, and everything else is inferred from it.

A backend interprets the layers; the core reads them for shapes, mask space, initial weights and costs without
running anything. Weights are ``(inputs, outputs)``; parameter paths are joined by ``/``; both are the same in
every backend.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from weedout_core._errors import ConfigError
from weedout_core._masks import check_codes
from weedout_core._random import path_code

Shape = tuple[int, ...]
Fan = Literal["fan_in", "fan_out"]


@dataclass(frozen=True)
class Dense:
    """Fully connected: ``y = x·W + b``, ``x`` of shape ``(inputs,)``, W ``(inputs, units)``, b ``(units,)``."""

    name: str
    units: int


@dataclass(frozen=True)
class Relu:
    """``max(x, 0)``."""


@dataclass(frozen=True)
class Flatten:
    """Any shape to ``(nodes,)``, row-major."""


@dataclass(frozen=True)
class Mask:
    """The site where an activation is multiplied by a mask (paper, section 3: the Hadamard product).

    Attributes:
        site: its name.
        rescale: divide by the fraction kept, as inverted dropout does; the paper does not mention it.
    """

    site: str
    rescale: bool = False


Layer = Dense | Relu | Flatten | Mask
_LAYERS: Mapping[str, type[Layer]] = {kind.__name__: kind for kind in (Dense, Relu, Flatten, Mask)}


@dataclass(frozen=True)
class Network:
    """A network: its layers in order, and the shape of one input. Hashable; equal networks are the same network."""

    layers: tuple[Layer, ...]
    input_shape: Shape

    def __post_init__(self) -> None:
        """Raise ConfigError if the layers do not fit together, or two names would share random numbers."""
        if not self.input_shape or any(not is_positive_integer(length) for length in self.input_shape):
            raise ConfigError(f"input_shape must be one or more positive integers; got {self.input_shape}.")
        shape = self.output_shape
        if len(shape) != 1 or shape[0] < 2:
            raise ConfigError(f"a network must end in at least two logits; its output shape is {shape}.")
        if not self.layers or not isinstance(self.layers[-1], Dense):
            raise ConfigError("a network must end in a Dense layer: the logits are never masked.")
        check_codes(tuple(mask.site for mask in self.layers if isinstance(mask, Mask)))
        check_codes(tuple(parameter_shapes(self)))

    @property
    def output_shape(self) -> Shape:
        """The shape of one output: ``(classes,)``."""
        shape = self.input_shape
        for layer, input_shape in walk(self):
            shape = output_shape(layer, input_shape)
        return shape

    @property
    def classes(self) -> int:
        return self.output_shape[0]


def is_positive_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def walk(net: Network) -> Iterator[tuple[Layer, Shape]]:
    """Each layer with the shape of its input."""
    shape = net.input_shape
    for layer in net.layers:
        yield layer, shape
        shape = output_shape(layer, shape)


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """The shape of a layer's output for an input of this shape. Raises ConfigError where it cannot be applied."""
    match layer:
        case Dense(name, units):
            if len(shape) != 1:
                raise ConfigError(
                    f"Dense layer {name!r} needs a flat input; got shape {shape}. Put a Flatten before it."
                )
            if units < 1:
                raise ConfigError(f"Dense layer {name!r} must have at least one unit; got {units}.")
            return (units,)
        case Flatten():
            return (math.prod(shape),)
        case Relu() | Mask():
            return shape


def mlp(inputs: int, hidden: tuple[int, ...], classes: int, rescale: bool = False) -> Network:
    """A multilayer perceptron with a mask after every hidden ReLU.

    Args:
        inputs: features of one example.
        hidden: units of each hidden layer; sites are named ``hidden_0``, ``hidden_1``, …
        classes: logits, at least 2. They are never masked.
        rescale: whether masked activations are divided by the fraction kept.
    """
    if inputs < 1:
        raise ConfigError(f"inputs must be at least 1; got {inputs}.")
    layers: list[Layer] = []
    for index, units in enumerate(hidden):
        layers += [Dense(f"dense_{index}", units), Relu(), Mask(f"hidden_{index}", rescale)]
    return Network((*layers, Dense("logits", classes)), (inputs,))


def mask_space(net: Network) -> dict[str, Shape]:
    """The shape of each site, in the order of the layers: {site: shape}."""
    return {layer.site: shape for layer, shape in walk(net) if isinstance(layer, Mask)}


def parameter_shapes(net: Network) -> dict[str, Shape]:
    """The shape of each parameter, in the order of the layers: {path: shape}."""
    shapes: dict[str, Shape] = {}
    for layer, shape in walk(net):
        if isinstance(layer, Dense):
            if f"{layer.name}/kernel" in shapes:
                raise ConfigError(f"two layers are named {layer.name!r}; each needs its own name.")
            shapes[f"{layer.name}/kernel"] = (shape[0], layer.units)
            shapes[f"{layer.name}/bias"] = (layer.units,)
    return shapes


def checked_parameters(net: Network, params: Any) -> None:
    """Raise ConfigError unless params are {path: array} with exactly the network's paths and shapes."""
    shapes = parameter_shapes(net)
    found: Any = type(params).__name__
    if isinstance(params, Mapping):
        found = {path: tuple(value.shape) for path, value in cast(Mapping[str, Any], params).items()}
    if found != shapes:
        raise ConfigError(f"params must be those of the network, {shapes}; got {found}.")


@dataclass(frozen=True)
class WeightLayer:
    """A layer with weights, and the sites whose masks decide how much of it is active.

    Attributes:
        name: the layer's name.
        inputs, outputs: nodes before and after it.
        site_before, site_after: the mask on its inputs and on its outputs, None where there is none.
    """

    name: str
    inputs: int
    outputs: int
    site_before: str | None
    site_after: str | None


def activation_shapes(net: Network) -> tuple[Shape, ...]:
    """The shape of one input and of each layer's output, in order."""
    return (net.input_shape, *(output_shape(layer, shape) for layer, shape in walk(net)))


def weight_layers(net: Network) -> tuple[WeightLayer, ...]:
    """The layers with weights, in order, each with the masks next to it."""
    found: list[WeightLayer] = []
    before: str | None = None
    for index, (layer, shape) in enumerate(walk(net)):
        match layer:
            case Mask(site):
                before = site
            case Dense(name, units):
                after = next((item for item in net.layers[index + 1 :] if isinstance(item, Mask | Dense)), None)
                site_after = after.site if isinstance(after, Mask) else None
                found.append(WeightLayer(name, shape[0], units, before, site_after))
                before = None
            case _:
                pass
    return tuple(found)


@dataclass(frozen=True)
class ParameterSpec:
    """How one parameter is drawn: ``std`` times a standard normal, or zero where ``std`` is 0.

    Attributes:
        path: its path.
        shape: its shape.
        code: the number folded into the key, the CRC-32 of the path.
        std: standard deviation, computed on the host in float64.
    """

    path: str
    shape: Shape
    code: int
    std: float


def he_normal(net: Network, fan: Fan = "fan_in", kept: Mapping[str, int] | None = None) -> tuple[ParameterSpec, ...]:
    """He-normal weights and zero biases: std = √(2/fan) (He et al., ICCV 2015; paper, section 3).

    Args:
        net: the parent.
        fan: count a layer's inputs ("fan_in") or its outputs ("fan_out").
        kept: nodes kept per site, to count only those; None counts the parent's.
    """
    if fan not in ("fan_in", "fan_out"):
        raise ConfigError(f'fan must be "fan_in" or "fan_out"; got {fan!r}.')
    kept = {} if kept is None else kept
    std: dict[str, float] = {}
    for layer in weight_layers(net):
        site, nodes = (layer.site_before, layer.inputs) if fan == "fan_in" else (layer.site_after, layer.outputs)
        std[f"{layer.name}/kernel"] = math.sqrt(2 / kept.get(site or "", nodes))
    shapes = parameter_shapes(net)
    return tuple(ParameterSpec(path, shape, path_code(path), std.get(path, 0.0)) for path, shape in shapes.items())


def network_to_json(net: Network) -> str:
    """A network as JSON text; :func:`network_from_json` gives back an equal network."""
    layers: list[dict[str, Any]] = [{"layer": type(layer).__name__, **asdict(layer)} for layer in net.layers]
    return json.dumps({"input_shape": list(net.input_shape), "layers": layers})


def network_from_json(text: str) -> Network:
    """A network from :func:`network_to_json`. Raises ConfigError for text that is not one."""
    try:
        data = json.loads(text)
        layers = tuple(_LAYERS[fields.pop("layer")](**fields) for fields in data["layers"])
        return Network(layers, tuple(data["input_shape"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"not a network written by network_to_json: {error!r}.") from error
