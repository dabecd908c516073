"""Initial weights: how each parameter of a network is drawn."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._guard.kinds import AtLeastZero, Name, Positive, Word
from weedout_core._guard.showing import shown
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    Shape,
    output_shape,
)
from weedout_core._networks.models import Adopted
from weedout_core._networks.network import Network, adopted, mask_space, parameter_shapes
from weedout_core._random.keys import path_code
from weedout_core.errors import ConfigError

Fan = Literal["fan_in", "fan_out"]


@dataclass(frozen=True)
class ParameterSpec:
    """How one parameter is drawn: ``std`` times a standard normal or, where ``std`` is 0, ``value`` everywhere.

    Attributes:
        path: the path of the parameter, such as "logits/kernel".
        shape: the shape of the parameter.
        code: the number that is folded into the key for this parameter: the CRC-32 of the path.
        std: the standard deviation, ≥ 0, computed on the host in float64.
        value: the constant value of the parameter where ``std`` is 0.
    """

    path: Name
    shape: Shape
    code: Word
    std: AtLeastZero
    value: float = 0.0

    def __post_init__(self) -> None:
        convert_fields(self, f" of {shown(self.path)}")


@guarded
def he_normal(
    net: Network, fan: Fan = "fan_in", kept: Mapping[str, Positive] | None = None
) -> tuple[ParameterSpec, ...]:
    """He-normal weights, std = √(2/fan) (He et al., ICCV 2015; paper, section 3), zero biases, γ = 1.

    The fan of a convolution counts its window: ``window² · channels`` in, ``window² · features`` out.

    Args:
        net: the parent.
        fan: count a layer's inputs ("fan_in") or its outputs ("fan_out").
        kept: {site: nodes or weights kept}, in [1, those of the site]: the fan counts only these. None counts all.
    Returns:
        a specification of each parameter, in the order of :func:`parameter_shapes`.
    Raises:
        ConfigError: ``fan`` or a site is unknown, a site would keep more nodes than it has, or the network is an
            adopted model.
    """
    if (model := adopted(net)) is not None:
        raise ConfigError(
            f"the weights of {model.name} are its own, and its library initialises them: how, is not known here."
        )
    nodes = {site: math.prod(shape) for site, shape in mask_space(net).items()}
    if wrong := [f"{count} for {site!r}" for site, count in (kept or {}).items() if count > nodes.get(site, 0)]:
        raise ConfigError(f"kept must be at most the nodes of the network's sites, {nodes}; got {wrong[0]}.")
    share = {site: count / nodes[site] for site, count in (kept or {}).items()}
    std: dict[str, float] = {}
    for layer in weight_layers(net):
        site, links = (layer.site_before, layer.fan_in) if fan == "fan_in" else (layer.site_after, layer.fan_out)
        path = f"{layer.name}/kernel"
        std[path] = math.sqrt(2 / (links * share.get(site or "", 1.0) * share.get(path, 1.0)))
    return tuple(
        ParameterSpec(path, shape, path_code(path), std.get(path, 0.0), 1.0 if path.endswith("/scale") else 0.0)
        for path, shape in parameter_shapes(net).items()
    )


class WeightLayer(NamedTuple):
    """A layer with weights, and the sites whose masks decide how much of it is active.

    Attributes:
        name: the layer's name.
        fan_in, fan_out: the links to each output, and from each input (at stride 1, away from the border).
        site_before, site_after: the sites that mask its inputs and its outputs; None where there is no mask.
    """

    name: str
    fan_in: int
    fan_out: int
    site_before: str | None
    site_after: str | None


def weight_layers(net: Network) -> tuple[WeightLayer, ...]:
    """The layers with weights, in order, each with the masks next to it."""
    before, _ = _sites_before(net.layers, None)
    after, _ = _sites_after(net.layers, None)
    return tuple(
        WeightLayer(name, *fans, before[name], after[name]) for name, fans in _fans(net.layers, net.input_shape).items()
    )


def _fans(layers: Sequence[Layer], shape: Shape) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for layer in layers:
        match layer:
            case Dense(name, units):
                found[name] = (shape[0], units)
            case Conv(name, features, window):
                found[name] = (window**2 * shape[-1], window**2 * features)
            case Residual(main, shortcut):
                found |= _fans(main, shape) | _fans(shortcut, shape)
            case _:
                pass
        shape = output_shape(layer, shape)
    return found


def _sites_before(layers: Sequence[Layer], site: str | None) -> tuple[dict[str, str | None], str | None]:
    """For each weight layer the site that masks its inputs, and the site that masks the output of the last layer."""
    found: dict[str, str | None] = {}
    for layer in layers:
        match layer:
            case Dense(name) | Conv(name):
                found[name], site = site, None
            case Mask():
                site = layer.site
            case Residual(main, shortcut):
                found |= _sites_before(main, site)[0] | _sites_before(shortcut, site)[0]
                site = None  # a sum of two, of which not both need be masked
            case BatchNorm() | Gather() | Adopted():
                site = None  # a batch norm moves a removed node's zero; the other layers take a part
            case Relu() | Scale() | Flatten() | MaxPool() | GlobalAveragePool():
                pass
    return found, site


def _sites_after(layers: Sequence[Layer], site: str | None) -> tuple[dict[str, str | None], str | None]:
    """For each weight layer the site that masks its outputs, and the site that masks the input of the first layer."""
    found: dict[str, str | None] = {}
    for layer in reversed(layers):
        match layer:
            case Dense(name) | Conv(name):
                found[name], site = site, None
            case Mask():
                site = layer.site
            case Residual(main, shortcut):
                inside, of_main = _sites_after(main, site)
                others, of_shortcut = _sites_after(shortcut, site)
                found |= inside | others
                site = of_main if of_main == of_shortcut else None  # both branches need the input
            case Gather() | Adopted():
                site = None
            case BatchNorm() | Relu() | Scale() | Flatten() | MaxPool() | GlobalAveragePool():
                pass
    return found, site
