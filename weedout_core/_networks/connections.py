"""Masks of single weights: a bit for each connection, beside the masks of nodes and of channels or in their place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Name
from weedout_core._networks.layers import Conv, Dense, Layer, Residual
from weedout_core._networks.models import Adopted, Held
from weedout_core._networks.network import Network, gather_space
from weedout_core.errors import ConfigError


@guarded
def with_connections(net: Network, weights: Sequence[Name] = ("*",)) -> Network:
    """The same network, whose weights are sites too: each is multiplied by a mask with a bit for every connection.

    DropConnect (Wan, Zeiler, Zhang, LeCun, Fergus, "Regularization of neural networks using DropConnect", ICML 2013)
    masks weights where dropout masks nodes. Here the mask is fixed, as those of nodes are: a removed weight is 0 in
    every product, so that no training changes it. The site has the path of its weights, such as "dense_0/kernel".

    Args:
        net: the network. Sites that it has stay sites.
        weights: the paths of the weights that are masked, or patterns of them, as in "group_0/*". By default it is all
            weights that multiply activations, those before the logits included. Biases and batch normalisation are not.
    Raises:
        ConfigError: a pattern matches no weights, or the network is a compacted one.
    """
    if gather_space(net):
        raise ConfigError("weights are masked in a parent; got a compacted network. Pass the one it is made of.")
    every = tuple(path for path, _ in _weights(net))
    for pattern in weights:
        if not any(fnmatchcase(path, pattern) for path in every):
            raise ConfigError(f"weights must be those of the network, {', '.join(every) or 'none'}; got {pattern!r}.")
    chosen = frozenset(path for path in every if any(fnmatchcase(path, pattern) for pattern in weights))
    return replace(net, layers=tuple(_marked(layer, chosen) for layer in net.layers))


@guarded
def connection_sites(net: Network) -> tuple[str, ...]:
    """The sites that are weights, by their paths, in the order of the layers."""
    return tuple(path for path, is_site in _weights(net) if is_site)


def _weights(net: Network) -> Iterator[tuple[str, bool]]:
    """The paths of the weights that multiply activations, each with whether they are a site."""
    for layer, _ in net.walked:
        if isinstance(layer, Dense | Conv):
            yield f"{layer.name}/kernel", layer.connections
        elif isinstance(layer, Adopted):
            yield from ((held.path, held.connections) for held in layer.params if held.macs and len(held.shape) > 1)


def _marked(layer: Layer, chosen: frozenset[str]) -> Layer:
    match layer:
        case Dense(name) | Conv(name):
            return replace(layer, connections=layer.connections or f"{name}/kernel" in chosen)
        case Residual(main, shortcut):
            return Residual(*(tuple(_marked(one, chosen) for one in branch) for branch in (main, shortcut)))
        case Adopted():
            return replace(layer, params=tuple(_held(one, chosen) for one in layer.params))
        case _:
            return layer


def _held(held: Held, chosen: frozenset[str]) -> Any:
    return held._replace(connections=held.connections or held.path in chosen)
