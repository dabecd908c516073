"""The settings of PyTorch that the caller may have changed, and their values while a call of this backend runs.

The precision of products is set in ``precision``, if a call asks for the highest. The number of threads is that of the
moment of connecting, or the one that was asked for then. These are left to the caller: the library of products on CUDA
(``preferred_blas_library``), which may change the last bits, and modes that observe operations (``TorchDispatchMode``).
All other settings in ``torch.backends`` and ``torch.set_...`` concern operations that are not used here, or how tensors
are printed.
"""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import RLock
from typing import Any, NamedTuple, cast

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
def _no_modes() -> Generator[None]:
    """Take the caller's modes away and put them back. To disable all modes would disable those of this backend too."""
    modes = [_TORCH._pop_torch_function_stack() for _ in range(_TORCH._len_torch_function_stack())]
    try:
        yield
    finally:
        for mode in reversed(modes):
            _TORCH._push_on_torch_function_stack(mode)


@contextmanager
def _denormals() -> Generator[None]:
    torch.set_flush_denormal(False)
    try:
        yield
    finally:
        torch.set_flush_denormal(True)


def _eager() -> bool:
    import torch_xla  # imported here, because it is optional

    return cast(Any, torch_xla)._XLAC._get_use_eager_mode()


@contextmanager
def _not_eager() -> Generator[None]:
    import torch_xla

    set_eager = cast(Any, torch_xla)._XLAC._set_use_eager_mode
    set_eager(False)
    try:
        yield
    finally:
        set_eager(True)


def _hooked() -> bool:
    """Whether the caller has hooks on saved tensors. Before PyTorch 2.8 this is unknown, and True is assumed."""
    top = getattr(_TORCH._autograd, "_top_saved_tensors_default_hooks", None)
    return top is None or top(False) is not None


def _same(tensor: Tensor) -> Tensor:
    return tensor


class ThreadSetting(NamedTuple):
    """A setting of the thread: whether its value is harmful, and a context with our value, by type of device."""

    harmful: Callable[[str], bool]
    ours: Callable[[str], AbstractContextManager[object]]


#: The settings of the thread, in the order in which they are entered.
THREAD: Mapping[str, ThreadSetting] = {
    # In inference mode nothing can be trained.
    "inference_mode": ThreadSetting(lambda _: torch.is_inference_mode_enabled(), lambda _: torch.inference_mode(False)),
    # Gradients are off, except where training turns them on.
    "grad_mode": ThreadSetting(lambda _: torch.is_grad_enabled(), lambda _: torch.no_grad()),
    # Modes that replace functions, and the default device (set_default_device).
    "torch_function": ThreadSetting(lambda _: _TORCH._len_torch_function_stack() > 0, lambda _: _no_modes()),
    # Autocast computes products in half the bits.
    "autocast": ThreadSetting(
        lambda kind: torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled(kind), _no_autocast
    ),
    # Hooks may store what a gradient needs in fewer bits.
    "saved_tensors_hooks": ThreadSetting(lambda _: _hooked(), lambda _: saved_tensors_hooks(_same, _same)),
    # In eager mode PyTorch/XLA runs each operation at once, and none of our graphs. It holds for the process; see _XLA.
    "eager_mode": ThreadSetting(lambda kind: kind == "xla" and _eager(), lambda _: _not_eager()),
    # Subnormal numbers may be flushed to zero. PyTorch does not report this setting, so it is tested.
    "flush_denormal": ThreadSetting(lambda _: sys.float_info.min / 2 == 0.0, lambda _: _denormals()),
}

#: The settings of the process. Some of them choose algorithms that round differently.
PROCESS = ProcessSettings(
    ProcessSetting("default_dtype", torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    ProcessSetting(  # anomaly mode raises an error for a gradient that is NaN; this library counts it
        "anomaly_mode",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda modes: torch.set_anomaly_enabled(*modes),
        ((False, True), (False, False)),
    ),
    # In deterministic mode, operations without a deterministic algorithm raise errors.
    ProcessSetting(
        "deterministic_algorithms", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, (0,)
    ),
    attribute(_BACKENDS.cudnn, "enabled", True),
    attribute(_BACKENDS.cudnn, "benchmark", False),
    attribute(_BACKENDS.cudnn, "deterministic", True),  # others add up in the order in which threads end
    attribute(_BACKENDS.mkldnn, "enabled", True),
    attribute(_BACKENDS.mkldnn, "deterministic", False),
    attribute(_BACKENDS.miopen, "immediate", False),
    ProcessSetting("nnpack.enabled", _TORCH._get_nnpack_enabled, _TORCH._set_nnpack_enabled, (True,)),
)

#: PyTorch/XLA records the operations of all threads together, so a sync of one would run half of another's call.
_XLA = RLock()


@contextmanager
def _with_threads(threads: int) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def our_settings(kind: str, threads: int | None = None) -> Generator[None]:
    """Enter all these settings, for a type of device ("cpu", "cuda", ...), with a number of threads if it has one."""
    with PROCESS, _XLA if kind == "xla" else nullcontext(), ExitStack() as stack:
        if threads not in (None, torch.get_num_threads()):
            stack.enter_context(_with_threads(threads))
        for setting in THREAD.values():
            if setting.harmful(kind):
                stack.enter_context(setting.ours(kind))
        yield
