"""Training: each epoch is one compiled scan over its steps, and each batch is shared over the devices.

SGD is written out as a pure function of its state, so that its velocities are defined as in every other backend.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

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
    negative_cross_entropy,
    noise_words,
    sgd_step,
)
from weedout_core.nn import BatchNorm, every_layer
from weedout_jax.adopt.running import Learning
from weedout_jax.batch_norm import running
from weedout_jax.batches import crop_images
from weedout_jax.compiling import compiled
from weedout_jax.devices import everywhere, gather, platform, put, share
from weedout_jax.layers import Arithmetic, products_of
from weedout_jax.network import each_network, forward
from weedout_jax.optimizers import Rule, Update, first_state, rule_of, taking_a_step, update_of


class Learner(NamedTuple):
    """The state that changes while networks are trained, as trees of arrays."""

    params: Any
    statistics: Any
    optimizer: Any


def train_init(mesh: Mesh, net: Network, plan: TrainPlan, keys: Any, params: Any, statistics: Any) -> TrainState:
    """The state before epoch 0 of R networks."""
    del net
    optimizer = init_optimizer(plan, params)
    return TrainState(keys, 0, params, statistics, put(optimizer, everywhere(mesh)))


def init_optimizer(plan: TrainPlan, params: Any) -> Any:
    """Velocities of 0, or the first state of the user's optimizer."""
    if plan.optimizer is None:
        return _zeros(params)
    return first_state(plan.optimizer, params)


@jax.jit
def _zeros(params: Any) -> Any:
    """One program for all of a tree: by itself each shape would be compiled."""
    return jax.tree.map(jnp.zeros_like, params)


def train_epoch(
    mesh: Mesh, net: Network, plan: TrainPlan, state: TrainState, masks: Any, x: Any, y: Any, batches: Batches
) -> tuple[TrainState, EpochResult]:
    """One epoch over ``x[batches.order]``."""
    rates = learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :][: plan.steps]
    with np.errstate(over="ignore"):  # a rate beyond float32 becomes infinite: training diverges, without error
        rates = rates.astype(np.float32)
    noise = None if adopted(net) is None else noise_words(list(state.keys), state.epoch, plan)
    learner = Learner(state.params, state.statistics, state.optimizer)
    # Placed in the same way in each epoch: otherwise the second epoch would compile again.
    placed = put((learner, masks, x, y, batches, rates, noise), everywhere(mesh))
    rule = None if plan.optimizer is None else rule_of(plan.optimizer, state.params, state.optimizer)
    with nullcontext() if rule is None else taking_a_step():
        learner, result = epoch(*placed, mesh=mesh, net=net, plan=plan._replace(optimizer=None), rule=rule)
    return TrainState(state.keys, state.epoch + 1, *learner), result


@compiled(("mesh", "net", "plan", "rule"))
def epoch(
    learner: Learner,
    masks: Any,
    x: jax.Array,
    y: jax.Array,
    batches: Batches,
    rates: jax.Array,
    noise: jax.Array | None,
    *,
    mesh: Mesh,
    net: Network,
    plan: TrainPlan,
    rule: Rule | None = None,
) -> tuple[Learner, EpochResult]:
    """The program. Learner, masks, batches and noise have a leading axis R.

    Args:
        noise: what an adopted model's dropout draws from in each step; None for layers.
        rule: the user's optimizer; None is SGD.
    """
    update = _sgd(net, plan.config) if rule is None else update_of(rule.given)

    def one(learner: Learner, masks: Any, batches: Batches, noise: Any) -> Any:
        def step(learner: Learner, shown: tuple[Batches, jax.Array, Any]) -> tuple[Learner, EpochResult]:
            batch, rate, word = shown
            batch = share(mesh, batch)
            images = x[batch.order] if batch.crops is None else crop_images(x[batch.order], batch.crops)
            source = plan.groups if word is None else Learning(learner.statistics, word)
            gradient, taken, result = _gradient(mesh, net, plan, learner.params, masks, images, y[batch.order], source)
            params, optimizer = update(learner.params, learner.optimizer, gradient, rate)
            statistics = _moved(net, learner.statistics, taken) if word is None else taken
            return Learner(params, statistics, optimizer), result

        return lax.scan(step, learner, (batches, rates, noise))

    return gather(mesh, each_network(mesh, net, one, learner, masks, batches, noise))


def _gradient(
    mesh: Mesh,
    net: Network,
    plan: TrainPlan,
    params: Any,
    masks: Any,
    x: jax.Array,
    y: jax.Array,
    source: int | Learning,
) -> tuple[Any, dict[str, jax.Array], EpochResult]:
    """The gradient of one network's loss, the batch statistics, and the loss and accuracy before the update."""
    how = Arithmetic(platform(mesh), products_of(plan.config.precision), plan.config.compute)

    def loss(params: Any) -> Any:
        logits, taken = forward(net, params, x, masks, source, how)
        correct = jnp.sum(correct_classes(logits, y, axis=-2), dtype=jnp.int32)
        return -negative_cross_entropy(logits, y, axis=-2), (taken, correct)

    (value, (taken, correct)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return gradient, taken, EpochResult(value, correct)


def _moved(net: Network, before: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, jax.Array]:
    """The running statistics after a step."""
    after: dict[str, jax.Array] = {}
    for layer in every_layer(net.layers):
        if isinstance(layer, BatchNorm):
            after |= running(layer, before, taken)
    return after


def _sgd(net: Network, config: TrainConfig) -> Update:
    decayed = decayed_paths(net, config)

    def update(params: Any, velocity: Any, gradient: Any, rate: jax.Array) -> Any:
        return sgd_step(params, velocity, gradient, rate, decayed, config)

    return update
