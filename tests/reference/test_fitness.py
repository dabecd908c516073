"""Fitness and the loss against SciPy, finite differences and values by hand."""

import math

import numpy as np
import pytest
from scipy import special

from weedout_core import Network
from weedout_core.nn import Dense, Mask
from weedout_numpy.fitness import (
    FITNESS,
    accuracy,
    count_correct,
    cross_entropy,
    cross_entropy_gradient,
    fitness_of,
    log_softmax,
    negative_cross_entropy,
    predictions,
)

LOGITS = np.random.default_rng(0).normal(scale=3, size=(20, 5))
LABELS = np.random.default_rng(1).integers(5, size=20)


def test_log_softmax_is_scipys() -> None:
    """Both subtract the largest logit and round a handful of times: 10 ε of numbers below 30 is 7e-14."""
    np.testing.assert_allclose(log_softmax(LOGITS), special.log_softmax(LOGITS, axis=1), rtol=0, atol=7e-14)


def test_large_logits_do_not_overflow() -> None:
    assert cross_entropy(np.array([[1000.0, 0.0]]), np.array([1])) == 1000.0


def test_a_network_is_measured_under_its_mask_without_any_training() -> None:
    """The logits are x + (0, 1/2), where a removed node of x counts as 0."""
    net = Network((Mask("in"), Dense("logits", 2)), (2,))
    params = {"logits/kernel": np.eye(2), "logits/bias": np.array([0.0, 0.5])}
    batch = np.array([[3.0, 7.0], [0.0, 1.0]]), np.array([1, 0])
    for mask, logits in (([True, True], [[3, 7.5], [0, 1.5]]), ([True, False], [[3, 0.5], [0, 0.5]])):
        for name, function in FITNESS.items():
            found = fitness_of(net, params, {"in": np.array(mask)}, batch, name)
            assert found == function(np.array(logits), batch[1]), f"{name} under {mask}"


def test_a_network_that_overflows_has_no_fitness() -> None:
    net = Network((Dense("logits", 2),), (1,))
    params = {"logits/kernel": np.full((1, 2), 1e300), "logits/bias": np.zeros(2)}
    batch = np.array([[1e300]]), np.array([0])
    assert math.isnan(fitness_of(net, params, {}, batch, "accuracy")), "no warning and no error"


def test_cross_entropy_by_hand() -> None:
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    expected = -(math.log(0.25) + math.log(0.8)) / 2
    assert cross_entropy(logits, np.array([2, 1])) == pytest.approx(expected, rel=1e-14)
    assert negative_cross_entropy(logits, np.array([2, 1])) == -cross_entropy(logits, np.array([2, 1]))


def test_the_gradient_agrees_with_finite_differences() -> None:
    """h = 1e-5: truncation h²/6 · |L'''| < 2e-11 · 1, rounding ε · |L| · 10 / h < 1e-15 · 10 / 1e-5 = 1e-9."""
    gradient, h = cross_entropy_gradient(LOGITS, LABELS), 1e-5
    for b, c in np.ndindex(LOGITS.shape):
        step = np.zeros_like(LOGITS)
        step[b, c] = h
        slope = (cross_entropy(LOGITS + step, LABELS) - cross_entropy(LOGITS - step, LABELS)) / (2 * h)
        assert gradient[b, c] == pytest.approx(slope, rel=0, abs=1e-9), f"∂L/∂logit of class {c} in example {b}"


def test_predictions_take_the_lowest_of_equal_classes() -> None:
    np.testing.assert_array_equal(predictions(np.array([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]])), [1, 0])
    assert predictions(LOGITS).dtype == np.int32


def test_a_row_of_nan_has_no_prediction() -> None:
    rows = np.array([[math.nan, 1.0, 2.0], [1.0, math.inf, 2.0]])
    np.testing.assert_array_equal(predictions(rows), [3, 1], "the number of classes stands for none")


def test_predictions_of_several_networks() -> None:
    np.testing.assert_array_equal(predictions(np.stack([LOGITS, -LOGITS]))[1], predictions(-LOGITS))


def test_accuracy_by_hand() -> None:
    logits = np.array([[2.0, 1.0], [2.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    labels = np.array([0, 1, 0, 1])
    assert count_correct(logits, labels) == 3
    assert accuracy(logits, labels) == 0.75


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FITNESS)
def test_a_logit_that_is_not_finite_leaves_no_fitness(name: str, bad: float) -> None:
    """−∞ for a wrong class would otherwise be the perfect answer."""
    assert math.isnan(FITNESS[name](np.array([[1.0, bad], [1.0, 0.0]]), np.array([0, 0])))


@pytest.mark.parametrize("label", [-1, 2])
@pytest.mark.parametrize("name", FITNESS)
def test_a_label_that_is_no_class_leaves_no_fitness(name: str, label: int) -> None:
    """−1 would otherwise be the last class, as an index."""
    assert math.isnan(FITNESS[name](np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, label])))


@pytest.mark.parametrize("label", [-100, -1, 2, 1_000_000])
def test_a_label_that_is_no_class_leaves_no_gradient(label: int) -> None:
    """−1 would otherwise be the last class, and what is trained on it would look as if nothing had happened."""
    assert np.isnan(cross_entropy_gradient(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, label]))).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_logit_that_is_not_finite_leaves_no_gradient(bad: float) -> None:
    assert np.isnan(cross_entropy_gradient(np.array([[1.0, bad], [1.0, 0.0]]), np.array([0, 0]))).all()


def test_inputs_stay_as_they_are() -> None:
    logits, labels = LOGITS.copy(), LABELS.copy()
    logits.setflags(write=False)
    labels.setflags(write=False)
    for function in (log_softmax, predictions):
        np.testing.assert_array_equal(function(logits), function(logits))
    for function in (cross_entropy_gradient, cross_entropy, accuracy, negative_cross_entropy):
        np.testing.assert_array_equal(function(logits, labels), function(logits, labels))
