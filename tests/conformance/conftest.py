"""PyTorch counts the devices once, at its first backward pass: PyTorch/XLA must be connected to by then."""

from importlib.util import find_spec

if find_spec("torch_xla") is not None:
    import torch_xla

    torch_xla.device()
