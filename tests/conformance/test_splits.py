"""Splits that other libraries hold: tensors, arrays of JAX, Datasets and DataLoaders of PyTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

jnp = pytest.importorskip("jax.numpy")
torch = pytest.importorskip("torch")
data = torch.utils.data

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 2
NET = wc.mlp(3, (4,), 2)


class Streamed(data.IterableDataset):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


def tensors() -> Any:
    return data.TensorDataset(torch.tensor(X), torch.tensor(Y))


def parts() -> Any:
    return data.ConcatDataset([data.Subset(tensors(), range(5)), data.Subset(tensors(), range(5, 12))])


def batched() -> Any:
    return data.DataLoader(tensors(), sampler=data.BatchSampler(range(12), 4, False), batch_size=None)


FORMS: dict[str, Callable[[], Any]] = {
    "tensors": lambda: (torch.tensor(X), torch.tensor(Y)),
    "arrays of JAX": lambda: (jnp.asarray(X), jnp.asarray(Y)),
    "dataset": tensors,
    "dataset of two": parts,
    "loader": lambda: data.DataLoader(tensors(), batch_size=5),
    "loader of a stream": lambda: data.DataLoader(Streamed(), batch_size=5),
    "stream": Streamed,
    "loader of batches": batched,
    "batches of JAX": lambda: ((jnp.asarray(X[i : i + 4]), jnp.asarray(Y[i : i + 4])) for i in (0, 4, 8)),
}


def evaluation(split: Any) -> wc.Evaluation:
    network = wc.draw_control(NET, sparsity=0.5, backend="numpy", key=wc.key(0)).network
    return wc.evaluate(network, split, backend="numpy")


@pytest.mark.parametrize("form", FORMS)
def test_a_split_of_another_library_is_read_as_its_arrays(form: str) -> None:
    assert evaluation(FORMS[form]()) == evaluation((X, Y))


def test_a_shuffled_loader_is_read_once_in_the_order_that_it_gives() -> None:
    """It draws from PyTorch's own generator, as it does for everyone."""
    loader = data.DataLoader(tensors(), batch_size=5, shuffle=True)
    torch.manual_seed(0)
    wanted = torch.cat([x for x, _ in loader])
    assert not torch.equal(wanted, torch.tensor(X))
    torch.manual_seed(0)
    found = wc.search(
        NET, loader, sparsity=0.5, backend="numpy", key=wc.key(0), config=wc.SearchConfig(population=2, generations=2)
    )
    torch.manual_seed(0)
    x, y = (torch.cat(part) for part in zip(*loader, strict=True))
    again = wc.search(
        NET, (x, y), sparsity=0.5, backend="numpy", key=wc.key(0), config=wc.SearchConfig(population=2, generations=2)
    )
    assert found == again
