"""Initial weights: He's variances, the streams they are drawn from, and batch normalisation's beginning."""

import math

import numpy as np
import pytest

import weedout_core as wc
from weedout_core import Network, mlp
from weedout_core.nn import Dense, Flatten, Mask, ParameterSpec
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.randomness import fold_in, key, path_code, standard_normal


def test_he_normal_takes_the_variance_2_over_inputs_and_no_bias() -> None:
    assert he_normal(mlp(8, (3,), 2)) == (
        ParameterSpec("dense_0/kernel", (8, 3), path_code("dense_0/kernel"), 0.5),
        ParameterSpec("dense_0/bias", (3,), path_code("dense_0/bias"), 0.0),
        ParameterSpec("logits/kernel", (3, 2), path_code("logits/kernel"), math.sqrt(2 / 3)),
        ParameterSpec("logits/bias", (2,), path_code("logits/bias"), 0.0),
    )


def test_a_convolution_counts_its_window_and_batch_norm_starts_at_one() -> None:
    net = wc.vgg(2, 2, (2, 2, 2))
    assert he_normal(net)[:3] == (
        ParameterSpec("conv_0/kernel", (3, 3, 2, 2), path_code("conv_0/kernel"), 1 / 3),  # √(2 / (9 · 2))
        ParameterSpec("norm_0/scale", (2,), path_code("norm_0/scale"), 0.0, 1.0),
        ParameterSpec("norm_0/bias", (2,), path_code("norm_0/bias"), 0.0, 0.0),
    )


@pytest.mark.parametrize("net", [wc.wide_resnet(16, 1, 3, (8, 8, 3)), wc.vgg(3, 4, (8, 8, 3), hidden=(5,))])
def test_weights_and_statistics_are_those_of_the_core(net: Network) -> None:
    assert he_normal(net) == wc.nn.he_normal(net), "in the same order too"
    statistics, expected = initial_statistics(net), wc.nn.initial_statistics(net)
    assert list(statistics) == list(expected)
    for path, value in statistics.items():
        assert value.dtype == np.float64
        np.testing.assert_array_equal(value, expected[path], path)


def test_weights_take_the_shape_that_reaches_them() -> None:
    net = Network((Mask("pixels"), Flatten(), Dense("logits", 2)), (2, 3))
    assert he_normal(net)[0].shape == (6, 2), "Flatten hands on 2 × 3 nodes"


def test_weights_have_the_standard_deviation_of_their_spec() -> None:
    """Of n = 100,000 normals the std errs by σ/√(2n) and the mean by σ/√n, as standard deviations; 6 are allowed."""
    n, std = 100_000, math.sqrt(2 / 250)
    kernel = draw_parameters(key(1), (ParameterSpec("k", (250, 400), path_code("k"), std),))["k"]
    assert kernel.shape == (250, 400)
    assert kernel.dtype == np.float64
    assert abs(kernel.std() - std) < 6 * std / math.sqrt(2 * n), "He's standard deviation"
    assert abs(kernel.mean()) < 6 * std / math.sqrt(n), "centred on 0"


def test_each_parameter_has_a_stream_of_its_own() -> None:
    params = draw_parameters(key(1), he_normal(mlp(4, (3,), 2)))
    kernel = math.sqrt(2 / 3) * standard_normal(fold_in(key(1), path_code("logits/kernel")), 6).reshape(3, 2)
    np.testing.assert_array_equal(params["logits/kernel"], kernel)
    np.testing.assert_array_equal(params["logits/bias"], [0.0, 0.0], "biases start at 0")


def test_what_is_not_drawn_starts_at_its_value() -> None:
    params = draw_parameters(key(1), (ParameterSpec("a", (2, 2), 0, 0.0, 1.0), ParameterSpec("b", (3,), 0, 0.0, -2.5)))
    np.testing.assert_array_equal(params["a"], np.ones((2, 2)))
    np.testing.assert_array_equal(params["b"], [-2.5, -2.5, -2.5])
    assert params["a"].dtype == np.float64
