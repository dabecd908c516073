"""Training: one compiled scan an epoch, for all networks of one shape together."""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

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
from weedout_jax.network import forward


def train_init(net: Network, plan: TrainPlan, keys: Any, params: Any, statistics: Any) -> TrainState:
    """The state before epoch 0 of R networks."""
    optimiser = jax.vmap(_optimiser(net, plan).init)(params)
    # Bound to the weights' device, as every later epoch's state is: else the second epoch would compile again.
    device = jax.tree.leaves(params)[0].sharding
    return TrainState(keys, 0, params, statistics, jax.device_put(optimiser, device))


def train_epoch(
    net: Network, plan: TrainPlan, state: TrainState, masks: Any, x: jax.Array, y: jax.Array, order: np.ndarray
) -> tuple[TrainState, EpochResult]:
    """One epoch over ``x[order]``; order is int32 ``(R, steps, batch_size)``."""
    order = jax.device_put(order, x.sharding)
    params, statistics, optimiser, result = epoch(
        state.params, state.statistics, state.optimiser, masks, x, y, order, net=net, plan=plan
    )
    return TrainState(state.keys, state.epoch + 1, params, statistics, optimiser), result


@partial(jax.jit, static_argnames=("net", "plan"))
def epoch(
    params: Any,
    statistics: Any,
    optimiser: Any,
    masks: Any,
    x: jax.Array,
    y: jax.Array,
    order: jax.Array,
    *,
    net: Network,
    plan: TrainPlan,
) -> tuple[Any, Any, Any, EpochResult]:
    """The program. All but x and y have a leading axis R."""
    transformation = _optimiser(net, plan)

    def one(params: Any, optimiser: Any, masks: Any, order: jax.Array) -> Any:
        def loss(params: Any, batch: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits = forward(net.layers, params, x[batch], masks, plan.config.precision)
            correct = jnp.sum(predictions(logits) == y[batch], dtype=jnp.int32)
            return -negative_cross_entropy(logits, y[batch]), correct

        def step(carry: Any, batch: jax.Array) -> Any:
            params, optimiser = carry
            (value, correct), gradient = jax.value_and_grad(loss, has_aux=True)(params, batch)
            updates, optimiser = transformation.update(gradient, optimiser, params)
            return (optax.apply_updates(params, updates), optimiser), EpochResult(value, correct)

        return lax.scan(step, (params, optimiser), order)

    (params, optimiser), result = jax.vmap(one)(params, optimiser, masks, order)
    return params, statistics, optimiser, result


def _optimiser(net: Network, plan: TrainPlan) -> optax.GradientTransformation:
    return plan.optimiser or _sgd(net, plan.config, plan.steps)


@lru_cache  # one object for one configuration, so that a compiled epoch is found again
def _sgd(net: Network, config: TrainConfig, steps: int) -> optax.GradientTransformation:
    """SGD with the core's learning rates, decay coupled to the gradient."""
    rates = learning_rates(config, steps).astype(np.float32)
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay, mask=decayed_paths(net, config)),
        optax.sgd(lambda step: jnp.asarray(rates)[step], config.momentum, config.nesterov),
    )
