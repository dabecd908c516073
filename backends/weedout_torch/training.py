"""Training. With PyTorch/XLA each step is one graph, which is compiled once.

Networks of dense layers are trained together, in batched products. A convolution takes the weights of one network at
a time, so networks with convolutions are trained one after the other. So are networks with an optimizer of
``torch.optim``, because each network has its own optimizer.

If operations run at once, SGD is PyTorch's own kernel. With PyTorch/XLA, SGD is a function of its state that takes the
learning rate as data. As a number, as in ``torch.optim.SGD``, the rate would be part of the graph, and each new rate
would compile another graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.optim.sgd import sgd

from weedout_core import Network, TrainConfig
from weedout_core.backend import (
    Batches,
    EpochResult,
    TrainPlan,
    TrainState,
    adopted,
    correct_classes,
    decayed_paths,
    learning_rates,
    map_tree,
    noise_words,
    sgd_step,
)
from weedout_core.nn import BatchNorm, every_layer
from weedout_torch.adopt.running import Learning
from weedout_torch.batches import crop_images
from weedout_torch.devices import BY_PYTORCH, Place, Tensor
from weedout_torch.loss import cross_entropy
from weedout_torch.network import forward, has_convolutions, nth
from weedout_torch.optimizers import Learner, Update, check_memories, first_memory
from weedout_torch.precision import precise

Parameters = Mapping[str, Tensor]


def train_init(place: Place, net: Network, plan: TrainPlan, keys: Any, params: Any, statistics: Any) -> TrainState:
    """The state before epoch 0 of R networks; with a user's optimizer it has one ``Memory`` for each network."""
    params, statistics = map_tree(place.asarray, params), map_tree(place.asarray, statistics)
    if plan.optimizer is None:
        optimizer: Any = {path: torch.zeros_like(value) for path, value in params.items()}
    else:
        optimizer = [first_memory(plan.optimizer, net, nth(params, r)) for r in range(len(keys))]
    place.sync()
    return TrainState(keys, 0, params, statistics, optimizer)


def train_epoch(
    place: Place,
    net: Network,
    plan: TrainPlan,
    state: TrainState,
    masks: Any,
    x: Tensor,
    y: Tensor,
    batches: Batches,
) -> tuple[TrainState, EpochResult]:
    """One epoch over ``x[batches.order]``."""
    if plan.optimizer is not None:
        check_memories(state.optimizer, len(state.keys))
    # Tensors made in inference mode can neither be trained nor saved for a backward pass, so ``placed`` copies them.
    optimizer = place.placed(state.optimizer) if plan.optimizer is None else state.optimizer
    params, statistics, masks, x, y = map(place.placed, (state.params, state.statistics, masks, x, y))
    y = y.long()  # once: PyTorch can neither index nor compare all of its integers
    state = TrainState(state.keys, state.epoch, params, statistics, optimizer)
    if len(state.keys) == 1 or (plan.optimizer is None and not has_convolutions(net)):
        return _epoch(place, net, plan, state, masks, x, y, batches)
    epochs: list[tuple[TrainState, EpochResult]] = []
    for r in range(len(state.keys)):
        one = TrainState(
            state.keys[r : r + 1], state.epoch, nth(state.params, r), nth(state.statistics, r),
            nth(state.optimizer, r) if plan.optimizer is None else state.optimizer[r : r + 1],
        )  # fmt: skip
        crops = None if batches.crops is None else batches.crops[r : r + 1]
        shown = Batches(batches.order[r : r + 1], crops)
        epochs.append(_epoch(place, net, plan, one, masks and nth(masks, r), x, y, shown))
    together = _side_by_side(state, epochs)
    place.sync()
    return together


def _side_by_side(before: TrainState, epochs: list[tuple[TrainState, EpochResult]]) -> tuple[TrainState, EpochResult]:
    """Join the states and results of networks that were trained one after the other."""
    states = [state for state, _ in epochs]
    params, statistics = _joined([one.params for one in states]), _joined([one.statistics for one in states])
    velocities = isinstance(before.optimizer, Mapping)
    optimizer = _joined([one.optimizer for one in states]) if velocities else [one.optimizer[0] for one in states]
    after = TrainState(before.keys, before.epoch + 1, params, statistics, optimizer)
    return after, EpochResult(*(torch.cat(parts) for parts in zip(*(result for _, result in epochs), strict=True)))


def _joined(trees: Sequence[Parameters]) -> dict[str, Tensor]:
    return {path: torch.cat([tree[path] for tree in trees]) for path in trees[0]}


def _epoch(
    place: Place, net: Network, plan: TrainPlan, state: TrainState, masks: Any, x: Tensor, y: Tensor, batches: Batches
) -> tuple[TrainState, EpochResult]:
    momentum = {layer.name: layer.momentum for layer in every_layer(net.layers) if isinstance(layer, BatchNorm)}
    noise = None if adopted(net) is None else noise_words(list(state.keys), state.epoch, plan)
    rates = learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :][: plan.steps]
    params, running, optimizer = state.params, state.statistics, state.optimizer
    theirs = None if plan.optimizer is None else Learner(plan.optimizer, net, params, optimizer[0])
    if theirs is not None:
        params, update = theirs.params, theirs.update
    elif place.device.type in BY_PYTORCH and plan.config.momentum:  # without momentum, the kernel keeps no velocities
        params, optimizer = _owned(params), _owned(optimizer)
        update = _fused_sgd(net, plan.config, params, optimizer)
    else:
        update = _sgd(place, net, plan.config)
    shown: list[list[Tensor]] = []
    place.sync()  # arguments, and what changes from step to step, become data and not a part of a step's graph
    with precise(plan.config.precision):
        for step in range(plan.steps):
            images, labels = _batch(place, x, y, batches, step)
            source = plan.groups if noise is None else Learning(running, int(noise[0, step]))
            gradient, taken, *of_step = _gradient(net, plan, params, masks, images, labels, source)
            params, optimizer = update(params, optimizer, gradient, float(rates[step]))
            running = _moved(running, taken, momentum) if noise is None else taken
            shown.append(of_step)
            place.sync()
        optimizer = optimizer if theirs is None else [theirs.memory()]
    result = EpochResult(*(torch.stack(of_steps, dim=1) for of_steps in zip(*shown, strict=True)))
    place.sync()
    return TrainState(state.keys, state.epoch + 1, params, running, optimizer), result


def _owned(tree: Parameters) -> dict[str, Tensor]:
    """Copies that may be changed in place. Dense kernels are laid out like their gradients: a node is a row."""
    fresh = torch.contiguous_format
    return {
        path: value.mT.clone(memory_format=fresh).mT if value.ndim == 3 else value.clone(memory_format=fresh)
        for path, value in tree.items()
    }


def _batch(place: Place, x: Tensor, y: Tensor, batches: Batches, step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step for R networks: examples ``(R, batch_size, *shape)`` and their labels ``(R, batch_size)``."""
    order = _over_devices(place, batches.order[:, step])
    # ``index_select`` is twice as fast, but flattening would lose the sharing of ``order`` over the devices.
    images = x[order] if place.recorded else x.index_select(0, order.flatten()).unflatten(0, order.shape)
    if batches.crops is not None:
        crops = _over_devices(place, batches.crops[:, step])
        images = crop_images(images.flatten(0, 1), crops.flatten(0, 1)).reshape(images.shape)
    return images, y[order]


def _over_devices(place: Place, integers: np.ndarray) -> Tensor:
    """Integers ``(R, batch_size, ...)`` on the device; the devices share the batch if their number divides it.

    Results computed from them are shared in the same way.
    """
    integers = np.swapaxes(integers, 0, 1)
    tensor = place.placed(integers)
    shared = place.spread(tensor) if len(integers) % place.devices == 0 else tensor
    return shared.transpose(0, 1).long()


def _gradient(
    net: Network,
    plan: TrainPlan,
    params: Parameters,
    masks: Parameters | None,
    x: Tensor,
    y: Tensor,
    source: int | Learning,
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor, Tensor]:
    """The gradients of R networks' losses, the batch statistics, the losses ``(R,)`` in nats, the correct ``(R,)``."""
    with torch.enable_grad():
        leaves = {path: value.detach().requires_grad_() for path, value in params.items()}
        logits, taken = forward(net.layers, leaves, x, masks, source, plan.config.compute)
        loss = cross_entropy(logits, y).mean(dim=-1)
        # A network's loss depends on its own weights alone, so the gradient of the sum holds each one's.
        # An adopted model may have weights that take no part: their gradient is 0.
        gradient = torch.autograd.grad(loss.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True)
    logits = logits.detach()
    correct = _correct(logits, y).sum(dim=-1, dtype=torch.int32)
    taken = {path: value.detach() for path, value in taken.items()}
    return dict(zip(leaves, gradient, strict=True)), taken, loss.detach(), correct


def _correct(logits: Tensor, y: Tensor) -> Tensor:
    """``wc.backend.correct_classes``: PyTorch's own kernels give the first of the largest, or NaN, in one operation."""
    if logits.device.type not in BY_PYTORCH:
        return correct_classes(logits, y)
    largest, first = logits.max(dim=-1)
    return (first == y) & ~largest.isnan()


def _moved(running: Parameters, taken: Parameters, momentum: Mapping[str, float]) -> dict[str, Tensor]:
    """The running statistics after a step."""
    kept = {path: momentum[path.rpartition("/")[0]] for path in running}
    return {path: kept[path] * value + (1 - kept[path]) * taken[path] for path, value in running.items()}


def _sgd(place: Place, net: Network, config: TrainConfig) -> Update:
    decayed = decayed_paths(net, config)

    def update(params: Any, velocity: Any, gradient: Any, rate: float) -> Any:
        with np.errstate(over="ignore"):  # a rate beyond float32 becomes infinite: training diverges, without error
            number = place.placed(rate)
        return sgd_step(params, velocity, gradient, number, decayed, config)

    return update


def _fused_sgd(net: Network, config: TrainConfig, params: Parameters, velocity: Parameters) -> Update:
    """``wc.backend.sgd_step`` by PyTorch's fused kernel, which changes this epoch's weights and velocities in place."""
    decayed = decayed_paths(net, config)
    groups = [(config.weight_decay * which, [path for path in decayed if decayed[path] == which]) for which in (1, 0)]
    weights, velocities = _in_memory(params), _in_memory(velocity)

    def update(_params: Any, _velocity: Any, gradient: Any, rate: float) -> Any:
        gradients = _in_memory(gradient)
        for decay, paths in groups:
            sgd(
                [weights[path] for path in paths],
                [gradients[path] for path in paths],
                [velocities[path] for path in paths],
                fused=True, lr=rate, weight_decay=decay, momentum=config.momentum, nesterov=config.nesterov,
                dampening=0.0, maximize=False,
            )  # fmt: skip
        return params, velocity

    return update


def _in_memory(tree: Parameters) -> dict[str, Tensor]:
    """The same values, contiguous. Tensors from ``_owned`` and the gradients of dense kernels are not copied."""
    return {path: (value.mT if value.ndim == 3 else value).contiguous() for path, value in tree.items()}
