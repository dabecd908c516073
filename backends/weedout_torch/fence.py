"""What the caller may have set in PyTorch, and what it is while a call of this backend runs.

The precision of products is fenced by ``precision``, where a call is asked for the highest. Left to the caller are the
number of threads and the library of products on CUDA (``set_num_threads``, ``preferred_blas_library``), which may move
last bits, and modes that watch operations (``TorchDispatchMode``). All else in ``torch.backends`` and among
``torch.set_...`` is about what is not computed here, or about what is shown.
"""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from weedout_core.backend import ProcessSetting, ProcessSettings
from weedout_torch.integers import Tensor
from weedout_torch.precision import attribute

_TORCH: Any = torch._C
_BACKENDS: Any = torch.backends


@contextmanager
def _no_autocast(kind: str) -> Generator[None]:
    before = {one: torch.is_autocast_enabled(one) for one in {"cpu", kind}}
    for one in before:
        torch.set_autocast_enabled(one, False)
    try:
        yield
    finally:
        for one, enabled in before.items():
            torch.set_autocast_enabled(one, enabled)


@contextmanager
def _denormals() -> Generator[None]:
    flushed = sys.float_info.min / 2 == 0.0  # PyTorch does not tell
    if flushed:
        torch.set_flush_denormal(False)
    try:
        yield
    finally:
        if flushed:
            torch.set_flush_denormal(True)


def _no_hooks() -> AbstractContextManager[object]:
    """Hooks that do nothing in place of the caller's; without any, none, since each tensor saved would pass there."""
    top = getattr(_TORCH._autograd, "_top_saved_tensors_default_hooks", None)  # PyTorch tells from 2.8 on
    if top is not None and top(False) is None:
        return nullcontext()
    return saved_tensors_hooks(_same, _same)


def _same(tensor: Tensor) -> Tensor:
    return tensor


#: Of each thread: what is entered, for the type of the backend's device.
THREAD: Mapping[str, Callable[[str], AbstractContextManager[object]]] = {
    "inference_mode": lambda _: torch.inference_mode(False),  # else nothing could be trained
    "grad_mode": lambda _: torch.no_grad(),  # training asks for the gradients it needs
    "torch_function": lambda _: _TORCH.DisableTorchFunction(),  # a default device among them: set_default_device
    "autocast": _no_autocast,  # products in half the bits
    "saved_tensors_hooks": lambda _: _no_hooks(),  # what a gradient needs, packed in fewer bits
    "flush_denormal": lambda _: _denormals(),
}

#: Of the process. The algorithms that are chosen round differently.
PROCESS = ProcessSettings(
    ProcessSetting("default_dtype", torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    ProcessSetting(  # a gradient that is NaN would be an error; here it is counted
        "anomaly_mode",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda modes: torch.set_anomaly_enabled(*modes),
        ((False, True), (False, False)),
    ),
    # Operations that have no deterministic algorithm would be errors.
    ProcessSetting(
        "deterministic_algorithms", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, (0,)
    ),
    attribute(_BACKENDS.cudnn, "enabled", True),
    attribute(_BACKENDS.cudnn, "benchmark", False),
    attribute(_BACKENDS.cudnn, "deterministic", False),
    attribute(_BACKENDS.mkldnn, "enabled", True),
    attribute(_BACKENDS.mkldnn, "deterministic", False),
    attribute(_BACKENDS.miopen, "immediate", False),
    ProcessSetting("nnpack.enabled", _TORCH._get_nnpack_enabled, _TORCH._set_nnpack_enabled, (True,)),
)


@contextmanager
def our_settings(kind: str) -> Generator[None]:
    """All of these, for the type of a device ("cpu", "cuda", ...)."""
    with PROCESS, ExitStack() as stack:
        for context in THREAD.values():
            stack.enter_context(context(kind))
        yield
