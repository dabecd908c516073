"""What every test here begins with: a PyTorch that is connected to all its devices, and products of full precision.

PyTorch counts the devices once, at its first backward pass: PyTorch/XLA must be connected to by then.

Its programs are not optimised, as those of JAX are not where no test says so: they run a few times, and take twice as
long to compile. XLA reads its flags at the first program, and each of the two libraries has an XLA of its own.
"""

import os
import sys
from collections.abc import Generator
from importlib.util import find_spec

import pytest

_SOON = (" --xla_backend_optimization_level=0", " --xla_llvm_disable_expensive_passes=true")

if find_spec("torch_xla") is not None:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + "".join(_SOON)
    import torch
    import torch_xla

    torch.zeros(1, device=torch_xla.device()).add(1).cpu()
    for flag in _SOON:  # JAX, and processes that tests start, have the flags that they had
        os.environ["XLA_FLAGS"] = os.environ["XLA_FLAGS"].replace(flag, "", 1)


@pytest.fixture(autouse=True)
def _precision_as_a_process_begins() -> Generator[None]:
    """A setting that is inherited reads as what it inherits: put back after a test, it would be set, and stay.

    On a processor that multiplies in bfloat16, later tests would then round to 8 bits where they ask for the user's
    precision.
    """
    yield
    if "torch" not in sys.modules:
        return
    from tests.conformance.callers import torch_process_settings

    begin = {"cudnn.conv.fp32_precision": "tf32"}
    for setting in torch_process_settings():
        if setting.name.endswith("fp32_precision"):
            setting.write(begin.get(setting.name, "none"))
