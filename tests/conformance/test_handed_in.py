"""What is handed in in another form than a backend's own: taken as what it means, or refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance import fuzzed
from tests.conformance.connected import connected, imported
from weedout_core._guard.hosted import hosted

pytestmark = pytest.mark.usefixtures("unchecked")
NAMES = ["numpy", "jax", "torch", "torch_xla"]


def mapped(value: Any, change: Callable[[np.ndarray], Any]) -> Any:
    """The same with each array, wherever it lies, in NumPy and changed."""
    if isinstance(value, dict):
        return {name: mapped(item, change) for name, item in value.items()}
    if isinstance(value, tuple):
        items = [mapped(item, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    return change(hosted(value)) if getattr(value, "shape", ()) and hasattr(value, "dtype") else value


def assert_same(found: Any, wanted: Any) -> None:
    np.testing.assert_equal(mapped(found, np.asarray), mapped(wanted, np.asarray))


def in_float64(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def swapped(array: np.ndarray) -> np.ndarray:
    """Of a machine that stores numbers the other way around."""
    return array.astype(array.dtype.newbyteorder())


#: Calls that take arrays of the backend's own.
CALLS = ["apply", "score", "score_population", "predict", "train_init", "train_epoch", "mask_gradient"]


@pytest.mark.parametrize("change", [np.asarray, in_float64, swapped])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["jax", "torch", "torch_xla"])
def test_arrays_of_numpy_are_taken_as_the_backends_own(name: str, call: str, change: Any) -> None:
    function, given = fuzzed.methods(connected(name))[call]
    wanted = function(**given)
    changed = mapped(given, change)
    if call == "train_epoch" and change is swapped:  # the state of an optimizer is opaque: nobody reads its numbers
        changed["state"] = changed["state"]._replace(optimizer=given["state"].optimizer)
    assert_same(function(**changed), wanted)


@pytest.mark.parametrize("kind", [np.int32, np.bool_])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_weights_that_are_no_floats_are_refused(name: str, call: str, kind: Any) -> None:
    function, given = fuzzed.methods(connected(name))[call]
    trees = [one for one in ("params", "statistics") if isinstance(given.get(one), dict)]
    if call == "train_epoch":
        state = given["state"]
        spoilt = [{"state": state._replace(**{tree: _spoilt(getattr(state, tree), kind)})} for tree in _STATE]
    else:
        spoilt = [{tree: _spoilt(given[tree], kind)} for tree in trees]
    for other in spoilt:
        message = rf"^(params|statistics|the velocities) must be arrays of floats; got .*{np.dtype(kind).name} for '"
        with pytest.raises(wc.errors.ConfigError, match=message):
            function(**{**given, **other})


_STATE = ("params", "statistics", "optimizer")


def _spoilt(tree: dict[str, Any], kind: Any) -> dict[str, Any]:
    path = list(tree)[-1]
    return {**tree, path: np.zeros(tree[path].shape, kind)}


def subnetwork(dtype: Any) -> wc.Subnetwork:
    rng = np.random.default_rng(3)
    shapes = wc.nn.parameter_shapes(fuzzed.NET)
    return wc.Subnetwork(fuzzed.NET, {path: rng.normal(size=shape).astype(dtype) for path, shape in shapes.items()})


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_numbers_of_another_byte_order_are_those_numbers(dtype: str, tmp_path: Path) -> None:
    plain, other = subnetwork(f"={dtype}"), subnetwork(np.dtype(dtype).newbyteorder())
    assert other == plain
    assert hash(other) == hash(plain)
    other.save(tmp_path / "network")
    assert wc.Subnetwork.load(tmp_path / "network") == plain


def test_floats_that_no_file_and_no_backend_takes_are_refused() -> None:
    if np.dtype(np.longdouble).itemsize == 8:
        return  # here it is float64
    with pytest.raises(wc.errors.ConfigError, match=r"must be an array of floats of at most 64 bits; got nd"):
        subnetwork(np.longdouble)


@pytest.mark.parametrize("path", [5, None, "", "a\0b", b"a", ["a"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    for function in (subnetwork("f4").save, wc.Subnetwork.load):
        with pytest.raises(wc.errors.ConfigError, match=r"^path must be a path: text or a PathLike; got "):
            function(path)


@pytest.mark.parametrize("which", range(8))
@pytest.mark.parametrize("name", NAMES)
def test_arrays_that_do_not_hold_all_of_their_values_are_refused(name: str, which: int) -> None:
    """Sparse, nested, packed, or with a mask of their own: what is not there would be 0, or what lies beneath."""
    torch, backend = imported("torch", "torch"), connected(name)
    masked = np.ma.masked_array(fuzzed.X, fuzzed.X > 0)
    value = [*fuzzed.torn(torch.tensor(fuzzed.X)), masked][which]
    for given in (value, [value]):
        for call in (
            lambda given=given: backend.asarray(given),
            lambda given=given: wc.ask_tell.select(given),
            lambda given=given: wc.backend.accuracy(given, fuzzed.Y),
            lambda given=given: wc.evaluate(subnetwork("f4"), (given, fuzzed.Y), backend=backend),
        ):
            with pytest.raises(wc.WeedoutError, match=r"of its own, and that would|is sparse, nested, qu|; got \["):
                call()


def test_numpys_matrix_is_an_array_of_its_numbers() -> None:
    """Its products and sums are others: ``any`` over an axis has two axes still."""
    matrix = fuzzed.X.view(np.matrix)
    for function in (wc.ask_tell.select, wc.backend.predictions, lambda x: wc.backend.accuracy(x, fuzzed.Y)):
        np.testing.assert_array_equal(function(matrix), function(fuzzed.X), strict=True)


def test_words_of_pytorch_are_refused_where_they_would_be_added() -> None:
    torch = imported("torch", "torch")
    key, words = torch.tensor([1, 2], dtype=torch.uint32), torch.arange(3).to(torch.uint32)
    for call in (
        lambda: wc.random.bits(key, 3),
        lambda: wc.random.bits_at(key, words),
        lambda: wc.random.bits_at(fuzzed.KEY, words),
        lambda: wc.random.fold_in(key, 3),
        lambda: wc.random.split(key, 3),
        lambda: wc.backend.keep_smallest(words, 1),
        lambda: wc.backend.order_keys(words),
        lambda: wc.backend.masks_from_keys(key[None], fuzzed.PLAN),
    ):
        with pytest.raises(wc.errors.ConfigError, match=r"^words must be of a framework with arithmetic of uint32"):
            call()


def test_typed_keys_of_jax_are_keys_in_one_array_too() -> None:
    jax = imported("jax", "jax")
    network, typed = subnetwork("f4"), jax.random.split(jax.random.key(5), 2)
    found = [
        wc.train_together([network] * 2, (fuzzed.X, fuzzed.Y), backend="numpy", keys=keys, config=wc.TrainConfig(1))
        for keys in (
            typed,
            list(typed),
            jax.random.key_data(typed),
            [np.asarray(jax.random.key_data(k)) for k in typed],
        )
    ]
    assert all(one == found[0] for one in found)


def test_arrays_of_jax_that_have_no_values_say_why() -> None:
    jax = imported("jax", "jax")
    network = subnetwork("f4")

    def evaluated(x: Any) -> Any:
        return wc.evaluate(network, (x, fuzzed.Y), backend="numpy")

    deleted = jax.numpy.asarray(fuzzed.X)
    deleted.delete()
    with pytest.raises(wc.errors.DataError, match=r"got ArrayImpl of float32 \(12, 4\), which is deleted: "):
        evaluated(deleted)
    with pytest.raises(wc.errors.DataError, match=r"float32 \(12, 4\), which is traced: inside jit, grad or vmap"):
        jax.jit(evaluated)(fuzzed.X)


@pytest.mark.parametrize("make", [
    lambda name: wc.nn.Dense(name, 2), lambda name: wc.nn.Conv(name, 2), lambda name: wc.nn.BatchNorm(name),
    lambda name: wc.nn.Mask(name), lambda name: wc.nn.Gather(name, 2), lambda name: wc.mask_plan({name: (2,)}, 0.5),
])  # fmt: skip
def test_half_of_a_surrogate_pair_is_no_text(make: Any) -> None:
    with pytest.raises(wc.errors.ConfigError, match=r"must be text; got '\\udcff', which has half of a surrogate"):
        make("\udcff")


def test_a_plan_of_other_shapes_shows_them() -> None:
    plan = wc.mask_plan({"hidden_0": (7,)}, 0.5)
    population = wc.backend.draw_population(fuzzed.KEY, plan, fuzzed.SEARCH, [wc.backend.Origin(0, 1)])
    with pytest.raises(wc.errors.ConfigError, match=r"their shapes \{'hidden_0': \(6,\)\}; got .* \(7,\)\}\."):
        wc.load_backend("numpy").score(fuzzed.NET, subnetwork("f4").params, population, fuzzed.X, fuzzed.Y)
