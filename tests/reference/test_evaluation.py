"""Evaluation: the share of right answers, under the mask and the statistics of training."""

import numpy as np

from weedout_core import Network, wide_resnet
from weedout_core.nn import Dense, GlobalAveragePool, Mask
from weedout_numpy.evaluation import evaluate, trained_logits
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.network import forward
from weedout_numpy.randomness import key

NET = Network((Mask("in"), Dense("logits", 2)), (2,))
PARAMS = {"logits/kernel": np.eye(2), "logits/bias": np.array([0.0, 0.5])}


def test_accuracy_by_hand() -> None:
    """The logits are x + (0, 1/2): classes 0, 1, 1 and 0; without the second node 0, 1, 0 and 0."""
    x = np.array([[3, 1], [0, 0], [1, 2], [7, 0]], dtype=np.float32)
    y = np.array([0, 1, 1, 1])
    assert evaluate(NET, PARAMS, {}, {"in": np.array([True, True])}, (x, y)) == 3 / 4
    assert evaluate(NET, PARAMS, {}, {"in": np.array([True, False])}, (x, y)) == 2 / 4, "a removed node stays away"


def test_inputs_are_taken_in_float64() -> None:
    """The mean of 2^24 and 1 is 8388608.5. In float32 it would be 8388608, and the second class would win."""
    net = Network((GlobalAveragePool(), Dense("logits", 2)), (1, 2, 1))
    params = {"logits/kernel": np.array([[1.0, 0.0]]), "logits/bias": np.array([0.0, 8388608.25])}
    x = np.array([2**24, 1], dtype=np.float32).reshape(1, 1, 2, 1)
    assert evaluate(net, params, {}, {}, (x, np.array([0]))) == 1


def test_the_statistics_are_those_of_training_so_that_examples_do_not_mix() -> None:
    net = wide_resnet(10, 1, 3, (4, 4, 2))
    params = draw_parameters(key(0), he_normal(net))
    moved = {path: value + 0.5 for path, value in initial_statistics(net).items()}
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2))
    logits = trained_logits(net, params, moved, None, x)
    np.testing.assert_array_equal(logits, forward(net.layers, params, None, x, moved)[0])
    alone = trained_logits(net, params, moved, None, x[:1])
    # One image less may be summed in another order: 1,000 roundings of the largest logit.
    tolerance = 1000 * 2**-53 * abs(logits).max()
    np.testing.assert_allclose(alone, logits[:1], rtol=0, atol=tolerance)


def test_overflow_shows_in_the_logits() -> None:
    params = {"logits/kernel": np.full((2, 2), 1e300), "logits/bias": np.zeros(2)}
    assert np.isinf(trained_logits(NET, params, {}, None, np.array([[1e300, 0]]))).all(), "no warning"
