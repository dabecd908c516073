"""Networks as text: JSON, layer by layer, and the way back."""

import json
from dataclasses import asdict
from typing import Any

from weedout_core._guard.guarded import guarded
from weedout_core._networks.layers import LAYERS, Layer, Residual
from weedout_core._networks.network import Network
from weedout_core.errors import ConfigError


@guarded
def network_to_json(net: Network) -> str:
    """A network as JSON text; :func:`network_from_json` gives back an equal network."""
    return json.dumps({"input_shape": list(net.input_shape), "layers": [_to_data(layer) for layer in net.layers]})


def _to_data(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, Residual):
        branches = {"main": layer.main, "shortcut": layer.shortcut}
        return {"layer": "Residual", **{name: [_to_data(one) for one in branch] for name, branch in branches.items()}}
    return {"layer": type(layer).__name__, **asdict(layer)}


@guarded
def network_from_json(text: str) -> Network:
    """A network from :func:`network_to_json`. Raises ConfigError for text that is not one."""
    try:
        data = json.loads(text)
        return Network(tuple(_from_data(fields) for fields in data["layers"]), tuple(data["input_shape"]))
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigError(f"not a network written by network_to_json: {error!r}.") from error


def _from_data(data: dict[str, Any]) -> Layer:
    fields: dict[str, Any] = {name: value for name, value in data.items() if name != "layer"}
    if data["layer"] == "Residual":
        fields = {name: tuple(_from_data(one) for one in branch) for name, branch in fields.items()}
    return LAYERS[data["layer"]](**fields)
