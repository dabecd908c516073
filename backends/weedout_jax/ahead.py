"""Compile every program of this backend ahead of time, for devices that need not be there.

With the topology of a TPU slice (``jax.experimental.topologies``, package libtpu) this proves on any machine
that the programs compile for it, and tells how much memory they take.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.stages import Compiled

from weedout_core import Network, SearchConfig, TrainConfig, TrainPlan, he_normal, mask_plan, mask_space
from weedout_jax import masks, network, randomness, scoring, training


def compile_ahead(
    devices: Sequence[Any], net: Network, search: SearchConfig, train: TrainConfig, examples: int, networks: int
) -> dict[str, Compiled]:
    """Compile for these devices, the population shared over all of them and the rest on the first.

    Args:
        devices: of one kind, there or described by a topology.
        net: the parent.
        search, train: the configurations; ``search.population`` must be a multiple of the devices.
        examples: in each split.
        networks: how many are trained together.
    Returns:
        {name of the program: compiled program}; ``compiled.memory_analysis()`` gives bytes a device.
    """
    mesh = jax.make_mesh((len(devices),), (scoring.AXIS,), devices=devices, axis_types=scoring.AXIS_TYPES)
    one = jax.make_mesh((1,), (scoring.AXIS,), devices=devices[:1], axis_types=scoring.AXIS_TYPES)
    plan = mask_plan(mask_space(net), search.sparsity, search.sampling)
    specs = he_normal(net, search.fan)
    key = _abstract(one, (2,), jnp.uint32)
    return {
        **_scoring(mesh, net, search, plan, specs, examples),
        **_training(one, net, train, plan, specs, examples, networks),
        "random_bits": randomness._bits.lower(key, 1000).compile(),
        "draw_parameters": randomness._draw.lower(key, specs).compile(),
        "keep_smallest": masks._keep_smallest.lower(_abstract(one, (1000,), jnp.uint32), 200).compile(),
        "masks_from_keys": masks._masks.lower(_abstract(one, (1, 2), jnp.uint32), plan).compile(),
    }


def _scoring(
    mesh: Mesh, net: Network, config: SearchConfig, plan: Any, specs: Any, examples: int
) -> dict[str, Compiled]:
    batch = min(config.batch, examples)
    x, y = _abstract(mesh, (batch, *net.input_shape), jnp.float32), _abstract(mesh, (batch,), jnp.int32)
    keys = _abstract(mesh, (config.population, 2), jnp.uint32, scoring.AXIS)
    shared = {spec.path: _abstract(mesh, spec.shape, jnp.float32) for spec in specs}
    static = {
        "mesh": mesh,
        "net": net,
        "fitness": config.fitness,
        "precision": config.precision,
        "chunk": config.population // mesh.size,
    }
    explicit = {
        site.site: _abstract(mesh, (config.population, *site.shape), jnp.bool_, scoring.AXIS) for site in plan.sites
    }
    programs = {
        "score shared weights": ({"mask_keys": keys}, shared, {"plan": plan, "specs": ()}),
        "score own weights": ({"mask_keys": keys, "weight_keys": keys}, {}, {"plan": plan, "specs": specs}),
        "score explicit masks": ({"masks": explicit}, shared, {"plan": None, "specs": ()}),
    }
    return {
        name: scoring.score.lower(candidates, params, x, y, **static, **how).compile()
        for name, (candidates, params, how) in programs.items()
    }


def _training(
    mesh: Mesh, net: Network, config: TrainConfig, plan: Any, specs: Any, examples: int, networks: int
) -> dict[str, Compiled]:
    fixed = TrainPlan(config, examples, min(config.batch_size, examples), None)
    params = {spec.path: _abstract(mesh, (networks, *spec.shape), jnp.float32) for spec in specs}
    drawn = {site.site: _abstract(mesh, (networks, *site.shape), jnp.bool_) for site in plan.sites}
    optimiser = jax.tree.map(
        lambda leaf: _abstract(mesh, leaf.shape, leaf.dtype),
        jax.eval_shape(jax.vmap(training._optimiser(net, fixed).init), params),
    )
    x, y = _abstract(mesh, (examples, *net.input_shape), jnp.float32), _abstract(mesh, (examples,), jnp.int32)
    order = _abstract(mesh, (networks, fixed.steps, fixed.batch_size), jnp.int32)
    return {
        "train_epoch": training.epoch.lower(params, {}, optimiser, drawn, x, y, order, net=net, plan=fixed).compile(),
        "predict": network._predict.lower(net, params, drawn, x).compile(),
    }


def _abstract(mesh: Mesh, shape: tuple[int, ...], dtype: Any, axis: str | None = None) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, PartitionSpec(axis)))
