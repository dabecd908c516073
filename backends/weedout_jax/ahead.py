"""Compile every program of this backend ahead of time, for devices that this machine need not have.

With the topology of a TPU slice (``jax.experimental.topologies``, package libtpu) this shows on any machine that the
programs compile for the slice, and how much memory they take there.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import Mesh, Sharding
from jax.stages import Compiled, Lowered

from weedout_core import Network, SearchConfig, TrainConfig, compact, mask_space
from weedout_core.backend import (
    Batches,
    MaskPlan,
    Room,
    ScoredBatch,
    Scoring,
    Sparsity,
    adopted,
    likely_room,
    search_plan,
    train_plan,
)
from weedout_core.errors import BackendError
from weedout_core.nn import Gather, every_layer, he_normal, initial_statistics, parameter_shapes
from weedout_jax import masks, network, randomness, scoring, training
from weedout_jax.devices import everywhere, mesh_of, shared

_MOST_CHIPS = 10_000  # more than the largest slice has


def compiled_memory(
    mesh: Mesh,
    net: Network,
    sparsity: Sparsity,
    search: SearchConfig,
    train: TrainConfig,
    examples: int,
    networks: int,
    topology: str | None,
) -> dict[str, int]:
    """The bytes that each program of a search and of its training takes on a device: {name of the program: bytes}.

    ``topology`` is the name of a TPU slice, such as "v5e:2x4"; None takes the devices of ``mesh``. The other arguments
    are those of ``compile_ahead``.
    """
    mesh = mesh if topology is None else mesh_of(topology_devices(topology))
    scores = "score shared weights" if search.weights == "shared" else "score own weights"
    programs = compile_ahead(
        mesh, net, sparsity, search, train, examples, networks, (scores, "train_epoch", "predict", "draw_parameters")
    )
    return {name: most_bytes(program) for name, program in programs.items()}


def topology_devices(name: str) -> Sequence[Any]:
    """The devices of a TPU slice, such as "v5e:2x4". Raises BackendError if libtpu cannot describe it."""
    chips = re.fullmatch(r"\w+:([1-9][0-9]{0,4}(?:x[1-9][0-9]{0,4}){0,2})", name, re.ASCII)
    if chips is None or math.prod(map(int, chips[1].split("x"))) > _MOST_CHIPS:  # libtpu divides by a side of zero
        raise BackendError(
            "topology must be a kind of TPU and the sides of its slice, each at least 1 and together at most "
            f"{_MOST_CHIPS:,} chips, such as 'v5e:2x4'; got {name[:80]!r}."
        )
    if jax.default_backend() != "tpu":
        # Otherwise libtpu tries for minutes to reach a host that does not exist.
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=name).devices
    except Exception as error:  # the plugin may raise any error
        why = next(iter(str(error).splitlines()), "")
        raise BackendError(
            f"topology must be one that libtpu can describe, such as 'v5e:2x4'; got {name!r}: {why}. "
            "It needs the package libtpu (pip install libtpu)."
        ) from error


def most_bytes(program: Compiled) -> int:
    """The bytes of a program on one device: arguments, results and temporaries."""
    memory: Any = program.memory_analysis()
    return memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes


def compile_ahead(
    mesh: Mesh,
    net: Network,
    sparsity: Sparsity,
    search: SearchConfig,
    train: TrainConfig,
    examples: int,
    networks: int,
    wanted: Collection[str] | None = None,
) -> dict[str, Compiled]:
    """Compile programs for the devices of a mesh, which share the population and the training batch.

    Networks are trained and evaluated as in ``train_together``: compacted at the sparsity of the search.

    Args:
        mesh: the devices, which may exist or be described by a topology.
        net: the parent.
        sparsity: the fraction of nodes removed, in [0, 1).
        search, train: the configurations.
        examples: the number of examples in each split.
        networks: the number of networks trained together.
        wanted: the names of the programs to compile; None compiles all.
    Returns:
        {name of the program: compiled program}; ``compiled.memory_analysis()`` gives bytes for each device.
    """
    programs = _programs(mesh, net, sparsity, search, train, examples, networks)
    return {name: lower().compile() for name, lower in programs.items() if wanted is None or name in wanted}


def _programs(
    mesh: Mesh,
    net: Network,
    sparsity: Sparsity,
    search: SearchConfig,
    train: TrainConfig,
    examples: int,
    networks: int,
) -> dict[str, Callable[[], Lowered]]:
    plan = search_plan(net, sparsity, search)
    specs = he_normal(net, search.fan) if adopted(net) is None else ()  # an adopted model's weights are not drawn
    key = _abstract(everywhere(mesh), (2,), jnp.uint32)
    keys = _abstract(everywhere(mesh), (1, 2), jnp.uint32)
    words = _abstract(everywhere(mesh), (1000,), jnp.uint32)
    programs = {
        **_scoring(mesh, net, search, plan, specs, examples),
        **_training(mesh, net, train, plan, examples, networks),
        "random_bits": lambda: randomness._bits.lower(key, 1000),
        "draw_parameters": lambda: randomness._draw.lower(key, specs),
        "keep_smallest": lambda: masks._keep_smallest.lower(words, 200),
        "masks_from_keys": lambda: masks._masks.lower(keys, plan),
    }
    return {name: lower for name, lower in programs.items() if specs or name not in _OF_DRAWN_WEIGHTS}


_OF_DRAWN_WEIGHTS = ("score own weights", "draw_parameters")


def _scoring(
    mesh: Mesh, net: Network, config: SearchConfig, plan: Any, specs: Any, examples: int
) -> dict[str, Callable[[], Lowered]]:
    place, size = everywhere(mesh), min(config.validation_batch, examples)
    x, y = _abstract(place, (size, *net.input_shape), jnp.float32), _abstract(place, (size,), jnp.int32)
    more = {"batch": {}, "running": {"statistics": _statistics(mesh, net)}, "recalibrated": {"calibration": x}}
    batch = ScoredBatch(x, y, **more[config.batch_norm])
    common = {path: _abstract(place, shape, jnp.float32) for path, shape in parameter_shapes(net).items()}
    key = (2,), jnp.uint32
    explicit = {site.site: (site.shape, jnp.bool_) for site in plan.sites}
    programs = {
        "score shared weights": ({"mask_keys": key}, common, plan, ()),
        "score own weights": ({"mask_keys": key, "weight_keys": key}, {}, plan, specs),
        "score explicit masks": ({"masks": explicit}, common, None, ()),
    }

    def lower(one: Any, params: Any, plan: Any, specs: Any) -> Lowered:
        room = Room() if plan is None else likely_room(scoring.computed(net, bool(specs)), plan)
        engine = scoring.chosen_engine(mesh, net, room, bool(specs))
        floats = scoring.candidate_floats(net, room, bool(specs), size)
        cut = scoring.sizes(mesh, engine, net, config.population, floats, config.chunk or config.population)
        candidates = jax.tree.map(
            lambda array: _abstract(shared(mesh), (cut.padded, *array[0]), array[1]),
            one, is_leaf=lambda array: isinstance(array, tuple),
        )  # fmt: skip
        how = Scoring(config.fitness, config.precision, config.chunk or config.population)
        program = scoring.Program(mesh, engine, net, specs, plan, room, how, cut)
        return scoring.score.lower(candidates, params, batch, program=program)

    return {name: partial(lower, *program) for name, program in programs.items()}


def _training(
    mesh: Mesh, parent: Network, config: TrainConfig, masked: MaskPlan, examples: int, networks: int
) -> dict[str, Callable[[], Lowered]]:
    net = compact(parent, masked.counts if config.compaction else {}).net
    place, fixed = everywhere(mesh), train_plan(config, examples)
    shapes = parameter_shapes(net).items()
    params = {path: _abstract(place, (networks, *shape), jnp.float32) for path, shape in shapes}
    taken = _masks_taken(mesh, net, networks)
    moving = _statistics(mesh, net, networks)
    x, y = _abstract(place, (examples, *net.input_shape), jnp.float32), _abstract(place, (examples,), jnp.int32)
    order = (networks, fixed.steps, fixed.batch_size)
    crops = None if config.augmentation == "none" else _abstract(place, (*order, 3), jnp.int32)
    batches: Any = Batches(_abstract(place, order, jnp.int32), crops)  # type: ignore[arg-type]
    rates = _abstract(place, (fixed.steps,), jnp.float32)
    noise = None if adopted(net) is None else _abstract(place, order[:2], jnp.uint32)
    learner = training.Learner(params, moving, params)
    return {
        "train_epoch": lambda: training.epoch.lower(
            learner, taken, x, y, batches, rates, noise, mesh=mesh, net=net, plan=fixed
        ),
        "predict": lambda: network.logits.lower(params, moving, taken, x, mesh=mesh, net=net),
    }


def _masks_taken(mesh: Mesh, net: Network, networks: int) -> dict[str, jax.ShapeDtypeStruct]:
    """The mask arguments of a compacted network: its remaining masks, and the indices of its Gather layers."""
    shapes = {site: (shape, jnp.bool_) for site, shape in mask_space(net).items()}
    gathers = [layer for layer in every_layer(net.layers) if isinstance(layer, Gather)]
    shapes |= {layer.name: ((layer.count,), jnp.int32) for layer in gathers}
    return {name: _abstract(everywhere(mesh), (networks, *shape), kind) for name, (shape, kind) in shapes.items()}


def _statistics(mesh: Mesh, net: Network, *leading: int) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        path: _abstract(everywhere(mesh), (*leading, *value.shape), jnp.float32)
        for path, value in initial_statistics(net).items()
    }


def _abstract(place: Sharding, shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype, sharding=place)
