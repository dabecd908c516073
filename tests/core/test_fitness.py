"""Fitness against SciPy in float64, its rules for what is not finite, and ties."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import log_softmax

import weedout_core as wc
from weedout_core._algorithm.fitness import FITNESS
from weedout_core.errors import DataError

LOGITS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(2, 5)),
    elements=st.floats(-1e3, 1e3) | st.sampled_from([0.0, 1.0, -700.0, 700.0]),
)


def some_labels(logits: np.ndarray) -> np.ndarray:
    return np.arange(logits.shape[-2]) % logits.shape[-1]


@given(LOGITS)
def test_negative_cross_entropy_is_the_mean_log_softmax(logits: np.ndarray) -> None:
    labels = some_labels(logits)
    picked = np.take_along_axis(log_softmax(logits, axis=-1), labels[None, :, None], axis=-1)[..., 0]
    found = wc.backend.negative_cross_entropy(logits, labels)
    assert found.shape == logits.shape[:-2]
    # Differences of logits up to 2,000 are rounded to half a unit of 2^-53 of themselves, the logarithm and the sum
    # of at most 5 exponentials to a few more: 2,000 · 2^-53 · 10 < 3e-12.
    np.testing.assert_allclose(found, picked.mean(axis=-1), rtol=1e-14, atol=3e-12)
    assert (found <= 0).all(), "a mean log-probability"


@given(LOGITS)
def test_accuracy_counts_the_largest_logit(logits: np.ndarray) -> None:
    labels = some_labels(logits)
    expected = np.mean(np.argmax(logits, axis=-1) == labels, axis=-1)
    np.testing.assert_array_equal(wc.backend.accuracy(logits, labels), expected)
    np.testing.assert_array_equal(wc.backend.predictions(logits), np.argmax(logits, axis=-1))
    assert wc.backend.predictions(logits).dtype == np.int32


@pytest.mark.parametrize("function", [*FITNESS.values(), wc.backend.predictions], ids=[*FITNESS, "predictions"])
@given(logits=LOGITS)
def test_classes_may_come_before_the_examples(function: Callable[..., Any], logits: np.ndarray) -> None:
    rest = () if function is wc.backend.predictions else (some_labels(logits),)
    found = function(np.ascontiguousarray(logits.swapaxes(-1, -2)), *rest, axis=-2)
    expected = function(logits, *rest)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    # Sums of at most 6 terms in another order, as above.
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=3e-12)


def test_with_classes_first_each_candidate_may_have_labels_of_its_own() -> None:
    logits = np.asarray([[[0.0, 3.0], [1.0, 2.0]], [[5.0, 0.0], [4.0, 1.0]]])  # (candidates, classes, examples)
    labels = np.asarray([[1, 1], [0, 1]])
    np.testing.assert_array_equal(wc.backend.predictions(logits, axis=-2), [[1, 0], [0, 1]])
    np.testing.assert_array_equal(wc.backend.accuracy(logits, labels, axis=-2), [0.5, 1.0])
    expected = -np.log1p(np.exp(-1.0)) + np.asarray([-0.5, 0.0])  # each logit is 1 off the other
    np.testing.assert_allclose(wc.backend.negative_cross_entropy(logits, labels, axis=-2), expected, rtol=1e-14)


def test_the_fitness_of_a_known_batch() -> None:
    logits = np.log(np.asarray([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    labels = np.asarray([0, 2])
    expected = (math.log(0.5) + math.log(0.1)) / 2
    assert wc.backend.negative_cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-14)
    assert wc.backend.accuracy(logits, labels) == 0.5


@given(LOGITS, st.floats(-100, 100))
def test_a_constant_added_to_all_logits_changes_nothing(logits: np.ndarray, constant: float) -> None:
    labels = some_labels(logits)
    # logits + constant is rounded at 1,100 · 2^-53, twice for each difference: 5e-13, and the sum as above.
    np.testing.assert_allclose(
        wc.backend.negative_cross_entropy(logits + constant, labels),
        wc.backend.negative_cross_entropy(logits, labels),
        atol=4e-12,
    )


def test_large_logits_do_not_overflow() -> None:
    logits, labels = np.asarray([[1e30, 0.0], [0.0, 1e30]], dtype=np.float32), np.asarray([0, 1])
    assert wc.backend.negative_cross_entropy(logits, labels) == 0.0


def test_ties_go_to_the_lowest_class() -> None:
    logits = np.asarray([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    np.testing.assert_array_equal(wc.backend.predictions(logits), [0, 1, 0])
    assert wc.backend.accuracy(logits, np.asarray([0, 1, 0])) == 1.0
    assert wc.backend.accuracy(logits, np.asarray([1, 2, 2])) == 0.0


@pytest.mark.parametrize("function", FITNESS.values(), ids=list(FITNESS))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(1, 0, 0), (1, 2, 1)])  # the true class's logit, and another's
def test_a_logit_that_is_not_finite_makes_the_fitness_nan(
    function: Callable[[Any, Any], Any], bad: float, place: tuple[int, int, int]
) -> None:
    logits = np.zeros((3, 3, 2))
    logits[place] = bad
    found = function(logits, np.asarray([0, 1, 0]))
    assert np.isnan(found[1]), "such a candidate must not be selected"
    assert np.isfinite(found[[0, 2]]).all(), "its neighbours are not touched"


@pytest.mark.parametrize("function", FITNESS.values(), ids=list(FITNESS))
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("label", [-(2**31), -1, 2, 3, 2**31 - 1])
def test_a_label_that_is_no_class_makes_the_fitness_nan(function: Callable[..., Any], axis: int, label: int) -> None:
    """For all candidates where they share the labels, and where each has its own for that one."""
    logits = np.random.default_rng(0).normal(size=(3, 4, 4))[:, :, :2].swapaxes(-1, axis)
    shared, own = np.asarray([0, 1, label, 0]), np.asarray([[0, 1, 0, 0], [0, 1, label, 0], [1, 1, 1, 0]])
    assert np.isnan(function(logits, shared, axis=axis)).all()
    assert np.isnan(function(logits, own, axis=axis)).tolist() == [False, True, False]


@pytest.mark.parametrize("framework", ["numpy", "jax.numpy", "torch"])
@pytest.mark.parametrize("function", FITNESS.values(), ids=list(FITNESS))
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_labels_of_any_integers_are_those_of_32_bits(function: Callable[..., Any], framework: str, dtype: str) -> None:
    xp = pytest.importorskip(framework)
    rng = np.random.default_rng(0)
    logits, labels = xp.asarray(rng.standard_normal((20, 300)).astype(np.float32)), rng.integers(0, 100, 20)
    wanted = function(logits, xp.asarray(labels.astype(np.int32)))
    assert float(function(logits, xp.asarray(labels.astype(dtype)))) == float(wanted)


def test_a_row_of_nan_predicts_no_class() -> None:
    assert wc.backend.predictions(np.full((1, 4), np.nan)).tolist() == [4]


@pytest.mark.parametrize(("shape", "axis"), [((0,), -1), ((3, 0), -1), ((3,), -2), ((0, 3), -2)])
def test_logits_without_a_class_have_no_prediction(shape: tuple[int, ...], axis: Literal[-1, -2]) -> None:
    with pytest.raises(DataError, match=rf"logits must have one class or more, on axis {axis}; got the shape "):
        wc.backend.predictions(np.zeros(shape), axis=axis)


@pytest.mark.parametrize("axis", [-1, -2])
@given(logits=arrays.arrays(np.float64, (3, 4, 3), elements=st.sampled_from([-np.inf, -1.0, 0.0, 1.0, np.inf, np.nan])))
def test_a_class_is_correct_that_is_predicted(axis: Literal[-1, -2], logits: np.ndarray) -> None:
    """Ties, infinities and NaN included; a label that is no class never is."""
    predicted = wc.backend.predictions(logits)
    handed = logits.swapaxes(-1, axis)
    for label in (-1, 0, 1, 2, 3):
        labels = np.full(4, label)
        expected = (predicted == label) & (label in range(3))
        np.testing.assert_array_equal(wc.backend.correct_classes(handed, labels, axis=axis), expected)


@pytest.mark.parametrize("function", FITNESS.values(), ids=list(FITNESS))
@pytest.mark.parametrize("labels_dtype", [np.int32, np.int64, np.uint8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fitness_keeps_the_precision_of_the_logits(
    function: Callable[[Any, Any], Any], dtype: type, labels_dtype: type
) -> None:
    found = function(np.ones((2, 3, 4), dtype=dtype), np.asarray([0, 1, 3], dtype=labels_dtype))
    assert found.dtype == dtype


def test_fitness_by_name() -> None:
    assert dict(FITNESS) == {
        "negative_cross_entropy": wc.backend.negative_cross_entropy,
        "accuracy": wc.backend.accuracy,
    }
