"""The JAX backend: CPU, GPU and TPU.

One file an idea, with the names of the reference: ``randomness``, ``masks``, ``layers``, ``batch_norm``, ``network``,
``scoring``, ``batches``, ``training``; ``devices`` share the work; ``engines`` say how candidates follow each other;
``compiling`` counts and keeps programs; ``ahead`` compiles all of them for a device that is not there.
"""

import os
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from weedout_core.backend import Backend, host_array, host_view
from weedout_core.errors import BackendError
from weedout_jax import ahead, engines, masks, network, randomness, scoring, sensitivity, training
from weedout_jax.compiling import compile_seconds, keep_programs
from weedout_jax.devices import everywhere, find_mesh, memory
from weedout_jax.fence import our_settings


def connect(
    device: str | None = None,
    devices: int = 1,
    engine: str | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> Backend:
    """Bind the backend to devices.

    Args:
        device: "cpu", "gpu" or "tpu"; None takes JAX's default.
        devices: how many of them a population, and a training batch, is shared over.
        engine: how candidates follow each other, one of ``engines.ENGINES``; None takes the fastest, as measured.
        cache: a folder that keeps compiled programs for later processes, in the place of JAX's own setting and for
            all programs of this process; None leaves that setting.
    Raises:
        BackendError: there are no such devices, or fewer of them, or no such engine, or the folder is not writable.
    """
    if engine not in (None, *engines.ENGINES):
        raise BackendError(f"engine must be one of {', '.join(engines.ENGINES)}; got {engine!r}.")
    if cache is not None:
        keep_programs(cache)
    mesh = find_mesh(device, devices)
    place = everywhere(mesh)
    return Backend(
        name="jax",
        device=str(mesh.devices.flat[0].device_kind),
        devices=devices,
        libraries=("jax", "jaxlib", "optax"),
        asarray=partial(_asarray, place),
        to_numpy=host_view,
        random_bits=partial(randomness.random_bits, place),
        keep_smallest=partial(masks.keep_smallest, place),
        masks_from_keys=partial(masks.masks_from_keys, place),
        draw_parameters=partial(randomness.draw_parameters, place),
        score_population=partial(scoring.score_population, mesh, engine),
        predict=partial(network.predict, mesh),
        train_init=partial(training.train_init, mesh),
        train_epoch=partial(training.train_epoch, mesh),
        mask_gradient=partial(sensitivity.mask_gradient, mesh),
        compiled_memory=partial(ahead.compiled_memory, mesh),
        compile_seconds=compile_seconds,
        memory=memory(mesh),
        fence=our_settings,
    )


_DTYPES = {np.dtype(kind) for kind in (np.float32, np.int32, np.uint32, np.bool_)}


def _asarray(place: Sharding, array: Any) -> jax.Array:
    if isinstance(array, jax.Array) and array.dtype in _DTYPES and array.sharding.is_equivalent_to(place, array.ndim):
        return array
    host = host_array(array)
    # A copy: JAX computes on NumPy's memory in place, and when the caller has gone on.
    return jax.device_put(np.array(host, dtype=np.float32 if host.dtype.kind == "f" else host.dtype), place)
