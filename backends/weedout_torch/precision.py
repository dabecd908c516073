"""In how many bits products are computed: at "highest" in all of float32, in the whole process while a call runs."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from weedout_core.backend import ProcessSetting, ProcessSettings

_BACKENDS: Any = torch.backends


def precise(precision: str) -> AbstractContextManager[object]:
    """Matrix products and convolutions in full precision for "highest"; as the caller has it for "default"."""
    return FULL if precision == "highest" else nullcontext()


def attribute(owner: Any, name: str, *ours: Any) -> ProcessSetting:
    """A setting that is an attribute of one of PyTorch's modules."""
    called = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
    return ProcessSetting(called, lambda: getattr(owner, name), lambda value: setattr(owner, name, value), ours)


def _fp32(name: str, owner: Any) -> ProcessSetting:
    setting = attribute(owner, "fp32_precision", "ieee", "none")  # "none": nobody has asked for less
    return setting._replace(name=f"{name}.fp32_precision")


def _of_operations() -> list[ProcessSetting]:
    """From PyTorch 2.9 on each operation has a setting; without one it has that of its library, or of all libraries.

    So the general ones come first. Reading an older setting gives a warning there.
    """
    mkldnn = _fp32("mkldnn", _BACKENDS.mkldnn)
    return [
        _fp32("backends", _BACKENDS),
        _fp32("cudnn", _BACKENDS.cudnn),  # of all that CUDA does
        # Setting the attribute would set that of all libraries.
        mkldnn._replace(write=lambda value: _BACKENDS.mkldnn.set_flags(_fp32_precision=value)),
        _fp32("cuda.matmul", _BACKENDS.cuda.matmul),
        _fp32("cudnn.conv", _BACKENDS.cudnn.conv),
        _fp32("mkldnn.matmul", _BACKENDS.mkldnn.matmul),
        _fp32("mkldnn.conv", _BACKENDS.mkldnn.conv),
    ]


def _of_all_products() -> list[ProcessSetting]:
    """Before, one setting served all products, and convolutions on CUDA had a switch of their own."""
    read, write = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    return [
        ProcessSetting("float32_matmul_precision", read, write, ("highest",)),
        attribute(_BACKENDS.cudnn, "allow_tf32", False),
    ]


def _of_xla() -> ProcessSetting:
    """Of PyTorch/XLA, where the process has it: there the others say nothing.

    Its gradients of convolutions ask for no precision, whatever is set: on a TPU they are of bfloat16 products.
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
    """Activations, in a program of their own for each precision of PyTorch/XLA's products.

    It knows a program by its operations, of which the precision is none, and would run the one that it compiled first.
    """
    added = {"default": 1, "high": 2}.get(_XLA.read(), 0) if h.device.type == "xla" else 0
    for _ in range(added):
        h = h + 0.0
    return h


_PER_OPERATION = hasattr(_BACKENDS.cuda.matmul, "fp32_precision") and hasattr(_BACKENDS.cudnn, "conv")

FULL = ProcessSettings(
    *(_of_operations() if _PER_OPERATION else _of_all_products()),
    _XLA,
    attribute(_BACKENDS.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),  # sums of products in bfloat16
)
