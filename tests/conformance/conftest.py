"""PyTorch counts the devices once, at its first backward pass: PyTorch/XLA must be connected to by then.

Its programs are not optimised, as those of JAX are not where no test says so: they run a few times, and take twice as
long to compile. XLA reads its flags at the first program, and each of the two libraries has an XLA of its own.
"""

import os
from importlib.util import find_spec

_SOON = (" --xla_backend_optimization_level=0", " --xla_llvm_disable_expensive_passes=true")

if find_spec("torch_xla") is not None:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + "".join(_SOON)
    import torch
    import torch_xla

    torch.zeros(1, device=torch_xla.device()).add(1).cpu()
    for flag in _SOON:  # JAX, and processes that tests start, have the flags that they had
        os.environ["XLA_FLAGS"] = os.environ["XLA_FLAGS"].replace(flag, "", 1)
