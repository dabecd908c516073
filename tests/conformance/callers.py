"""How a caller sets each setting that is fenced to a value that does harm, and how it is read back."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, cast

import numpy as np

from weedout_core.backend import ProcessSetting


class Caller(NamedTuple):
    """A setting of the caller's: a context in which it is set, and what it is now."""

    set: Callable[[], AbstractContextManager[object]]
    read: Callable[[], Any]


@contextmanager
def written(read: Callable[[], Any], write: Callable[[Any], object], value: Any) -> Generator[None]:
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def numpy_settings() -> dict[str, Caller]:
    return {
        "errors": Caller(partial(np.errstate, all="raise"), np.geterr),
        "buffer": Caller(partial(written, np.getbufsize, np.setbufsize, 16), np.getbufsize),
    }


def scipy_settings() -> dict[str, Caller]:
    from scipy.special import errstate, geterr

    return {"errors": Caller(partial(errstate, all="raise"), geterr)}


#: Of each setting of JAX's configuration a value that does harm.
_JAX: Mapping[str, Any] = {
    "enable_x64": True,
    "numpy_dtype_promotion": "strict",
    "numpy_rank_promotion": "raise",
    "debug_nans": True,
    "debug_infs": True,
    "disable_jit": True,
    "check_tracer_leaks": True,
    "no_tracing": True,
    "no_execution": True,
    "transfer_guard_host_to_device": "disallow_explicit",
    "transfer_guard_device_to_device": "disallow_explicit",
    "transfer_guard_device_to_host": "disallow_explicit",
    "error_checking_behavior_nan": "raise",
    "error_checking_behavior_divide": "raise",
    "error_checking_behavior_oob": "raise",
    "scan3": True,
    "use_simplified_jaxpr_constants": True,
}


def jax_settings() -> dict[str, list[Caller]]:
    """By context, where there is one, and by ``jax.config.update``."""
    import jax

    def in_config(name: str, value: Any) -> list[Caller]:
        read: Any = partial(getattr, jax.config, f"jax_{name}")
        ways = [Caller(partial(written, read, partial(jax.config.update, f"jax_{name}"), value), read)]
        context: Any = getattr(jax, name, None)
        return ways if context is None else [Caller(partial(context, value), read), *ways]

    def folding() -> bool:
        return jax.config.eager_constant_folding  # pyright: ignore[reportAttributeAccessIssue]

    def explicit() -> Any:
        return jax.make_mesh((1,), ("elsewhere",), axis_types=(jax.sharding.AxisType.Explicit,))

    found = {name: in_config(name, value) for name, value in _JAX.items()}
    found["default_device"] = in_config("default_device", jax.devices("cpu")[-1])
    fold = partial(jax.config.update, "eager_constant_folding")
    found["eager_constant_folding"] = [Caller(partial(written, folding, fold, True), folding)]
    found["mesh"] = [
        Caller(lambda: jax.set_mesh(explicit()), jax.sharding.get_abstract_mesh),
        Caller(lambda: jax.sharding.use_abstract_mesh(explicit().abstract_mesh), jax.sharding.get_abstract_mesh),
    ]
    return found


#: Of each setting of PyTorch's that a process has a value that does harm.
_TORCH: Mapping[str, Any] = {
    "default_dtype": "float64",
    "anomaly_mode": (True, True),
    "deterministic_algorithms": 2,
    "torch.backends.cudnn.enabled": False,
    "torch.backends.cudnn.benchmark": True,
    "torch.backends.cudnn.deterministic": False,
    "torch.backends.mkldnn.enabled": False,
    "torch.backends.mkldnn.deterministic": True,
    "torch.backends.miopen.immediate": True,
    "nnpack.enabled": False,
    "backends.fp32_precision": "tf32",
    "cudnn.fp32_precision": "tf32",
    "mkldnn.fp32_precision": "bf16",
    "cuda.matmul.fp32_precision": "tf32",
    "cudnn.conv.fp32_precision": "tf32",
    "mkldnn.matmul.fp32_precision": "bf16",
    "mkldnn.conv.fp32_precision": "bf16",
    "float32_matmul_precision": "medium",
    "torch.backends.cudnn.allow_tf32": True,
    "xla.mat_mul_precision": "high",
    "cuBLASModule.allow_bf16_reduced_precision_reduction": True,
}


#: Those of PyTorch/XLA alone.
OF_XLA = ("eager_mode", "xla.mat_mul_precision")


def torch_process_settings() -> tuple[ProcessSetting, ...]:
    fence, precision = (import_module(f"weedout_torch.{name}") for name in ("fence", "precision"))
    return (*fence.PROCESS.settings, *precision.FULL.settings)


def eager_mode() -> tuple[Callable[[], bool], Callable[[bool], None]]:
    """Whether PyTorch/XLA runs each operation as it comes: read, and write."""
    import torch_xla
    from torch_xla.experimental import eager_mode

    return cast(Any, torch_xla)._XLAC._get_use_eager_mode, eager_mode


def torch_settings(kind: str) -> dict[str, list[Caller]]:
    """For a backend on this type of device."""
    import torch
    from torch.autograd.graph import saved_tensors_hooks
    from torch.overrides import TorchFunctionMode

    class Coarse(TorchFunctionMode):
        """Products in few bits."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            return result.bfloat16().float() if func is torch.baddbmm else result

    def of_process(setting: ProcessSetting) -> list[Caller]:
        value = _TORCH[setting.name]
        value = torch.float64 if value == "float64" else value
        return [Caller(partial(written, setting.read, setting.write, value), setting.read)]

    def autocast(kind: str) -> Caller:
        return Caller(partial(torch.autocast, kind, torch.bfloat16), partial(torch.is_autocast_enabled, kind))

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.bfloat16() if tensor.dtype == torch.float32 else tensor

    def unpack(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.float() if tensor.dtype == torch.bfloat16 else tensor

    def flushes() -> bool:
        return sys.float_info.min / 2 == 0.0

    modes: Any = torch._C._len_torch_function_stack  # pyright: ignore[reportAttributeAccessIssue]
    in_stack: Any = torch._C._autograd._top_saved_tensors_default_hooks  # pyright: ignore[reportAttributeAccessIssue]
    return {
        "inference_mode": [Caller(torch.inference_mode, torch.is_inference_mode_enabled)],
        "grad_mode": [Caller(torch.no_grad, torch.is_grad_enabled), Caller(torch.enable_grad, torch.is_grad_enabled)],
        "torch_function": [
            Caller(Coarse, modes),
            Caller(partial(torch.device, "meta"), modes),
            Caller(partial(written, lambda: None, torch.set_default_device, "meta"), modes),
        ],
        "autocast": [autocast(one) for one in sorted({"cpu", kind})],
        "saved_tensors_hooks": [Caller(partial(saved_tensors_hooks, pack, unpack), partial(in_stack, False))],
        **({"eager_mode": [Caller(partial(written, *eager_mode(), True), eager_mode()[0])]} if kind == "xla" else {}),
        "flush_denormal": [Caller(partial(written, flushes, torch.set_flush_denormal, True), flushes)],
        **{one.name: of_process(one) for one in torch_process_settings() if kind == "xla" or one.name not in OF_XLA},
    }
