"""Witnesses: small calls to a backend, which the contract allows, and whose answers show that a mutant is wrong."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.mutants.body import Witness
from weedout_core import Network, TrainConfig, WeedoutWarning, mask_plan, mask_space
from weedout_core.backend import (
    Backend,
    Population,
    ScoredBatch,
    Scoring,
    TrainState,
    epoch_batches,
    map_tree,
    train_plan,
)
from weedout_core.nn import (
    BatchNorm,
    Conv,
    Dense,
    GlobalAveragePool,
    Mask,
    MaxPool,
    Relu,
    Residual,
    he_normal,
    initial_statistics,
    parameter_shapes,
)
from weedout_core.random import key, split

FLAT = Network(
    (Dense("one", 6), Relu(), Mask("one", rescale=True), Dense("two", 5), Relu(), Mask("two"), Dense("out", 3)), (4,)
)
IMAGES = Network(
    (
        Conv("first", 3), BatchNorm("norm", momentum=0.5, epsilon=0.1), Relu(), Mask("nodes"), MaxPool(2),
        Residual(
            (Conv("second", 4, stride=2), BatchNorm("inner"), Relu(),
             Mask("channels", rescale=True, granularity="channel"), Conv("third", 4)),
            (Conv("shortcut", 4, kernel_size=1, stride=2), BatchNorm("side")),
        ),
        GlobalAveragePool(), Dense("out", 3),
    ),
    (6, 4, 2),
)  # fmt: skip
CHOSEN = {"batch_size": 4, "learning_rate": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0,
          "schedule": "constant", "batch_norm_group": None}  # fmt: skip


class Given(NamedTuple):
    """What a call is given, in NumPy: R networks of one shape, and examples. A ``prepare`` may change it in place."""

    x: np.ndarray
    y: np.ndarray
    params: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


Prepare = Callable[[Given], object]


def nothing(_: Given) -> None:
    """Change nothing."""


def given(net: Network, networks: int, examples: int, prepare: Prepare = nothing) -> Given:
    """Random weights, statistics, masks (each keeps a node) and examples."""
    draw = np.random.default_rng(7)
    spread = {name: math.sqrt(1 / max(1, math.prod(shape[:-1]))) for name, shape in parameter_shapes(net).items()}
    made = Given(
        draw.normal(size=(examples, *net.input_shape)),
        draw.integers(0, net.classes, examples).astype(np.int32),
        {name: spread[name] * draw.normal(size=(networks, *shape)) for name, shape in parameter_shapes(net).items()},
        {name: draw.uniform(0.5, 2, (networks, *value.shape)) for name, value in initial_statistics(net).items()},
        {site: draw.random((networks, *shape)) < 0.6 for site, shape in mask_space(net).items()},
    )
    for mask in made.masks.values():
        mask.reshape(networks, -1)[:, 0] = True
    prepare(made)
    return made


def trains(
    net: Network = IMAGES,
    *,
    epochs: int = 2,
    networks: int = 2,
    examples: int = 9,
    start: int = 0,
    prepare: Prepare = nothing,
    **config: Any,
) -> Witness:
    """The epochs of a training from epoch ``start`` on; after epoch 0 it is moving already."""

    def answers(backend: Backend) -> Any:
        made = given(net, networks, examples, prepare)
        plan = train_plan(TrainConfig(epochs=start + epochs, **CHOSEN | config), examples)
        keys = split(key(3), networks)
        state = started(backend, net, plan, keys, made, start)
        x, y, masks = backend.asarray(made.x), backend.asarray(made.y), map_tree(backend.asarray, made.masks)
        shown: list[Any] = []
        for epoch in range(start, start + epochs):
            state, result = backend.train_epoch(net, plan, state, masks, x, y, epoch_batches(list(keys), epoch, plan))
            shown.append((state, result))
        return shown

    return answers


def started(backend: Backend, net: Network, plan: Any, keys: Any, made: Given, epoch: int = 0) -> TrainState:
    """The state of R networks before an epoch; before any but the first, velocities are not 0."""
    params, statistics = map_tree(backend.asarray, made.params), map_tree(backend.asarray, made.statistics)
    state = backend.train_init(net, plan, keys, params, statistics)
    moving = {path: backend.asarray(0.5 * value) for path, value in made.params.items()}
    return state._replace(epoch=epoch, optimizer=moving) if epoch else state


def predicts(
    net: Network = IMAGES, *, networks: int = 2, examples: int = 5, prepare: Prepare = nothing, times: int = 1
) -> Witness:
    """The logits of R networks."""

    def answers(backend: Backend) -> Any:
        made = given(net, networks, examples, prepare)
        params, statistics, masks = (map_tree(backend.asarray, tree) for tree in made[2:])
        x = backend.asarray(made.x)
        return [backend.predict(net, params, statistics, masks, x) for _ in range(times)]

    return answers


def scores(
    net: Network = IMAGES,
    *,
    size: int = 5,
    chunk: int = 2,
    examples: int = 6,
    others: int = 9,
    candidates: str = "keys",
    norm: str = "batch",
    fitness: str = "negative_cross_entropy",
    precision: str = "highest",
    sampling: str = "exact",
    sparsity: float = 0.5,
    prepare: Prepare = nothing,
) -> Witness:
    """The fitness of a population.

    Args:
        candidates: "keys", "own" (keys, and weights of their own), "masks", or "masks own".
        norm: "batch", "running" or "recalibrated".
    """

    def answers(backend: Backend) -> Any:
        made = given(net, size, examples, prepare)
        keys, others_of = split(key(11), size), split(key(12), size)
        own = others_of if "own" in candidates else None
        if "masks" in candidates:
            population = Population(size, None, None, own, map_tree(backend.asarray, made.masks))
        else:
            plan = mask_plan(mask_space(net), sparsity, sampling)  # pyright: ignore[reportArgumentType]
            population = Population(size, plan, keys, own, None)
        params = he_normal(net) if own is not None else first(backend, made.params)
        batch = ScoredBatch(
            backend.asarray(made.x),
            backend.asarray(made.y),
            first(backend, made.statistics) if norm == "running" else None,
            backend.asarray(given(net, 1, others).x[::-1] * 2) if norm == "recalibrated" else None,
        )
        return backend.score_population(net, params, population, batch, Scoring(fitness, precision, chunk))  # pyright: ignore[reportArgumentType]

    return answers


def first(backend: Backend, tree: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """One network of several, on the device."""
    return {path: backend.asarray(value[0]) for path, value in tree.items()}


def sensitivities(
    net: Network = IMAGES, *, examples: int = 5, labels: bool = True, prepare: Prepare = nothing
) -> Witness:
    """The gradient of the masks of a network."""

    def answers(backend: Backend) -> Any:
        assert backend.mask_gradient is not None
        made = given(net, 1, examples, prepare)
        params, statistics, masks = (first(backend, tree) for tree in made[2:])
        y = backend.asarray(made.y) if labels else None
        return backend.mask_gradient(net, params, statistics, masks, backend.asarray(made.x), y)

    return answers


def words(seed: int = 2**40 + 5, n: int = 20) -> Witness:
    """Random words."""
    return lambda backend: backend.random_bits(key(seed), n)


def keeps(words: Sequence[int] | np.ndarray, k: int) -> Witness:
    """The k smallest of some words."""
    return lambda backend: backend.keep_smallest(backend.asarray(np.asarray(words, dtype=np.uint32)), k)


def draws(
    space: Mapping[str, tuple[int, ...]], sparsity: float = 0.5, sampling: Any = "exact", size: int = 3
) -> Witness:
    """The masks of some candidates."""
    with warnings.catch_warnings(action="ignore", category=WeedoutWarning):  # that a node stays at any sparsity
        plan = mask_plan(space, sparsity, sampling)
    return lambda backend: backend.masks_from_keys(split(key(5), size), plan)


def initialises(net: Network = IMAGES, seed: int = 2**40 + 5) -> Witness:
    """Initial weights."""
    return lambda backend: backend.draw_parameters(key(seed), he_normal(net))


def differ(backend: Backend, one: Any, other: Any) -> bool:
    """Whether answers differ by more than rounding could: in their kind or shape, or a float by a thousandth."""
    mine, right = list(_arrays(backend, one)), list(_arrays(backend, other))
    return len(mine) != len(right) or any(map(_differ, mine, right))


def _differ(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return True
    if one.dtype.kind != "f":
        return not np.array_equal(one, other)
    return not np.allclose(one, other, rtol=1e-3, atol=1e-6, equal_nan=True)


def _arrays(backend: Backend, answer: Any) -> Iterator[np.ndarray]:
    if isinstance(answer, Mapping):
        for path in sorted(answer):
            yield from _arrays(backend, answer[path])
    elif isinstance(answer, list | tuple):
        for each in answer:
            yield from _arrays(backend, each)
    elif answer is None or isinstance(answer, bool | int | float | str | np.ndarray):
        yield np.asarray(0 if answer is None else answer)
    else:
        yield backend.to_numpy(answer)
