"""Methods that rate nodes, and keep those with the highest scores, as the plan says: at each site, or of all sites."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from weedout_core import Trained, scores, train
from weedout_core.errors import SearchError
from weedout_core.lab.arms.starts import masked
from weedout_core.lab.arms.starts import scored as start_of_scores
from weedout_core.lab.experiment.arms import Arm, Start, Task

Rate = Callable[[Task], Mapping[str, np.ndarray]]


def scored(name: str, rate: Rate) -> Arm:
    """The arm that keeps the nodes which a function rates highest."""
    return Arm(name, partial(_scored, rate))


def _scored(rate: Rate, task: Task) -> Start:
    return start_of_scores(rate(task), task)


def magnitude(task: Task) -> Mapping[str, np.ndarray]:
    """By the norm of the weights that lead to a node, at initialisation."""
    return scores.magnitude(task.net, task.params)


def magnitude_after_training(task: Task) -> Mapping[str, np.ndarray]:
    """By the same norm when the dense parent is trained; what is kept is then rewound to its initial weights.

    Frankle et al., "Pruning neural networks at initialization: why are we missing the mark?" (ICLR 2021), found no
    method at initialisation that beats it. The parent is trained as all networks are, with the data in their order.
    """
    dense = masked(None, task).network
    trained = train(
        dense, task.train, backend=task.backend, key=task.root, config=task.learning, on_epoch=task.on_epoch
    )
    return scores.magnitude(task.net, _sound(trained).network.params)


def snip(task: Task) -> Mapping[str, np.ndarray]:
    """By |∂L/∂m| over a few training examples of each class (``wc.scores.snip``)."""
    return scores.snip(task.net, task.params, task.train, backend=task.backend, key=task.key)


def synflow(task: Task) -> Mapping[str, np.ndarray]:
    """By the flow through a node, without data, in a hundred steps (``wc.scores.synflow``)."""
    return scores.synflow(task.net, task.params, task.plan, backend=task.backend, key=task.key)


def _sound(trained: Trained) -> Trained:
    if trained.diverged:
        raise SearchError("the training of the dense parent diverged, so its weights rate nothing.")
    return trained


#: The methods of this library that rate nodes, by name.
METHODS: Mapping[str, Arm] = {
    rate.__name__: scored(rate.__name__, rate) for rate in (magnitude, magnitude_after_training, snip, synflow)
}
