"""Examples and labels are checked before any work starts."""

import numpy as np
import pytest

import weedout_core as wc
from weedout_core._networks.examples import checked_examples, checked_inputs

NET = wc.mlp(inputs=3, hidden=(2,), classes=2)
X = np.asarray([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
Y = np.asarray([0, 1])


def test_a_split_that_fits() -> None:
    examples = checked_examples(NET, (X.tolist(), Y.tolist()))
    np.testing.assert_array_equal(examples.x, X)
    np.testing.assert_array_equal(examples.y, Y)
    assert examples.y.dtype == np.int32


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [(np.float64, np.float64), (np.float32, np.float32), (np.uint8, np.float32), (np.int64, np.float32)],
)
def test_whole_numbers_become_floats(dtype: type, kept: type) -> None:
    assert checked_inputs(NET, X.astype(dtype)).dtype == kept


@pytest.mark.parametrize("shape", [(3,), (2, 4), (0, 3), (2, 3, 1), ()])
def test_inputs_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    message = r"inputs must have shape \(examples, \*\(3,\)\) and not be empty; got \("
    with pytest.raises(wc.errors.DataError, match=message):
        checked_inputs(NET, np.zeros(shape))


@pytest.mark.parametrize("dtype", ["complex128", "bool", "U1"])
def test_inputs_that_are_not_real_numbers_are_an_error(dtype: str) -> None:
    with pytest.raises(wc.errors.DataError, match=r"inputs must be real numbers; got dtype "):
        checked_inputs(NET, np.zeros((2, 3), dtype=dtype))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite_are_an_error_that_names_the_example(bad: float) -> None:
    x = X.copy()
    x[1, 2] = bad
    with pytest.raises(wc.errors.DataError, match=r"inputs must be finite; example 1 has NaN or infinity\."):
        checked_inputs(NET, x)


@pytest.mark.parametrize("y", [[0], [0, 1, 1], [[0], [1]], [0.0, 1.0], [True, False], ["0", "1"]])
def test_labels_that_are_not_one_integer_an_example_are_an_error(y: list[object]) -> None:
    with pytest.raises(wc.errors.DataError, match=r"labels must be integers of shape \(2,\), one an example; got "):
        checked_examples(NET, (X, y))


@pytest.mark.parametrize("y", [[0, 2], [-1, 0]])
def test_labels_outside_the_classes_are_an_error(y: list[int]) -> None:
    message = rf"labels must be in \[0, 2\); got values from {min(y)} to {max(y)}\."
    with pytest.raises(wc.errors.DataError, match=message):
        checked_examples(NET, (X, y))


@pytest.mark.parametrize("data", [np.zeros((4, 3)), (1, 2, 3), None])
def test_what_is_no_pair_is_an_error(data: object) -> None:
    with pytest.raises(wc.errors.DataError, match=r"a split must be a pair \(x, y\)"):
        checked_examples(NET, data)
