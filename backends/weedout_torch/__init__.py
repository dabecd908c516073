"""The PyTorch backends: ``torch`` (CPU, CUDA), ``torch_xla`` (PyTorch/XLA) and ``tpu`` (torch_tpu, its successor).

Each file holds one idea, under the same name as in the reference: ``randomness``, ``masks``, ``network``, ``scoring``,
``training``. The three backends differ in ``devices`` only.
"""

from functools import partial

import torch

from weedout_core.backend import Backend, host_view
from weedout_core.errors import BackendError
from weedout_torch import devices as _devices
from weedout_torch import engines, masks, network, randomness, scoring, sensitivity, training
from weedout_torch.adopt import adopt
from weedout_torch.fence import our_settings


def connect_torch(
    device: str | None = None, devices: int = 1, engine: str | None = None, threads: int | None = None
) -> Backend:
    """Connect to PyTorch.

    Args:
        device: "cpu", or "cuda" (also "gpu"); None takes CUDA if it is available, else the CPU.
        devices: 1; this backend uses a single device.
        engine: in which order candidates are scored, one of ``engines.ENGINES``; None takes the fastest, see there.
        threads: the number of threads that compute on a CPU; None leaves it as PyTorch has it.
    Raises:
        BackendError: the device is not available, or the engine is unknown.
    """
    place = _devices.torch_place(device, devices)
    return _backend(place, engine, (threads or torch.get_num_threads()) if place.kind == "cpu" else None)


def connect_xla(device: str | None = None, devices: int = 1, engine: str | None = None) -> Backend:
    """Connect to PyTorch/XLA on the device of this process (environment variable ``PJRT_DEVICE``).

    Args:
        device: the kind of that device, "cpu" or "tpu"; None takes it as it is.
        devices: 1, or the number of all devices, which then share each population and each training batch (SPMD).
        engine: as for ``connect_torch``.
    Raises:
        BackendError: the process has another device or another number of devices, float32 has fewer bits there, the
            engine is unknown, or the process has trained with PyTorch before it connected to PyTorch/XLA.
    """
    return _backend(_devices.xla_place(device, devices), engine)


def connect_tpu(device: str | None = None, devices: int = 1, engine: str | None = None) -> Backend:
    """Connect to torch_tpu. Arguments as for ``connect_torch``. Raises BackendError if there is no TPU."""
    return _backend(_devices.tpu_place(device, devices), engine)


def _backend(place: _devices.Place, engine: str | None, threads: int | None = None) -> Backend:
    if engine not in (None, *engines.ENGINES):
        raise BackendError(f"engine must be one of {', '.join(engines.ENGINES)}; got {engine!r}.")
    return Backend(
        name=place.name,
        device=place.kind,
        devices=place.devices,
        libraries=place.libraries,
        asarray=place.asarray,
        to_numpy=host_view,
        random_bits=partial(randomness.random_bits, place),
        keep_smallest=partial(masks.keep_smallest, place),
        masks_from_keys=partial(masks.masks_from_keys, place),
        draw_parameters=partial(randomness.draw_parameters, place),
        score_population=partial(scoring.score_population, place, engine),
        predict=partial(network.predict, place),
        train_init=partial(training.train_init, place),
        train_epoch=partial(training.train_epoch, place),
        mask_gradient=partial(sensitivity.mask_gradient, place),
        adopt=None if place.recorded else adopt,
        compile_seconds=place.compile_seconds,
        memory=_devices.memory(place),
        threads=threads,
        fence=partial(our_settings, place.device.type, threads),
    )
