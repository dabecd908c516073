"""One step of SGD, for the backends that adopt it: arithmetic on arrays of any framework."""

from collections.abc import Mapping
from typing import Any

from weedout_core._configs.train_config import TrainConfig

Tree = Mapping[str, Any]


def sgd_step(
    params: Tree, velocity: Tree, gradient: Tree, rate: Any, decayed: Mapping[str, bool], config: TrainConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights and velocities after a step (Sutskever, Martens, Dahl, Hinton, ICML 2013, section 2.1).

    g ← g + decay · w (where ``decayed``), v ← momentum · v + g, w ← w − rate · v, or with Nesterov's momentum
    w ← w − rate · (g + momentum · v).

    Args:
        params, velocity, gradient: {path: array}.
        rate: of this step.
        decayed: from :func:`decayed_paths`.
        config: its momentum, Nesterov's or not, and decay.
    """
    new: dict[str, Any] = {}
    moving: dict[str, Any] = {}
    for path, weight in params.items():
        g = gradient[path] + config.weight_decay * weight if decayed[path] and config.weight_decay else gradient[path]
        moving[path] = config.momentum * velocity[path] + g
        ahead = g + config.momentum * moving[path] if config.nesterov else moving[path]
        new[path] = weight - rate * ahead
    return new, moving
