"""In how many bits products are computed, whatever the user has set; the setting is put back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def precise(precision: str) -> Iterator[None]:
    """Matrix products and convolutions in full float32 for "highest"; as the user has it for "default"."""
    before = [getattr(owner, name) for owner, name, _ in _SETTINGS]
    products = None if _PER_OPERATION else torch.get_float32_matmul_precision()
    if precision == "highest":
        for owner, name, full in _SETTINGS:
            setattr(owner, name, full)
        if products is not None:
            torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        for (owner, name, _), value in zip(_SETTINGS, before, strict=True):
            setattr(owner, name, value)
        if products is not None:
            torch.set_float32_matmul_precision(products)


_BACKENDS: Any = torch.backends

# From PyTorch 2.9 on there is a setting for each operation on each kind of device; reading an older one gives a
# warning there. Before, convolutions on CUDA have a switch of their own, and one setting serves all products.
_PER_OPERATION = hasattr(_BACKENDS.cuda.matmul, "fp32_precision") and hasattr(_BACKENDS.cudnn, "conv")
_SETTINGS: list[tuple[Any, str, Any]] = (
    [
        (owner, "fp32_precision", "ieee")
        for owner in (
            _BACKENDS.cuda.matmul,
            _BACKENDS.cudnn.conv,
            _BACKENDS.mkldnn.matmul,
            _BACKENDS.mkldnn.conv,
        )
    ]
    if _PER_OPERATION
    else [(_BACKENDS.cudnn, "allow_tf32", False)]
)
