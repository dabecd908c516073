"""The precision of products: "highest" sets full float32 for the whole process while a call runs."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from weedout_core.backend import ProcessSetting, ProcessSettings

_BACKENDS: Any = torch.backends


def precise(precision: str) -> AbstractContextManager[object]:
    """A context: full precision of matrix products and convolutions for "highest"; the caller's for "default"."""
    return FULL if precision == "highest" else nullcontext()


def attribute(owner: Any, name: str, *ours: Any) -> ProcessSetting:
    """A setting that is an attribute of a module of PyTorch, with our acceptable values ``ours``."""
    called = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
    return ProcessSetting(called, lambda: getattr(owner, name), lambda value: setattr(owner, name, value), ours)


def _fp32(name: str, owner: Any) -> ProcessSetting:
    setting = attribute(owner, "fp32_precision", "ieee", "none")  # "none": no lower precision was asked for
    return setting._replace(name=f"{name}.fp32_precision")


def _of_operations() -> list[ProcessSetting]:
    """From PyTorch 2.9 on, each operation has a setting, which defaults to that of its library, or of all libraries.

    So the general settings come first. There, reading one of the older settings gives a warning.
    """
    mkldnn = _fp32("mkldnn", _BACKENDS.mkldnn)
    return [
        _fp32("backends", _BACKENDS),
        _fp32("cudnn", _BACKENDS.cudnn),  # for everything on CUDA
        # Setting the attribute would change the setting of all libraries.
        mkldnn._replace(write=lambda value: _BACKENDS.mkldnn.set_flags(_fp32_precision=value)),
        _fp32("cuda.matmul", _BACKENDS.cuda.matmul),
        _fp32("cudnn.conv", _BACKENDS.cudnn.conv),
        _fp32("mkldnn.matmul", _BACKENDS.mkldnn.matmul),
        _fp32("mkldnn.conv", _BACKENDS.mkldnn.conv),
    ]


def _of_all_products() -> list[ProcessSetting]:
    """Before PyTorch 2.9, one setting served all products, and convolutions on CUDA had their own."""
    read, write = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    return [
        ProcessSetting("float32_matmul_precision", read, write, ("highest",)),
        attribute(_BACKENDS.cudnn, "allow_tf32", False),
    ]


def _of_xla() -> ProcessSetting:
    """The setting of PyTorch/XLA, if the process has imported it; there the other settings have no effect.

    Its gradients of convolutions request no precision, whatever is set: on a TPU they are sums of bfloat16 products.
    """

    def read() -> str:
        xla: Any = sys.modules.get("torch_xla")
        return "highest" if xla is None else xla._XLAC._xla_get_mat_mul_precision()

    def write(value: str) -> None:
        xla: Any = sys.modules["torch_xla"]
        xla._XLAC._xla_set_mat_mul_precision(value)

    return ProcessSetting("xla.mat_mul_precision", read, write, ("highest",))


_XLA = _of_xla()


def in_its_program(h: torch.Tensor) -> torch.Tensor:
    """Add 0 to activations as many times as to make another program for each precision of PyTorch/XLA's products.

    PyTorch/XLA identifies a program by its operations, which do not include the precision. It would otherwise run the
    program that it compiled first, at whatever precision.
    """
    added = {"default": 1, "high": 2}.get(_XLA.read(), 0) if h.device.type == "xla" else 0
    for _ in range(added):
        h = h + 0.0
    return h


_PER_OPERATION = hasattr(_BACKENDS.cuda.matmul, "fp32_precision") and hasattr(_BACKENDS.cudnn, "conv")

FULL = ProcessSettings(
    *(_of_operations() if _PER_OPERATION else _of_all_products()),
    _XLA,
    attribute(_BACKENDS.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),  # sums in bfloat16
)
