"""The JAX backend: CPU, GPU and TPU.

One file an idea, with the names of the reference: ``randomness``, ``masks``, ``network``, ``scoring``,
``training``; ``ahead`` compiles all of it for a device that is not there.
"""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding, SingleDeviceSharding

from weedout_core import Backend, BackendError
from weedout_jax import masks, network, randomness, scoring, training


def connect(device: str | None = None, devices: int = 1) -> Backend:
    """Bind the backend to devices.

    Args:
        device: "cpu", "gpu" or "tpu"; None takes JAX's default.
        devices: how many of them a population is shared over.
    Raises:
        BackendError: there are no such devices, or fewer of them.
    """
    try:
        found = jax.devices(device)
    except RuntimeError as error:
        raise BackendError(f"JAX has no device {device!r} here ({error}); it has {jax.default_backend()!r}.") from error
    if not 1 <= devices <= len(found):
        raise BackendError(
            f"devices must be in [1, {len(found)}], the {found[0].platform} devices JAX sees; got {devices}."
        )
    mesh = jax.make_mesh((devices,), (scoring.AXIS,), devices=found[:devices], axis_types=scoring.AXIS_TYPES)
    place = SingleDeviceSharding(found[0])
    return Backend(
        name="jax",
        device=str(found[0].device_kind),
        devices=devices,
        libraries=("jax", "jaxlib", "optax"),
        asarray=partial(_asarray, place),
        to_numpy=_to_numpy,
        random_bits=partial(randomness.random_bits, place),
        keep_smallest=partial(masks.keep_smallest, place),
        masks_from_keys=partial(masks.masks_from_keys, place),
        draw_parameters=partial(randomness.draw_parameters, place),
        score_population=partial(scoring.score_population, mesh),
        predict=network.predict,
        train_init=training.train_init,
        train_epoch=training.train_epoch,
    )


def _asarray(place: Sharding, array: Any) -> jax.Array:
    host = np.asarray(array)
    kinds = {"f": np.float32, "i": np.int32, "u": np.uint32 if host.dtype == np.uint32 else np.int32}
    return jax.device_put(host.astype(kinds.get(host.dtype.kind, host.dtype), copy=False), place)


def _to_numpy(array: Any) -> np.ndarray:
    return np.asarray(array)
