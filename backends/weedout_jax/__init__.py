"""The JAX backend: CPU, GPU and TPU.

Each file holds one idea, under the same name as in the reference: ``randomness``, ``masks``, ``layers``,
``batch_norm``, ``network``, ``scoring``, ``batches``, ``training``. ``devices`` shares the work among devices, and
``peers`` among processes; ``engines`` says in which order candidates are scored; ``compiling`` times and stores
compiled programs; ``ahead`` compiles all programs for a device that need not exist on this machine.
"""

import os
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from weedout_core.backend import Backend, host_array, host_view
from weedout_core.errors import BackendError
from weedout_jax import ahead, engines, masks, network, peers, randomness, scoring, sensitivity, training
from weedout_jax.adopt import adopt
from weedout_jax.compiling import compile_seconds, keep_programs
from weedout_jax.devices import everywhere, find_mesh, from_host, memory, platform
from weedout_jax.fence import our_settings
from weedout_jax.threads import number


def connect(
    device: str | None = None,
    devices: int = 1,
    engine: str | None = None,
    cache: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
) -> Backend:
    """Bind the backend to devices.

    Args:
        device: "cpu", "gpu" or "tpu"; None takes JAX's default.
        devices: the number of devices that share each population and each training batch, ≥ 1; of all processes that
            compute together, each of which must have one.
        engine: in which order candidates are scored, one of ``engines.ENGINES``; None takes the fastest, see there.
        cache: a folder that keeps compiled programs for later processes. It replaces JAX's own setting, for all
            programs of this process; None leaves that setting.
        threads: the number of threads that compute on a CPU, of the whole process; None leaves it as JAX has it.
        coordinator, processes, process: the processes that compute together, see :func:`weedout_jax.peers.join`. Each
            makes the same calls with the same arrays. JAX ends a process when another one is lost.
    Raises:
        BackendError: there is no such device, there are fewer devices than asked for, the engine is unknown, the
            folder cannot be written, the process computes with another number of threads already, or the other
            processes cannot be joined.
    """
    if engine not in (None, *engines.ENGINES):
        raise BackendError(f"engine must be one of {', '.join(engines.ENGINES)}; got {engine!r}.")
    peers.join(coordinator, processes, process)
    mesh = find_mesh(device, devices, threads)
    if cache is not None:
        keep_programs(cache)
    place = everywhere(mesh)
    return Backend(
        name="jax",
        device=str(mesh.devices.flat[0].device_kind),
        devices=devices,
        libraries=("jax", "jaxlib", "optax"),
        asarray=partial(_asarray, place),
        to_numpy=_to_numpy,
        random_bits=partial(randomness.random_bits, place),
        keep_smallest=partial(masks.keep_smallest, place),
        masks_from_keys=partial(masks.masks_from_keys, place),
        draw_parameters=partial(randomness.draw_parameters, place),
        score_population=partial(scoring.score_population, mesh, engine),
        predict=partial(network.predict, mesh),
        train_init=partial(training.train_init, mesh),
        train_epoch=partial(training.train_epoch, mesh),
        mask_gradient=partial(sensitivity.mask_gradient, mesh),
        adopt=adopt,
        compiled_memory=partial(ahead.compiled_memory, mesh),
        compile_seconds=compile_seconds,
        memory=memory(mesh),
        threads=number() if platform(mesh) == "cpu" else None,
        fence=our_settings,
        peers=peers.peers(),
    )


_DTYPES = {np.dtype(kind) for kind in (np.float32, np.int32, np.uint32, np.bool_)}


def _to_numpy(array: Any) -> np.ndarray:
    """``host_view`` of an array that is there. Why it is not, as where a process is lost, JAX says itself."""
    return host_view(jax.block_until_ready(array))


def _asarray(place: Sharding, array: Any) -> jax.Array:
    if isinstance(array, jax.Array) and array.dtype in _DTYPES and array.sharding.is_equivalent_to(place, array.ndim):
        return array
    host = host_array(array)
    # A copy, because JAX may read NumPy's memory in place, even after this call has returned.
    return from_host(np.array(host, dtype=np.float32 if host.dtype.kind == "f" else host.dtype), place)
