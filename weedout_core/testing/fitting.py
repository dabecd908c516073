"""Checks of what a backend computes at all, and of what it must refuse."""

import numpy as np

from weedout_core._algorithm.schedule import train_plan
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.record import Backend
from weedout_core._networks.network import initial_statistics, parameter_shapes
from weedout_core._random.stream import split
from weedout_core.errors import BackendError
from weedout_core.testing.cases import KEYS
from weedout_core.testing.networks import masked, networks
from weedout_core.testing.trees import on_device
from weedout_core.testing.trying import some


def computes_a_network(backend: Backend, reference: Backend) -> None:
    """The backend computes the layers of at least one network of the kit, each of which has a mask."""
    del reference
    layers = ", ".join(kind.__name__ for kind in backend.layers) or "none"
    assert masked(networks(backend)), (
        f"the backend computes no network with a mask that the kit has: its layers are {layers}; "
        "the least is Dense, Relu and Mask. Name those that it computes in Backend.layers."
    )


class _NoOptimizer:
    """What no library takes for an optimizer."""


def optimizers_are_refused(backend: Backend, reference: Backend) -> None:
    """An optimizer that no library has is refused by train_init, with a BackendError: it is never left out."""
    del reference
    net = some(networks(backend))[0]
    params = {path: np.ones((1, *shape), np.float32) for path, shape in parameter_shapes(net).items()}
    statistics = {path: value[None] for path, value in initial_statistics(net).items()}
    for optimizer in (_NoOptimizer(), "SGD", 0):
        plan = train_plan(TrainConfig(), 24, optimizer)
        try:
            backend.train_init(
                net, plan, split(KEYS[-1], 1), on_device(backend, params), on_device(backend, statistics)
            )
        except BackendError:
            continue
        raise AssertionError(f"train_init must refuse an optimizer that it does not have; it took {optimizer!r}")
