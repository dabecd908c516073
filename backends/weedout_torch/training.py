"""Training: one graph a step, for all networks of one shape together.

SGD is written out as a function of its state, so that the learning rate is data: as a number inside
``torch.optim.SGD`` it would be part of the graph that XLA compiles, and each step would compile anew. An
optimiser of ``torch.optim`` that the user passes does its own step.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from weedout_core import (
    EpochResult,
    Network,
    TrainConfig,
    TrainPlan,
    TrainState,
    decayed_paths,
    learning_rates,
    negative_cross_entropy,
    predictions,
)
from weedout_torch.devices import Place, Tensor
from weedout_torch.network import forward, precise

Parameters = Mapping[str, Tensor]


def train_init(place: Place, net: Network, plan: TrainPlan, keys: Any, params: Any, statistics: Any) -> TrainState:
    """The state before epoch 0 of R networks."""
    if plan.optimiser is None:
        optimiser: Any = {path: torch.zeros_like(value) for path, value in params.items()}
    else:
        optimiser = plan.optimiser([value.clone() for value in params.values()]).state_dict()
    place.sync()  # else the zeros would be part of the first step's graph, and the second would compile anew
    return TrainState(keys, 0, params, statistics, optimiser)


def train_epoch(
    place: Place,
    net: Network,
    plan: TrainPlan,
    state: TrainState,
    masks: Any,
    x: Tensor,
    y: Tensor,
    order: np.ndarray,
) -> tuple[TrainState, EpochResult]:
    """One epoch over ``x[order]``; order is int32 ``(R, steps, batch_size)``."""
    update = _sgd(place, net, plan) if plan.optimiser is None else _theirs(plan.optimiser)
    rates = place.asarray(learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :][: plan.steps])
    batches = place.asarray(order)
    params, optimiser = state.params, state.optimiser
    losses: list[Tensor] = []
    corrects: list[Tensor] = []
    with precise(plan.config.precision):
        for step in range(plan.steps):
            batch = batches[:, step].long()
            gradient, loss, correct = _gradient(net, params, masks, x[batch], y[batch])
            params, optimiser = update(params, optimiser, gradient, rates[step])
            losses.append(loss)
            corrects.append(correct)
            place.sync()
    result = EpochResult(torch.stack(losses, dim=1), torch.stack(corrects, dim=1))
    place.sync()
    return TrainState(state.keys, state.epoch + 1, params, state.statistics, optimiser), result


def _gradient(
    net: Network, params: Parameters, masks: Parameters | None, x: Tensor, y: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The gradient of R networks' losses, the losses in nats and the correct predictions ``(R,)``."""
    with torch.enable_grad():
        leaves = {path: value.detach().requires_grad_() for path, value in params.items()}
        logits = forward(net.layers, leaves, x, masks)
        loss = -negative_cross_entropy(logits, y)
        # A network's loss depends on its own weights alone, so the gradient of the sum holds each one's.
        gradient = torch.autograd.grad(loss.sum(), list(leaves.values()))
    correct = (predictions(logits.detach()) == y).sum(dim=-1, dtype=torch.int32)
    return dict(zip(leaves, gradient, strict=True)), loss.detach(), correct


Update = Callable[[Parameters, Any, Parameters, Tensor], tuple[dict[str, Tensor], Any]]


def _sgd(place: Place, net: Network, plan: TrainPlan) -> Update:
    config: TrainConfig = plan.config
    decay = {path: config.weight_decay if touched else 0.0 for path, touched in decayed_paths(net, config).items()}

    def update(params: Parameters, velocity: Parameters, gradient: Parameters, rate: Tensor) -> Any:
        new, moving = {}, {}
        for path, weight in params.items():
            g = gradient[path] + decay[path] * weight if decay[path] else gradient[path]
            moving[path] = config.momentum * velocity[path] + g
            ahead = g + config.momentum * moving[path] if config.nesterov else moving[path]
            new[path] = weight - rate * ahead
        return new, moving

    return update


def _theirs(factory: Callable[[list[Tensor]], torch.optim.Optimizer]) -> Update:
    """A step of an optimiser of ``torch.optim``, on copies: nothing handed in is changed."""

    def update(params: Parameters, state: Any, gradient: Parameters, rate: Tensor) -> Any:
        del rate  # it has its own
        new = {path: value.detach().clone() for path, value in params.items()}
        optimiser = factory(list(new.values()))
        optimiser.load_state_dict(copy.deepcopy(state))
        for path, value in new.items():
            value.grad = gradient[path]
        optimiser.step()
        for value in new.values():
            value.grad = None
        return new, optimiser.state_dict()

    return update
