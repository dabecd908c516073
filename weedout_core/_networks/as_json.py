"""Networks as text: JSON, layer by layer, and the way back."""

import json
from dataclasses import fields
from typing import Any, cast

from weedout_core._guard.guarded import guarded
from weedout_core._networks.layers import LAYERS, Layer, Residual
from weedout_core._networks.models import from_plain
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
    return {
        "layer": type(layer).__name__,
        **{one.name: getattr(layer, one.name) for one in fields(layer) if one.compare},
    }


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
    found: dict[str, Any] = {name: value for name, value in data.items() if name != "layer"}
    if data["layer"] == "Residual":
        found = {name: tuple(_from_data(one) for one in branch) for name, branch in found.items()}
    plain = {name: _tuples(value) for name, value in found.items()}
    return from_plain(**plain) if data["layer"] == "Adopted" else LAYERS[data["layer"]](**plain)


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(map(_tuples, cast(list[Any], value))) if isinstance(value, list) else value
