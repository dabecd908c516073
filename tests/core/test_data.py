"""Examples and labels are checked before any work starts."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core._networks.examples import checked_examples, checked_inputs, checked_split

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


BEYOND = r"inputs must be within float32's range, ±3\.4e38; example 1 has a value beyond it\. Scale them"
INEXACT = r"integer inputs must be exact in float32, .* ±2\^24 are; example 1 has one that is not\. Scale them"
ALL_ZERO = r"inputs must not all be 0 in float32; the largest here is 5\.0e-60\. Scale them"
#: By what they say, inputs that would be others in float32: the last one is.
OTHERS_IN_FLOAT32 = [
    (BEYOND, np.array(1e39)),
    (BEYOND, np.array(-1e300)),
    (BEYOND, np.array(1e39, np.longdouble)),
    (INEXACT, np.array(2**24 + 1)),
    (INEXACT, np.array(-(2**24) - 1, np.int32)),
    (INEXACT, np.array(2**24 + 1, np.uint32)),
    (INEXACT, np.array(2**63 - 1, np.int64)),
    (INEXACT, np.array(2**64 - 1, np.uint64)),
]


def with_last(value: np.ndarray) -> np.ndarray:
    x = X.astype(value.dtype)
    x[-1, -1] = value
    return x


@pytest.mark.parametrize(
    ("said", "x"),
    [*((said, with_last(value)) for said, value in OTHERS_IN_FLOAT32), (ALL_ZERO, 1e-60 * X)],
)
def test_inputs_that_would_be_others_in_float32_are_an_error_wherever_they_are_taken(said: str, x: np.ndarray) -> None:
    backend, key = wc.load_backend("numpy"), wc.key(0)
    network = wc.draw_control(NET, sparsity=0.5, backend=backend, key=key).network
    masks = {site: mask[None] for site, mask in (network.mask or {}).items()}
    for call in (
        lambda: wc.search(NET, (x, Y), sparsity=0.5, backend=backend, key=key),
        lambda: wc.train(network, (x, Y), backend=backend, key=key),
        lambda: wc.train(network, (X, Y), backend=backend, key=key, test=(x, Y)),
        lambda: wc.evaluate(network, (x, Y), backend=backend),
        lambda: backend.apply(NET, network.params, x, network.mask),
        lambda: backend.score(NET, network.params, masks, x, Y),
    ):
        with pytest.raises(wc.errors.DataError, match=said):
            call()


@pytest.mark.parametrize(
    "value",
    [
        *(np.array(value, dtype) for dtype in ("int32", "int64", "uint64") for value in (2**24, 2**25, 2**30)),
        np.array(-(2**63)), np.array(3e38), np.array(1e-60), np.array(255, np.uint8), np.array(65504, np.float16),
    ],
    ids=str,
)  # fmt: skip
def test_inputs_that_are_the_same_in_float32_are_taken(value: np.ndarray) -> None:
    """One that is too small among others is 0."""
    x = with_last(value)
    taken = checked_inputs(NET, x)
    np.testing.assert_array_equal(taken.astype(np.longdouble), x.astype(np.longdouble))


@pytest.mark.parametrize("kind", ["blurred", "sharp", "constant", "few", "float32"])
def test_inputs_whose_differences_float32_rounds_away_are_warned_of(kind: str) -> None:
    """Such as times in seconds: in float32 those of two minutes are one number."""
    seconds = 1.7e9 + 20 * np.random.default_rng(0).normal(size=(20, 3))
    x = {
        "blurred": seconds,
        "sharp": seconds - 1.7e9,
        "constant": np.full((20, 3), 1.7e9),
        "few": seconds[:7],
        "float32": seconds.astype(np.float32),
    }[kind]
    warned = pytest.warns(wc.WeedoutWarning, match=r"inputs differ by too little for float32: at \(0,\) of an example")
    with warned if kind == "blurred" else nullcontext():
        assert checked_examples(NET, (x, np.arange(len(x)) % 2)).x.dtype == x.dtype


def test_inputs_of_zeros_are_taken() -> None:
    assert not checked_inputs(NET, np.zeros((2, 3))).any()


@pytest.mark.parametrize("y", [[0], [0, 1, 1], [[0], [1]], [0.0, 1.0], [True, False], ["0", "1"]])
def test_labels_that_are_not_one_integer_an_example_are_an_error(y: list[object]) -> None:
    with pytest.raises(wc.errors.DataError, match=r"labels must be integers of shape \(2,\), one an example; got "):
        checked_examples(NET, (X, y))


@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        ([1, 2], "Subtract the least, 1."),
        ([5, 6], "Subtract the least, 5."),
        ([0, 2], ""),
        ([1, 3], ""),
        ([[0], [1]], "Take their second axis away: y[:, 0]."),
        ([[0, 1], [1, 0]], "If each row has the 1 of its class, hand in y.argmax(1)."),
        ([0.0, 1.0], "Convert them: y.astype(int)."),
        ([0.5, 1.0], ""),
        ([0, 1, 1], ""),
    ],
)
def test_labels_that_another_library_writes_are_refused_with_a_remedy(y: list[object], remedy: str) -> None:
    with pytest.raises(wc.errors.DataError) as caught:
        checked_examples(NET, (X, y))
    assert str(caught.value).endswith(f". {remedy}" if remedy else ("to 3.", "to 2.", "(2,).", "(3,)."))


@pytest.mark.parametrize(
    ("shape", "given", "remedy"),
    [
        ((1, 8, 8), (1, 8, 8), "That is one example: hand in x[None]."),
        ((1, 8, 8), (5, 8, 8), "Hand in x.reshape(len(x), 1, 8, 8)."),
        ((8, 8), (5, 8, 8, 1), "Hand in x.reshape(len(x), 8, 8)."),
        ((8, 8), (5, 8, 7), "got (5, 8, 7)."),
        ((8, 8), (0, 8, 8), "got (0, 8, 8)."),
        ((8, 8), (), "got ()."),
    ],
)
def test_inputs_that_lack_an_axis_are_refused_with_a_remedy(shape: Any, given: Any, remedy: str) -> None:
    with pytest.raises(wc.errors.DataError) as caught:
        checked_split(shape, 2, (np.zeros(given), np.zeros(given[:1], int)))
    assert str(caught.value).endswith(remedy)


@pytest.mark.parametrize("y", [[0, 2], [-1, 0]])
def test_labels_outside_the_classes_are_an_error(y: list[int]) -> None:
    message = rf"labels must be in \[0, 2\); got values from {min(y)} to {max(y)}\."
    with pytest.raises(wc.errors.DataError, match=message):
        checked_examples(NET, (X, y))


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", ["complex32", "complex64", "complex128"])
def test_numbers_that_are_not_real_are_refused(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = torch.zeros(2, 3, dtype=getattr(torch, dtype))
    with pytest.raises(wc.errors.DataError, match="inputs must be "):
        wc.search(
            wc.mlp(3, (4,), 2), (x, np.zeros(2, int)), sparsity=0.5, backend="numpy", key=wc.key(0),
        )  # fmt: skip
