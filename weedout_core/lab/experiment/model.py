"""A model of the user's own as the parent: a function of a seed, which is called once for each repeat."""

import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from weedout_core import Network
from weedout_core._guard.showing import shown
from weedout_core._random.keys import of_parent, of_repeat
from weedout_core.backend import Adopted, Backend, adopted
from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.code.functions import Function, called, check_call
from weedout_core.lab.code.sources import source
from weedout_core.nn import initial_statistics
from weedout_core.random import Key, bits

_EXAMPLES = 3


class Parent(NamedTuple):
    """The dense network of a repeat.

    Attributes:
        net: the network, equal in all repeats; that of an adopted model has a model with these weights.
        params: its initial weights, {path: float ``shape``}, read-only.
    """

    net: Network
    params: Mapping[str, np.ndarray]


class Model(NamedTuple):
    """A model of the user's own.

    Attributes:
        place: "package.module:function".
        make: the function of a seed, an integer in [0, 2^31).
        source: the SHA-256 of the files that it is made of.
        net: the network of the first repeat.
    """

    place: str
    make: Function
    source: str
    net: Network

    def parent(self, key: Key) -> Parent:
        """The adopted model with the initial weights that it has for a key.

        Raises:
            ConfigError: the function failed, or made another network.
        """
        model = _layer(_alike(self.place, self.net, _made(self.place, self.make, key))).model
        return Parent(Network((replace(_layer(self.net), model=model),), self.net.input_shape), model.params)


def own_model(place: str, make: Function, seed: int, backend: Backend) -> Model:
    """The model of a function, after checking that its seed decides the initial weights and nothing else.

    Args:
        place: by which the run knows it.
        make: the function.
        seed: of the experiment.
        backend: what computes.
    Raises:
        ConfigError: it is no function of a seed, it failed, it makes no network, or another one each time.
        BackendError: the backend does not compute it.
    Warns:
        WeedoutWarning: the seed has no effect.
    """
    check_call(make, f"the model {place}", ["a seed"], "a network")
    keys = [of_parent(of_repeat(seed, repeat)) for repeat in (0, 0, 1)]
    net, again, other = (_made(place, make, key) for key in keys)
    if net != again:
        raise ConfigError(
            f"the model {place} must be the same whenever it is made with the same seed; it was another the second "
            f"time: {_difference(net, again)}. Draw all of its weights from the seed, as after torch.manual_seed(seed)."
        )
    _alike(place, net, other)
    if adopted(net) is not None:
        _check_computes_alike(place, net, other, backend)
        if net == other:
            warnings.warn(
                f"the model {place} has the same weights for every seed, so that repeats differ in the order of the "
                "data alone, and intervals say nothing of other initial weights.",
                WeedoutWarning,
                stacklevel=2,
            )
    return Model(place, make, source(make), net)


def _made(place: str, make: Function, key: Key) -> Network:
    """The network that a function makes of the seed that a key gives: 31 bits, which every library takes."""
    made = called(make, f"the model {place}", int(bits(key, 1)[0] >> 1))
    if not isinstance(made, Network):
        raise ConfigError(f"the model {place} must return a network, such as wc.adopt makes; got {shown(made)}.")
    return made


def _layer(net: Network) -> Adopted:
    layer = adopted(net)
    assert layer is not None
    return layer


def _alike(place: str, net: Network, other: Network) -> Network:
    """The other network. Raises ConfigError unless they differ at most in the weights of an adopted model."""
    if _without_weights(net) != _without_weights(other) or not _same(*map(initial_statistics, (net, other))):
        raise ConfigError(
            f"the model {place} must be the same network for every seed, but for its weights; it differs in "
            f"{_difference(net, other)}. Let the seed decide the weights alone."
        )
    return other


def _without_weights(net: Network) -> Network:
    layer = adopted(net)
    return net if layer is None else Network((replace(layer, digest="any"),), net.input_shape)


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[path], other[path]) for path in one)


def _difference(net: Network, other: Network) -> str:
    """The first part in which two networks differ, and what it is in each."""
    pairs = [("input_shape", net.input_shape, other.input_shape), ("layers", net.layers, other.layers)]
    one, another = adopted(net), adopted(other)
    if one is not None and another is not None:
        pairs += [(item.name, getattr(one, item.name), getattr(another, item.name)) for item in _compared()]
    name, first, second = next(pair for pair in [*pairs[:1], *pairs[2:], pairs[1], _STATISTICS] if pair[1] != pair[2])
    if isinstance(first, tuple) and isinstance(second, tuple):
        first, second = next(pair for pair in zip_longest(first, second) if pair[0] != pair[1])
    first, second = (tuple(one) if isinstance(one, tuple) else one for one in (first, second))  # of records, the fields
    return f"{name}: {shown(first)} and {shown(second)}"


#: Where nothing else differs.
_STATISTICS = ("statistics", "their values", "others")


def _compared() -> list[Any]:
    return [item for item in fields(Adopted) if item.compare]


def _check_computes_alike(place: str, net: Network, other: Network, backend: Backend) -> None:
    """Raise ConfigError unless two models compute the same when they have the same weights."""
    params, statistics = _layer(other).model.params, initial_statistics(other) or None
    x = np.random.default_rng(0).standard_normal((_EXAMPLES, *net.input_shape), np.float32)
    ours, theirs = (backend.to_numpy(backend.apply(one, params, x, None, statistics)) for one in (net, other))
    if not np.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(np.abs(theirs).max())):
        raise ConfigError(
            f"the model {place} computes something else for another seed with the same weights: the seed decides an "
            "array that is no weight. Make it a parameter, or the same for every seed."
        )
