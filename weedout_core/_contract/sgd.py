"""One step of SGD, for the backends that adopt it: arithmetic on arrays of any framework."""

from collections.abc import Mapping
from typing import Any

from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import Parameters
from weedout_core._guard.guarded import guarded
from weedout_core._guard.traced import Rate, namespace_of
from weedout_core.errors import ConfigError


@guarded
def sgd_step(
    params: Parameters,
    velocity: Parameters,
    gradient: Parameters,
    rate: Rate,
    decayed: Mapping[str, bool],
    config: TrainConfig,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights and velocities after a step (Sutskever, Martens, Dahl, Hinton, ICML 2013, section 2.1).

    g ← g + decay · w (where ``decayed``), v ← momentum · v + g, w ← w − rate · v, or with Nesterov's momentum
    w ← w − rate · (g + momentum · v).

    Args:
        params, velocity, gradient: {path: array}.
        rate: the learning rate of this step.
        decayed: {path: bool}, from :func:`decayed_paths`.
        config: its ``momentum``, ``nesterov`` and ``weight_decay`` are used.
    Raises:
        ConfigError: the trees do not have the same paths and shapes.
    """
    shapes = {path: value.shape for path, value in params.items()}
    if set(decayed) != set(shapes) or any(
        {path: v.shape for path, v in tree.items()} != shapes for tree in (velocity, gradient)
    ):
        raise ConfigError("params, velocity, gradient and decayed must have the same paths, and arrays of one shape.")
    namespace_of(*params.values(), *velocity.values(), *gradient.values(), *([] if isinstance(rate, float) else [rate]))
    new: dict[str, Any] = {}
    moving: dict[str, Any] = {}
    for path, weight in params.items():
        g = gradient[path] + config.weight_decay * weight if decayed[path] and config.weight_decay else gradient[path]
        moving[path] = config.momentum * velocity[path] + g
        ahead = g + config.momentum * moving[path] if config.nesterov else moving[path]
        new[path] = weight - rate * ahead
    return new, moving
