"""A short measurement: how long scoring, training and evaluating take on this device, compilation apart."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weedout_core._backend import Backend, stack
from weedout_core._calls import Parameters, TrainState
from weedout_core._config import SearchConfig, TrainConfig
from weedout_core._costs import costs
from weedout_core._masks import Masks
from weedout_core._networks import Network, initial_statistics, mask_space
from weedout_core._random import key, split
from weedout_core._schedule import TrainPlan, epoch_batches, train_plan

_CANDIDATES, _STEPS = 4, 2
_MACS = 3 * 10**10  # multiply-adds of a measured call, about: a second or two on two cores


class Probe(NamedTuple):
    """What was measured, in seconds.

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


def measure(
    backend: Backend,
    net: Network,
    search: SearchConfig,
    train: TrainConfig,
    batch: int,
    batch_size: int,
    networks: int,
    tested: int,
) -> Probe:
    """Score a few candidates, train a few steps and evaluate once, twice each; the second time counts.

    Where the real sizes would take long, fewer examples and networks are measured, and the time is scaled up by
    multiply-adds.

    Args:
        backend: what computes.
        net: the parent.
        search: the search phase, at one sparsity.
        train: the learning phase.
        batch: examples in a validation batch.
        batch_size: examples in a training step.
        networks: how many are trained together.
        tested: examples in the test split.
    """
    scored = _at_most(batch, _MACS / (_CANDIDATES * costs(net).macs))
    shown = _at_most(batch_size, _MACS / (3 * _STEPS * costs(net).macs))  # forward, and twice that backward
    together = _at_most(networks, _MACS / (3 * _STEPS * shown * costs(net).macs))
    predicted = _at_most(tested, _MACS / costs(net).macs)
    evaluated = _at_most(networks, _MACS / (predicted * costs(net).macs))
    scoring, first = _twice(_scoring(backend, net, search, scored))
    training, second = _twice(_training(backend, net, train, shown, together))
    evaluating, third = _twice(_evaluating(backend, net, predicted, evaluated))
    return Probe(
        scoring / _CANDIDATES * batch / scored,
        training / _STEPS * (batch_size / shown) * (networks / together),
        evaluating * (1000 / predicted) * (networks / evaluated),
        first - scoring + second - training + third - evaluating,
    )


def _at_most(wanted: int, affordable: float) -> int:
    return max(1, min(wanted, int(affordable)))


def _twice(run: Callable[[], Any]) -> tuple[float, float]:
    """The seconds of the second call, and of the first."""
    seconds: list[float] = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds[1], seconds[0]


def _examples(net: Network, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, *net.input_shape), dtype=np.float32)
    return x, rng.integers(0, net.classes, count).astype(np.int32)


def _scoring(backend: Backend, net: Network, search: SearchConfig, examples: int) -> Callable[[], Any]:
    x, y = _examples(net, examples)
    params = backend.initialise(net, key(0))

    def run() -> np.ndarray:
        masks = backend.sample_masks(key(1), mask_space(net), search.sparsity, _CANDIDATES, search.sampling)
        return backend.to_numpy(backend.score(net, params, masks, x, y, search.fitness, search.precision))

    return run


def _training(backend: Backend, net: Network, train: TrainConfig, examples: int, networks: int) -> Callable[[], Any]:
    plan: TrainPlan = train_plan(train, examples * _STEPS)._replace(batch_size=examples)
    keys = list(split(key(0), networks))
    x, y = (backend.asarray(array) for array in _examples(net, examples * _STEPS))
    params, statistics, masks = _parents(backend, net, networks)
    batches = epoch_batches(keys, 0, plan)

    def run() -> TrainState:
        state = backend.train_init(net, plan, np.stack(keys), params, statistics)
        state, result = backend.train_epoch(net, plan, state, masks, x, y, batches)
        backend.to_numpy(result.loss)  # which waits for it
        return state

    return run


def _evaluating(backend: Backend, net: Network, examples: int, networks: int) -> Callable[[], Any]:
    x = backend.asarray(_examples(net, examples)[0])
    params, statistics, masks = _parents(backend, net, networks)
    return lambda: backend.to_numpy(backend.predict(net, params, statistics, masks, x))


def _parents(backend: Backend, net: Network, networks: int) -> tuple[Parameters, Parameters, Masks]:
    """Weights, statistics and masks of some networks before training, all the same, on the device."""
    one = {path: backend.to_numpy(value) for path, value in backend.initialise(net, key(0)).items()}
    whole = {site: np.ones(shape, bool) for site, shape in mask_space(net).items()}
    trees = one, initial_statistics(net), whole
    params, statistics, masks = (stack(backend, [tree] * networks) for tree in trees)
    return params, statistics, masks
