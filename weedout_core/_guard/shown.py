"""How a value of any type is described in an error: in short text."""

import sys
from typing import Any

import numpy as np

_MOST = 80


def shown(value: Any) -> str:
    """A value as short text. An array is described by its dtype and shape, and by why it cannot be read."""
    kind = type(value).__name__
    try:
        if why := torn(value):
            return f"{kind}{why}"
        if getattr(value, "shape", ()) or _unreadable(value):
            described = f"{kind} of {getattr(value, 'dtype', 'no dtype')} {tuple(value.shape)}"
            return f"{described}{_unreadable(value)}"
        text = " ".join(repr(value).split())
    except Exception:  # an integer with more digits than Python prints, or an object whose repr fails
        return f"{kind}, which has no text"
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def torn(value: Any) -> str:
    """Why an array does not simply hold the values that its shape says, such as a sparse one; "" if it does."""
    torch = sys.modules.get("torch")
    if isinstance(value, np.ma.MaskedArray) or type(value).__name__ == "MaskedTensor":
        return ", which has a mask of its own, and that would be lost"
    if torch is None or not isinstance(value, torch.Tensor):
        return ""
    dense = value.layout == torch.strided and not value.is_nested and not value.is_quantized
    return (
        "" if dense else ", which is sparse, nested, quantized or packed: hand in dense values (to_dense, dequantize)"
    )


def _unreadable(value: Any) -> str:
    """Why an array of JAX has no values; "" if it has values."""
    jax = sys.modules.get("jax")
    if jax is None:
        return ""
    if isinstance(value, jax.core.Tracer):
        return ", which is traced: inside jit, grad or vmap it has no values yet"
    deleted = isinstance(value, jax.Array) and value.is_deleted()
    return ", which is deleted: a program took its memory (donate_argnums), or delete() was called" if deleted else ""
