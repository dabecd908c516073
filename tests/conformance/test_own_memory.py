"""What a call was given may be written to as soon as it returns, and in its callbacks: nothing of it changes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected, imported
from weedout_core.backend import Backend

NET = wc.mlp(inputs=64, hidden=(32,), classes=10)
KEY = wc.key(5)


@pytest.fixture(params=["numpy", "jax", "torch"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return connected(request.param)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy that begins at a multiple of 64 bytes: there JAX would compute on it in place."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def a_torch_tensor(array: np.ndarray) -> Any:
    return imported("torch", "torch").from_numpy(aligned(array))


KINDS = {"NumPy": aligned, "PyTorch": a_torch_tensor}


def split(kind: Callable[[np.ndarray], Any], dtype: type = np.float32, examples: int = 256) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    return kind(rng.standard_normal((examples, 64)).astype(dtype)), kind(rng.integers(0, 10, examples))


def overwrite(*arrays: Any) -> None:
    for array in arrays:
        array[...] = 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_search_whose_callback_writes_to_the_split(backend: Backend, kind: Any, dtype: type) -> None:
    def searched(writes: bool) -> wc.SearchResult:
        data = split(kind, dtype)
        config = wc.SearchConfig(population=4, generations=3, validation_batch=64)
        return wc.search(
            NET, data, sparsity=0.5, backend=backend, key=KEY, config=config,
            on_generation=lambda _: overwrite(*data) if writes else None,
        )  # fmt: skip

    assert searched(True).history == searched(False).history


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_training_whose_callback_writes_to_the_splits(backend: Backend, kind: Any, dtype: type) -> None:
    start = wc.draw_control(NET, sparsity=0.5, backend=backend, key=KEY).network

    def trained(writes: bool) -> wc.Trained:
        data, test = split(kind, dtype), split(kind, dtype, 50)
        return wc.train(
            start, data, backend=backend, key=KEY, config=wc.TrainConfig(epochs=3, batch_size=64), test=test,
            on_epoch=lambda _: overwrite(*data, *test) if writes else None,
        )  # fmt: skip

    one, other = trained(True), trained(False)
    assert one.network == other.network
    assert one.history == other.history
    assert one.began == other.began


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_call_that_has_returned_is_done_with_its_arrays(backend: Backend, kind: Any) -> None:
    """Where results are computed later too, as by JAX: what they are computed of was large enough to take a while."""
    net = wc.mlp(inputs=64, hidden=(512, 512), classes=10)
    params = {path: backend.to_numpy(value) for path, value in backend.initialise(net, KEY).items()}
    masks = {site: np.ones((8, 512), np.bool_) for site in wc.mask_space(net)}

    def results(writes: bool) -> list[np.ndarray]:
        (x, y), own = split(kind, examples=2048), {path: kind(value) for path, value in params.items()}
        kept = {site: kind(mask) for site, mask in masks.items()}
        keys = wc.random.split(KEY, 8).copy()
        found = [
            backend.score(net, own, kept, x, y),
            backend.apply(net, own, x, {site: mask[0] for site, mask in kept.items()}),
            *backend.masks_from_keys(keys, wc.mask_plan(wc.mask_space(net), 0.5)).values(),
            backend.asarray(x),
        ]
        if writes:
            overwrite(x, y, keys, *own.values(), *kept.values())
        return [backend.to_numpy(one).copy() for one in found]

    for changed, quiet in zip(results(True), results(False), strict=True):
        np.testing.assert_array_equal(changed, quiet)


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_a_training_that_has_begun_is_done_with_its_weights(name: str) -> None:
    backend = connected(name)
    params = {
        path: backend.asarray(backend.to_numpy(value)[None]) for path, value in backend.initialise(NET, KEY).items()
    }
    state = backend.train_init(NET, wc.backend.train_plan(wc.TrainConfig(batch_size=8), 16), KEY[None], params, {})
    overwrite(*params.values())
    for path, value in backend.initialise(NET, KEY).items():
        np.testing.assert_array_equal(backend.to_numpy(state.params[path])[0], backend.to_numpy(value))
