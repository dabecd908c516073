"""Checks of training where a gradient or a count is decided by a single value: kinks, ties, NaN."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from weedout_core._algorithm.schedule import epoch_batches, train_plan
from weedout_core._contract.calls import EpochResult, TrainState
from weedout_core._contract.record import Backend
from weedout_core._networks.layers import BatchNorm, Dense, Mask, Relu, every_layer
from weedout_core._networks.network import Network
from weedout_core.testing.comparing import within
from weedout_core.testing.courses import PLAINEST, Course
from weedout_core.testing.lessons import Lesson, hosted, learn
from weedout_core.testing.networks import TIED, networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across
from weedout_core.testing.tolerances import bound
from weedout_core.testing.training import epochs_agree
from weedout_core.testing.trying import trying

_CONFIG = replace(PLAINEST, epochs=1, momentum=0.9)


def _set(problem: Problem, **values: float) -> Problem:
    """The problem with all its kernels, biases or scales of a value."""
    params = {path: np.full_like(old, values.get(path.split("/")[-1], np.nan)) for path, old in problem.params.items()}
    return problem._replace(
        params={path: np.where(np.isnan(new), problem.params[path], new) for path, new in params.items()}
    )


def _every_second_blank(problem: Problem) -> Problem:
    x = problem.x.copy()
    x[::2] = 0
    return problem._replace(x=x)


def _first_layer_of_zeros(problem: Problem) -> Problem:
    first = next(iter(problem.params))
    return problem._replace(params=problem.params | {first: np.zeros_like(problem.params[first])})


def _mirrored_pairs(problem: Problem) -> Problem:
    """In each 2 × 2 part of an image the largest are above right and below left: equal sums of other summands."""
    if len(problem.net.input_shape) != 3:
        return problem
    x, first = problem.x.copy(), next(iter(problem.params))
    height, width = (size // 2 for size in problem.net.input_shape[:2])
    large = np.abs(x[:, :height, :width]) + 5
    x[:, : 2 * height : 2, 1 : 2 * width : 2] = large
    x[:, 1 : 2 * height : 2, : 2 * width : 2] = large[..., ::-1]
    return problem._replace(x=x, params=problem.params | {first: np.ones_like(problem.params[first])})


def _removed_inputs_not_finite(problem: Problem) -> Problem:
    """Inputs that a first mask removes are NaN or infinite."""
    if not isinstance(problem.net.layers[0], Mask):
        return problem
    removed = ~next(iter(problem.uneven().values()))[0]
    odd = np.resize(np.array([np.nan, np.inf, -np.inf], np.float32), problem.x.shape)
    return problem._replace(x=np.where(removed, odd, problem.x))


def _removed_nodes_beyond_float32(problem: Problem) -> Problem:
    """Nodes that the mask after a first dense layer removes are larger than any number of float32."""
    if [type(layer) for layer in problem.net.layers[:3]] != [Dense, Relu, Mask]:
        return problem
    first, kept = next(iter(problem.params)), next(iter(problem.uneven().values()))[0]
    return problem._replace(params=problem.params | {first: np.where(kept, problem.params[first], np.float32(3e38))})


#: Where a ReLU is at its kink, all values of a pool are equal, a factor is 0, or what is removed is not finite.
STARTS: Mapping[str, Callable[[Problem], Problem]] = {
    "blank inputs and biases of 0": lambda one: _set(one._replace(x=np.zeros_like(one.x)), bias=0),
    "some blank inputs, and biases of 0": lambda one: _set(_every_second_blank(one), bias=0),
    "a first layer of zeros": _first_layer_of_zeros,
    "pairs of equal values in a pool": _mirrored_pairs,
    "scales of 0 and biases of 1": lambda one: _set(one, scale=0, bias=1),
    "biases of 1, so that few ReLUs are closed": lambda one: _set(one, bias=1),
    "removed inputs that are not finite": _removed_inputs_not_finite,
    "removed nodes that are not finite": _removed_nodes_beyond_float32,
}


def deciding_gradients(backend: Backend, reference: Backend) -> None:
    """A ReLU's slope at 0 is 0; of equal values in a window the first gets the gradient; zeros hide no gradient."""

    @across([problem(net) for net in (*networks(backend), *networks(backend, TIED)) if _bounded(net)], once=True)
    def agree(one: Problem) -> None:
        for name, start in STARTS.items():
            with trying(start=name):
                epochs_agree(backend, reference, start(one), Course(one.net, _CONFIG, networks=1))

    agree()


def _bounded(net: Network) -> bool:
    """Whether a channel may be constant: only a large ε bounds what batch normalisation makes of an error then."""
    return all(layer.epsilon >= 1 for layer in every_layer(net.layers) if isinstance(layer, BatchNorm))


def deciding_counts(backend: Backend, reference: Backend) -> None:
    """Of equal logits the lowest is the prediction, and logits far from 0 have a loss; one not finite takes it away."""

    @across([problem(net) for net in networks(backend)[:1]], once=True)
    def agree(one: Problem) -> None:
        lesson, _, result = _trained(backend, _set(one, kernel=0, bias=0), one)
        got, right = result.correct[0, 0], (one.y[lesson.batches.order[0, 0]] == 0).sum()
        assert got == right, f"of equal logits the lowest is the class: {right} correct, not {got}"
        for shift in (-20_000, 20_000):
            logits = shift + np.arange(one.net.classes) / 2
            far = _set(one, kernel=0)
            far.params[list(one.params)[-1]][:] = logits
            got, wanted = (_trained(by, far, one)[2].loss[:1, 0] for by in (backend, reference))
            exactly = np.tile(logits, (_CONFIG.batch_size, 1))
            within(f"the loss of logits of {shift}", got, wanted, bound("negative_cross_entropy")(exactly, 0 * exactly))
        for value in (np.nan, np.inf, -np.inf):
            unseen = _first_layer_of_zeros(_in_one_example(one, value))
            for broken in (_in_one_example(one, value), unseen, _in_one_class(one, value)):
                _lost_alike(backend, reference, broken, one, f"a {value}")
        for label in (-100, -1, one.net.classes, 1_000_000):  # some losses skip -100, and some count from the end
            wrong = one._replace(y=np.where(np.arange(len(one.y)) == 5, label, one.y).astype(np.int32))
            _lost_alike(backend, reference, wrong, wrong, f"a label of {label}")

    agree()


def _in_one_example(one: Problem, value: float) -> Problem:
    x = one.x.copy()
    x[5, 0] = value
    return one._replace(x=x)


def _in_one_class(one: Problem, value: float) -> Problem:
    """The bias of the last class, which no example has."""
    bias = list(one.params)[-1]
    changed = one.params[bias].copy()
    changed[-1] = value
    return one._replace(params=one.params | {bias: changed}, y=one.y % (one.net.classes - 1))


def _trained(by: Backend, one: Problem, other: Problem) -> tuple[Lesson, TrainState, EpochResult]:
    """An epoch of two networks without masks, from rest: one problem's, and one with another's weights."""
    plan, keys = train_plan(_CONFIG, len(one.y)), one.keys[:2]
    lesson = Lesson(one, plan, None, epoch_batches(list(keys), 0, plan))
    params, statistics = (
        {path: by.asarray(np.stack([tree[path], second[path]])) for path in tree}
        for tree, second in ((one.params, other.params), (one.statistics, other.statistics))
    )
    state = by.train_init(one.net, plan, keys, params, statistics)
    for path, velocity in state.optimizer.items():
        assert not by.to_numpy(velocity).any(), f"train_init: the velocity of {path} is not 0"
    after, result = (hosted(by, done) for done in learn(by, lesson, state))
    return lesson, after, result


def _lost_alike(backend: Backend, reference: Backend, broken: Problem, other: Problem, what: str) -> None:
    """Where the reference has no loss, the backend has none, and trains on nothing else: no step is left out.

    Which weights of earlier layers are lost differs with how a gradient goes through a closed ReLU. The last bias is.
    """
    (_, state, result), (_, true, right) = (_trained(by, broken, other) for by in (backend, reference))
    lost, name = ~np.isfinite(right.loss), f"with {what}"
    assert (np.isfinite(result.loss) == ~lost).all(), f"losses {name}: {result.loss}; the reference has {right.loss}"
    counts = result.correct[lost], right.correct[lost]
    assert (counts[0] == counts[1]).all(), f"correct {name}: {counts[0]}; the reference has {counts[1]}"
    last = list(true.params)[-1]
    finite, as_wanted = np.isfinite(state.params[last]), np.isfinite(true.params[last])
    assert (finite == as_wanted).all(), f"{name}, {last} is {state.params[last]}; the reference has {true.params[last]}"
