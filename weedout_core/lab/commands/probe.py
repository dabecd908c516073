"""A short measurement: how long scoring, training and evaluating take on this device, compilation apart.

What is measured is what a run computes: a population drawn from keys, and compacted networks under drawn masks.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from weedout_core import Network, SearchConfig, Subnetwork, TrainConfig, compact, costs, key, mask_plan, mask_space
from weedout_core._phases.together import SparseNetworks, sparse_networks
from weedout_core.backend import (
    Backend,
    MaskPlan,
    Origin,
    Parameters,
    ScoredBatch,
    Scoring,
    chunk_size,
    draw_population,
    epoch_batches,
    map_tree,
    train_plan,
)
from weedout_core.nn import he_normal, initial_statistics
from weedout_core.random import split

_CHEAP = 10**9  # multiply-adds: a tenth of a second on one core
_ENOUGH, _AIM = 0.5, 1.0  # seconds of a call: from the first on it tells, the second is what a longer one should take
_ROUNDS = 3  # calls that may grow: each compiles anew
_STEPS = 2

Amount = tuple[int, ...]
Call = Callable[[], Any]


class Probe(NamedTuple):
    """What was measured at one sparsity, in seconds.

    Attributes:
        candidate: to score one candidate.
        step: one training step of all networks that are trained together.
        thousand: to evaluate all of them on 1,000 examples.
        compiling: what the first calls took more than the second.
    """

    candidate: float
    step: float
    thousand: float
    compiling: float


class Timed(NamedTuple):
    """The seconds of a whole call, scaled up where a part of it was timed, and of compiling what was timed."""

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
) -> Probe:
    """Time a generation's scoring, an epoch's training and an evaluation, or as much of each as takes about a second.

    Args:
        backend: what computes.
        net: the parent.
        sparsity: of masks.
        search: the search phase.
        train: the learning phase.
        batch: examples in a validation batch.
        batch_size: examples in a training step.
        steps: training steps in an epoch.
        networks: how many are trained together.
        tested: examples in the test split.
    """
    plan = mask_plan(mask_space(net), sparsity, search.sampling)
    units, devices = _CHEAP / costs(compact(net, plan.counts).net).macs, backend.devices

    def shared(examples: int) -> int:
        # Devices may not share a batch that they do not divide: it is measured whole.
        return examples if examples % devices else devices

    groups = train_plan(train, batch_size).groups
    scoring = grow(
        partial(_scoring, backend, net, search, plan),
        (1, 2 * devices),  # devices share the candidates; one alone may be computed in another way than many
        (batch, search.population),
        units,
    )
    training = grow(
        partial(_training, backend, net, train, plan, groups),
        (shared(batch_size), 1, _STEPS),
        (batch_size, networks, steps),
        units / 3,  # forward, and twice that backward
    )
    evaluating = grow(partial(_evaluating, backend, net, train, plan), (shared(tested), 1), (tested, networks), units)
    return Probe(
        scoring.seconds / search.population,
        training.seconds / steps,
        evaluating.seconds * 1000 / tested,
        scoring.compiling + training.compiling + evaluating.compiling,
    )


def grow(prepare: Callable[..., Call], least: Amount, most: Amount, units: float, rounds: int = _ROUNDS) -> Timed:
    """Time a call, twice, of which the second counts; where that is too short to tell, a larger one in its place.

    An amount of work is the product of its parts, such as examples × networks.

    Args:
        prepare: makes the call for an amount, given part by part.
        least: what each part is a multiple of, as far as the whole has as much.
        most: the whole.
        units: of work to begin with.
        rounds: amounts that may be timed, ≥ 1.
    """
    amount = _filled(units, least, most)
    seconds, first = _twice(prepare(*amount))
    if seconds < _ENOUGH and amount != most and rounds > 1:
        units = math.prod(amount) * _AIM / max(seconds, 1e-6)  # a clock may not have moved
        return grow(prepare, least, most, units, rounds - 1)
    return Timed(seconds * math.prod(most) / math.prod(amount), max(first - seconds, 0.0))


def _filled(units: float, least: Amount, most: Amount) -> Amount:
    """So much work at most, or the least there is: the first part is filled first."""
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
    specs = he_normal(net, search.fan, plan.kept if search.fan_counts == "kept" else None)
    params = backend.draw_parameters(key(0), specs) if population.weight_keys is None else specs
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
    # As many groups of batch normalisation as fit; the learning rates are those of one epoch, however many are planned.
    group = examples // math.gcd(examples, groups)
    rates = {name: getattr(TrainConfig(), name) for name in ("schedule", "step_epochs", "step_factor", "warmup_epochs")}
    config = replace(train, **rates, epochs=1, batch_size=examples, batch_norm_group=group)
    fixed, keys = train_plan(config, examples * steps), list(split(key(0), networks))
    x, y = (backend.asarray(array) for array in _examples(net, examples * steps))
    sparse, params, statistics = _networks(backend, net, train, plan, networks)
    state = backend.train_init(sparse.net, fixed, np.stack(keys), params, statistics)

    def run() -> np.ndarray:
        batches = epoch_batches(keys, 0, fixed)
        _, result = backend.train_epoch(sparse.net, fixed, state, sparse.masks, x, y, batches)
        return backend.to_numpy(result.loss)  # which waits for it

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
    """Networks of one parent under masks of their own, with their weights and statistics before training."""
    drawn = map_tree(backend.to_numpy, backend.masks_from_keys(split(key(1), networks), plan))
    one, statistics = map_tree(backend.to_numpy, backend.initialise(net, key(0))), initial_statistics(net) or None
    each = [
        Subnetwork(net, one, map_tree(lambda mask, index=index: mask[index], drawn), statistics)
        for index in range(networks)
    ]
    # Where masks keep different numbers of nodes, networks are not compacted side by side, but one alone would be.
    sparse = sparse_networks(each, backend, train.compaction and bool(plan.counts))
    params, moving = (sparse.smaller(backend, [tree] * networks) for tree in (each[0].params, each[0].moving))
    return sparse, params, moving


def _examples(net: Network, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, *net.input_shape), dtype=np.float32)
    return x, rng.integers(0, net.classes, count).astype(np.int32)
