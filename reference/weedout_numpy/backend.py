"""Backend: the reference as one of the backends of ``weedout_core``. Algorithm 1 does not need this file.

Every backend is a record of the same functions, under the same names. With this record the library searches and
trains on the reference, and the conformance tests hold every other backend to it.
"""

from typing import Any

import numpy as np

from weedout_core.backend import Backend, host_array, host_view
from weedout_core.errors import BackendError
from weedout_numpy.fence import our_settings
from weedout_numpy.initial import draw_parameters
from weedout_numpy.masks import keep_smallest
from weedout_numpy.randomness import random_bits
from weedout_numpy.scoring import masks_from_keys, score_population
from weedout_numpy.sensitivity import mask_gradient
from weedout_numpy.together import predict, train_epoch, train_init


def asarray(value: Any) -> np.ndarray:
    """A NumPy array of its own: floats as float64, integers as int32; words of the random stream (uint32), bool."""
    array = host_array(value)
    return np.array(array, dtype=np.float64 if array.dtype.kind == "f" else array.dtype)


def connect(device: str | None = None, devices: int = 1) -> Backend:
    """The reference as a backend.

    Args:
        device: None or "cpu".
        devices: 1.
    Raises:
        BackendError: another device, or more than one.
    """
    if device not in (None, "cpu"):
        raise BackendError(
            f'the numpy backend runs on device "cpu" only; got {device!r}. Use device=None or another backend.'
        )
    if devices != 1:
        raise BackendError(
            f"the numpy backend runs on 1 device; got devices={devices!r}. Use devices=1 or another backend."
        )
    return Backend(
        name="numpy",
        device="cpu",
        devices=1,
        libraries=("numpy", "scipy"),
        asarray=asarray,
        to_numpy=host_view,
        random_bits=random_bits,
        keep_smallest=keep_smallest,
        masks_from_keys=masks_from_keys,
        draw_parameters=draw_parameters,
        score_population=score_population,
        predict=predict,
        train_init=train_init,
        train_epoch=train_epoch,
        mask_gradient=mask_gradient,
        fence=our_settings,
    )
