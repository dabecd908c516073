"""Batch normalisation: by hand, its gradient by complex steps, groups, and the running averages."""

from collections.abc import Callable

import numpy as np
import pytest

from weedout_numpy import batch_norm as bn


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    array = np.random.default_rng(seed).normal(size=shape)
    array.setflags(write=False)
    return array


def test_by_hand() -> None:
    """Channel 0 is 1, 3, 5, 7: μ = 4, σ² = 5 (of all four, not of three), and with ε = 4, √(σ² + ε) = 3."""
    x = np.array([[1, 2], [3, 2], [5, 2], [7, 2]], dtype=np.float64)
    mean, variance = bn.moments(x)
    np.testing.assert_array_equal(mean, [4, 2])
    np.testing.assert_array_equal(variance, [5, 0])
    y = bn.batch_norm(x, np.array([6.0, 6.0]), np.array([10.0, -1.0]), 4.0, groups=1)
    # γ x̂ + β = 6 (−3, −1, 1, 3)/3 + 10; a quotient, a product and a sum of numbers up to 16 are rounded.
    np.testing.assert_allclose(y[:, 0], [4, 8, 12, 16], rtol=3 * 2**-52)
    np.testing.assert_array_equal(y[:, 1], -1, "a channel that says one thing only becomes β")


def test_images_are_normalised_over_examples_and_pixels() -> None:
    x, scale, bias = drawn(3, 2, 4, 5), drawn(5, seed=1), drawn(5, seed=2)
    flat = bn.batch_norm(x.reshape(-1, 5), scale, bias, 1e-5, groups=1)
    # Sums of 24 terms may be taken in another order: 24 roundings in μ and in σ², and a few more, of numbers below 10.
    np.testing.assert_allclose(bn.batch_norm(x, scale, bias, 1e-5, groups=1).reshape(-1, 5), flat, atol=600 * 2**-53)


def test_with_given_statistics_an_example_does_not_see_the_others() -> None:
    x, mean, variance = drawn(4, 3), drawn(3, seed=1), np.array([1.0, 4.0, 9.0])
    arguments = mean, variance, drawn(3, seed=2), drawn(3, seed=3), 1e-5
    np.testing.assert_array_equal(bn.normalise(x, *arguments)[:1], bn.normalise(x[:1], *arguments))


def test_each_group_is_normalised_alone() -> None:
    x, scale, bias = drawn(6, 2, 2, 3), drawn(3, seed=1), drawn(3, seed=2)
    y = bn.batch_norm(x, scale, bias, 1e-5, groups=3)
    for start in (0, 2, 4):
        alone = bn.batch_norm(x[start : start + 2], scale, bias, 1e-5, groups=1)
        np.testing.assert_array_equal(y[start : start + 2], alone, f"examples {start} and {start + 1}, in order")
    assert not np.allclose(y, bn.batch_norm(x, scale, bias, 1e-5, groups=1)), "it is not the whole batch's"


def complex_step(f: Callable[[np.ndarray], np.ndarray], at: np.ndarray, c: np.ndarray) -> np.ndarray:
    """∂L/∂at for L = Σ c ⊙ f(at), as Im L(at + ih) / h.

    Squire, Trapp, "Using complex variables to estimate derivatives of real functions" (SIAM Review, 1998). The error
    is of order h², and no difference is taken, so that h may be as small as 1e-100.
    """
    h, slope = 1e-100, np.zeros(at.size)
    for i in range(at.size):
        step = np.zeros(at.size)
        step[i] = h
        slope[i] = np.imag(c * f(at + 1j * step.reshape(at.shape))).sum() / h
    return slope.reshape(at.shape)


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", [(12, 3), (6, 2, 2, 3)], ids=["flat", "images"])
def test_the_gradient_also_goes_through_the_statistics(shape: tuple[int, ...], groups: int) -> None:
    """With deviations near 1, ∂L/∂x = γ/σ (c − mean c − x̂ mean(c x̂)) sums three terms of at most |γ c|/σ · x̂².

    Each passes fewer than 100 roundings (sums of up to 24 terms, five times over), relative to terms below ``size``.
    """
    x, scale, bias, c = drawn(*shape), drawn(3, seed=1), drawn(3, seed=2), drawn(*shape, seed=3)
    deviation = min(np.sqrt(bn.moments(group)[1]).min() for group in np.split(x, groups))
    size = 3 * abs(scale).max() / deviation * abs(c).max() * (2 * abs(x).max() / deviation) ** 2
    found = bn.batch_norm_gradient(x, scale, 1e-5, groups, c)
    expected = (
        complex_step(lambda x: bn.batch_norm(x, scale, bias, 1e-5, groups), x, c),
        complex_step(lambda scale: bn.batch_norm(x, scale, bias, 1e-5, groups), scale, c),
        complex_step(lambda bias: bn.batch_norm(x, scale, bias, 1e-5, groups), bias, c),
    )
    for name, gradient, slope, terms in zip(("x", "γ", "β"), found, expected, (1, x.size, x.size), strict=True):
        tolerance = 100 * 2**-53 * size * terms
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=tolerance, err_msg=f"∂L/∂{name}")


def test_shifting_and_scaling_a_batch_changes_nothing_so_the_gradient_is_orthogonal_to_it() -> None:
    x, c = drawn(8, 2), drawn(8, 2, seed=1)
    gradient, _, _ = bn.batch_norm_gradient(x, np.ones(2), 1e-300, 1, c)
    # Two sums of 8 terms below 100, each with a gradient that errs by 100 roundings.
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=8 * 100 * 100 * 2**-53, err_msg="a shift")
    np.testing.assert_allclose((gradient * x).sum(axis=0), 0, atol=8 * 100 * 100 * 2**-53, err_msg="a scale")


def test_the_statistics_of_groups_are_their_means() -> None:
    """Groups (0, 2) and (4, 8): means 1 and 6, variances 1 and 4."""
    mean, variance = bn.group_statistics(np.array([[0.0], [2.0], [4.0], [8.0]]), groups=2)
    assert (mean.tolist(), variance.tolist()) == ([3.5], [2.5])
    mean, variance = bn.group_statistics(np.array([[0.0], [2.0], [4.0], [8.0]]), groups=1)
    assert (mean.tolist(), variance.tolist()) == ([3.5], [8.75]), "one variance for all would be another"


def test_a_running_average_keeps_its_momentum() -> None:
    np.testing.assert_array_equal(bn.running(np.array([8.0]), np.array([4.0]), 0.75), [7.0])
    np.testing.assert_array_equal(bn.running(np.array([8.0]), np.array([4.0]), 0.0), [4.0], "momentum 0 forgets")
