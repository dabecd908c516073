"""What users hand in may be NumPy's or the framework's own, of any type of float."""

from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected

BACKENDS = ("numpy", "jax", "torch", "torch_xla")
NET = wc.mlp(6, (12,), 3)
PLAN = wc.mask_plan(wc.mask_space(NET), 0.5)
X, Y = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32), np.arange(10) % 3


def bfloat16(backend: wc.backend.Backend, value: np.ndarray) -> Any:
    """The framework's own, on the backend's device; NumPy has none."""
    if backend.name == "jax":
        import jax.numpy as jnp

        return jnp.asarray(value, jnp.bfloat16)
    import torch

    return torch.tensor(value).to(torch.bfloat16).to(backend.asarray(value).device)


def network_of(backend: wc.backend.Backend, params: Any, mask: Any) -> wc.Subnetwork:
    """Of weights as they are or, where NumPy cannot read them, as the error says."""
    try:
        return wc.Subnetwork(NET, params, mask)
    except wc.errors.ConfigError as error:
        said = str(error)
    assert backend.name.startswith("torch"), f"NumPy reads JAX's arrays, of any type: {said}"
    assert "Hand in backend.to_numpy of it." in said
    return wc.Subnetwork(NET, {path: backend.to_numpy(value) for path, value in params.items()}, mask)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in BACKENDS
        for kind in ("float64", "float16", "bfloat16")
        if (name, kind) != ("numpy", "bfloat16")
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_weights_are_taken_in_the_backends_precision(name: str, kind: str) -> None:
    backend = connected(name)
    # Numbers of 8 bits, which all of these types hold, so that what is found is equal.
    exact = {
        path: np.round(8 * backend.to_numpy(value)).astype(np.float32) / 8
        for path, value in backend.initialise(NET, wc.key(1)).items()
    }
    theirs = {
        path: bfloat16(backend, value) if kind == "bfloat16" else value.astype(kind) for path, value in exact.items()
    }
    population = wc.backend.masks_from_keys(wc.random.split(wc.key(2), 4), PLAN)
    mask = {site: drawn[0] for site, drawn in population.items()}

    def found(params: Any) -> list[np.ndarray]:
        trained = wc.train(
            network_of(backend, params, mask), (X, Y), backend=backend, key=wc.key(3),
            config=wc.TrainConfig(epochs=1, batch_size=5),
        )  # fmt: skip
        return [
            backend.to_numpy(backend.score(NET, params, population, X, Y)),
            backend.to_numpy(backend.apply(NET, params, X)),
            trained.losses,
        ]

    ours = {path: backend.asarray(value) for path, value in exact.items()}
    for one, wanted in zip(found(theirs), found(ours), strict=True):
        np.testing.assert_array_equal(one, wanted)


def test_what_is_on_the_device_and_cannot_be_written_to_is_not_copied() -> None:
    backend = connected("jax")
    for value in (np.ones((2, 3)), np.arange(3), np.ones(2, bool), np.ones(2, np.uint32)):
        there = backend.asarray(value)
        assert backend.asarray(there) is there, value.dtype
