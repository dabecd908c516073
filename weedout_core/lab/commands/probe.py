"""A short measurement: how long scoring, training and evaluation take on this device, without compilation.

The measured calls are those of a run: a population drawn from keys, and compacted networks under drawn masks.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np

from weedout_core import Network, SearchConfig, Subnetwork, TrainConfig, costs, key
from weedout_core._configs.going_on import without_search
from weedout_core._phases.drawing import initial_weights
from weedout_core._phases.together import SparseNetworks, sparse_networks, trained_smaller
from weedout_core.backend import (
    Backend,
    MaskPlan,
    Origin,
    Parameters,
    ScoredBatch,
    Scoring,
    adopted,
    chunk_size,
    compacted,
    draw_population,
    epoch_batches,
    likely_room,
    map_tree,
    search_plan,
    train_plan,
)
from weedout_core.nn import initial_statistics
from weedout_core.random import split

_CHEAP = 10**9  # multiply-adds of the first call: a tenth of a second on one core
_ENOUGH, _AIM = 0.5, 1.0  # seconds: a call that takes less than the first is repeated with work for the second
_ROUNDS = 3  # amounts of work that are tried at most: each compiles a new program
_STEPS = 2

Amount = tuple[int, ...]
Call = Callable[[], Any]


class Probe(NamedTuple):
    """What was measured at one sparsity, in seconds.

    Attributes:
        candidate: the time to score one candidate.
        step: the time of one training step of all networks that are trained together.
        thousand: the time to evaluate all of these networks on 1,000 examples.
        compiling: how much longer the first calls took than the second ones.
    """

    candidate: float
    step: float
    thousand: float
    compiling: float


class Timed(NamedTuple):
    """The seconds of a whole call, scaled up if only a part of it was timed, and those of its compilation."""

    seconds: float
    compiling: float


def measure(
    backend: Backend,
    net: Network,
    sparsity: float,
    search: SearchConfig,
    train: TrainConfig,
    *,
    batch: int,
    batch_size: int,
    steps: int,
    networks: int,
    tested: int,
    searched_at: float | None = None,
) -> Probe:
    """Time a generation's scoring, an epoch's training and an evaluation, or as much of each as takes about a second.

    Args:
        backend: the backend that is measured.
        net: the parent.
        sparsity: the fraction of nodes that masks remove, in [0, 1).
        search: the search phase.
        train: the learning phase.
        batch: the number of examples in a validation batch.
        batch_size: the number of examples in a training step.
        steps: the number of training steps in an epoch.
        networks: the number of networks trained together.
        tested: the number of examples in the test split.
        searched_at: that of the search, if it goes on while the sparsity rises: its first candidates are the largest.
    """
    plan = search_plan(net, sparsity, search)
    before = plan if searched_at is None else search_plan(net, searched_at, search)
    scored, units = (_CHEAP / costs(compacted(net, likely_room(net, one)).net).macs for one in (before, plan))
    devices = backend.devices

    def shared(examples: int) -> int:
        # If the number of devices does not divide a batch, they may not share it, so it is measured whole.
        return examples if examples % devices else devices

    groups = train_plan(train, batch_size).groups
    scoring = grow(
        partial(_scoring, backend, net, search, before),
        (1, 2 * devices),  # devices share the candidates; one alone may be computed in another way than several
        (batch, search.population),
        scored,
    )
    training = grow(
        partial(_training, backend, net, train, plan, groups),
        (shared(batch_size), 1, _STEPS),
        (batch_size, networks, steps),
        units / 3,  # the backward pass takes twice as many as the forward pass
    )
    evaluating = grow(partial(_evaluating, backend, net, train, plan), (shared(tested), 1), (tested, networks), units)
    return Probe(
        scoring.seconds / search.population,
        training.seconds / steps,
        evaluating.seconds * 1000 / tested,
        scoring.compiling + training.compiling + evaluating.compiling,
    )


def grow(prepare: Callable[..., Call], least: Amount, most: Amount, units: float, rounds: int = _ROUNDS) -> Timed:
    """Time the second of two equal calls. If it is too short to tell, time a call with more work instead.

    The amount of work of a call is the product of its parts, such as examples × networks.

    Args:
        prepare: makes the call for an amount of work, given part by part.
        least: each part is a multiple of this number, or the whole if that is smaller.
        most: the parts of the whole call.
        units: the amount of work to begin with.
        rounds: the number of amounts that may be timed, ≥ 1.
    """
    amount = _filled(units, least, most)
    seconds, first = _twice(prepare(*amount))
    if seconds < _ENOUGH and amount != most and rounds > 1:
        units = math.prod(amount) * _AIM / max(seconds, 1e-6)  # a clock may not have moved
        return grow(prepare, least, most, units, rounds - 1)
    return Timed(seconds * math.prod(most) / math.prod(amount), max(first - seconds, 0.0))


def _filled(units: float, least: Amount, most: Amount) -> Amount:
    """Parts whose product is at most ``units``, or the least parts if these exceed it. The first is filled first."""
    amount = [min(pair) for pair in zip(least, most, strict=True)]
    for i, (step, whole) in enumerate(zip(least, most, strict=True)):
        others = math.prod(amount) // amount[i]
        amount[i] = min(whole, max(amount[i], int(units / (others * step)) * step))
    return tuple(amount)


def _twice(run: Call) -> tuple[float, float]:
    """The seconds of the second call, and of the first."""
    seconds: list[float] = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds[1], seconds[0]


def _scoring(
    backend: Backend, net: Network, search: SearchConfig, plan: MaskPlan, examples: int, candidates: int
) -> Call:
    x, y = _examples(net, examples)
    population = draw_population(key(0), plan, search, [Origin(0, index) for index in range(candidates)])
    params = initial_weights(net, plan, search, backend, key(0))
    running, others = map_tree(backend.asarray, initial_statistics(net)), backend.asarray(x)
    normed = {"batch": {}, "running": {"statistics": running}, "recalibrated": {"calibration": others}}
    scoring = Scoring(search.fitness, search.precision, chunk_size(plan, search))

    def run() -> np.ndarray:
        batch = ScoredBatch(backend.asarray(x), backend.asarray(y), **normed[search.batch_norm])
        return backend.to_numpy(backend.score_population(net, params, population, batch, scoring))

    return run


def _training(
    backend: Backend,
    net: Network,
    train: TrainConfig,
    plan: MaskPlan,
    groups: int,
    examples: int,
    networks: int,
    steps: int,
) -> Call:
    # As many groups of batch normalisation as fit. The learning rates are those of a schedule of one epoch.
    groups_of = {} if adopted(net) else {"batch_norm_group": examples // math.gcd(examples, groups)}
    rates = {name: getattr(TrainConfig(), name) for name in ("schedule", "step_epochs", "step_factor", "warmup_epochs")}
    config = replace(without_search(train), **rates, epochs=1, batch_size=examples, **groups_of)
    fixed, keys = train_plan(config, examples * steps), list(split(key(0), networks))
    x, y = (backend.asarray(array) for array in _examples(net, examples * steps))
    sparse, params, statistics = _networks(backend, net, train, plan, networks)
    state = backend.train_init(sparse.net, fixed, np.stack(keys), params, statistics)

    def run() -> np.ndarray:
        batches = epoch_batches(keys, 0, fixed)
        _, result = backend.train_epoch(sparse.net, fixed, state, sparse.masks, x, y, batches)
        return backend.to_numpy(result.loss)  # waits for the result

    return run


def _evaluating(
    backend: Backend, net: Network, train: TrainConfig, plan: MaskPlan, examples: int, networks: int
) -> Call:
    x = backend.asarray(_examples(net, examples)[0])
    sparse, params, statistics = _networks(backend, net, train, plan, networks)
    return lambda: backend.to_numpy(backend.predict(sparse.net, params, statistics, sparse.masks, x))


def _networks(
    backend: Backend, net: Network, train: TrainConfig, plan: MaskPlan, networks: int
) -> tuple[SparseNetworks, Parameters, Parameters]:
    """Networks of one parent, each under its own mask, with their weights and statistics before training."""
    drawn = map_tree(backend.to_numpy, backend.masks_from_keys(split(key(1), networks), plan))
    weights = cast(Parameters, initial_weights(net, plan, SearchConfig(), backend, key(0)))
    one, statistics = map_tree(backend.to_numpy, weights), initial_statistics(net) or None
    each = [
        Subnetwork(net, one, map_tree(lambda mask, index=index: mask[index], drawn), statistics)
        for index in range(networks)
    ]
    # If masks keep different numbers of nodes, several networks are not compacted together; one alone would be.
    sparse = sparse_networks(each, backend, trained_smaller(net, train) and bool(plan.counts))
    params, moving = (sparse.smaller(backend, [tree] * networks) for tree in (each[0].params, each[0].moving))
    return sparse, params, moving


def _examples(net: Network, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, *net.input_shape), dtype=np.float32)
    return x, rng.integers(0, net.classes, count).astype(np.int32)
