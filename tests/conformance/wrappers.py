"""To make a wrong backend of a right one: other arguments, other results, other layers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from weedout_core import Network, TrainConfig
from weedout_core._contract.record import stack
from weedout_core.backend import Backend, Batches, train_plan
from weedout_core.nn import Layer, Residual, initial_statistics

Wrong = Callable[[Backend], Backend]


def with_arguments(backend: Backend, name: str, change: Callable[..., tuple[Any, ...]]) -> Backend:
    """A backend of which one function is given other arguments: ``change(*arguments)``, which nothing checks."""
    function = getattr(backend, name).__wrapped__

    @wraps(function)
    def changed(*arguments: Any) -> Any:
        return function(*change(*arguments))

    return replace(backend, **{name: changed})


def with_result(backend: Backend, name: str, change: Callable[..., Any]) -> Backend:
    """A backend of which one function gives another result: ``change(result, *arguments)``."""
    function = getattr(backend, name)

    @wraps(function)
    def changed(*arguments: Any) -> Any:
        return change(function(*arguments), *arguments)

    return replace(backend, **{name: changed})


def on_host(backend: Backend, change: Callable[[str, np.ndarray], np.ndarray], tree: Any) -> dict[str, Any]:
    """A tree of which each array is changed in NumPy: ``change(path, value)``."""
    return {path: backend.asarray(change(path, backend.to_numpy(value))) for path, value in tree.items()}


def other_layers(net: Network, change: Callable[[Any], Any]) -> Network:
    """The network with other layers: ``change(layer)`` is one layer, or several in a tuple."""
    return replace(net, layers=_changed(net.layers, change))


def _changed(layers: Sequence[Layer], change: Callable[[Any], Any]) -> tuple[Layer, ...]:
    found: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Residual):
            layer = Residual(_changed(layer.main, change), _changed(layer.shortcut, change))
        new = change(layer)
        found.extend(new if isinstance(new, tuple) else [new])
    return tuple(found)


def batch_statistics(backend: Backend, net: Network, params: Any, masks: Any, x: Any) -> Any:
    """What each batch normalisation of R networks sees of a batch: {path: ``(R, channels)``}.

    It is what the running statistics are after one step, if they forget all that was before.
    """
    networks, examples = len(next(iter(params.values()))), len(x)
    plan = train_plan(TrainConfig(epochs=1, batch_size=examples, batch_norm_group=None), examples)
    forgetful = other_layers(net, lambda layer: replace(layer, momentum=0.0) if hasattr(layer, "momentum") else layer)
    state = backend.train_init(
        forgetful,
        plan,
        np.zeros((networks, 2), np.uint32),
        params,
        stack(backend, [initial_statistics(net)] * networks),
    )
    order = np.tile(np.arange(examples, dtype=np.int32), (networks, 1, 1))
    labels = backend.asarray(np.zeros(examples, dtype=np.int32))
    after, _ = backend.train_epoch(forgetful, plan, state, masks, x, labels, Batches(order, None))
    return after.statistics
