"""The PyTorch backends: ``torch`` (CPU, CUDA), ``torch_xla`` (PyTorch/XLA) and ``tpu`` (torch_tpu, its successor).

One file an idea, with the names of the reference: ``randomness``, ``masks``, ``network``, ``scoring``,
``training``; ``devices`` is all that tells the three apart.
"""

from functools import partial

from weedout_core.backend import Backend, host_view
from weedout_core.errors import BackendError
from weedout_torch import devices as _devices
from weedout_torch import engines, masks, network, randomness, scoring, sensitivity, training
from weedout_torch.fence import our_settings


def connect_torch(device: str | None = None, devices: int = 1, engine: str | None = None) -> Backend:
    """PyTorch on "cpu" or "cuda"; None takes CUDA where there is one. Raises BackendError for another device.

    ``engine``: how candidates follow each other, one of ``engines.ENGINES``; None takes the fastest, as measured.
    """
    return _backend(_devices.torch_place(device, devices), engine)


def connect_xla(device: str | None = None, devices: int = 1, engine: str | None = None) -> Backend:
    """PyTorch/XLA on the device of this process (``PJRT_DEVICE``); several devices share a population by SPMD.

    Raises BackendError for another device, and where the process has trained with PyTorch before it knew of XLA.
    """
    return _backend(_devices.xla_place(device, devices), engine)


def connect_tpu(device: str | None = None, devices: int = 1, engine: str | None = None) -> Backend:
    """torch_tpu on a TPU. Raises BackendError where there is none."""
    return _backend(_devices.tpu_place(device, devices), engine)


def _backend(place: _devices.Place, engine: str | None) -> Backend:
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
        compile_seconds=place.compile_seconds,
        memory=_devices.memory(place),
        fence=partial(our_settings, place.device.type),
    )
