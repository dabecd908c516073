"""How a value of any type is described in an error and at a prompt: in short text."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

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
        text = " ".join((_items(cast(Any, value)) if isinstance(value, Mapping) else repr(value)).split())
    except Exception:  # an integer with more digits than Python prints, or an object whose repr fails
        return f"{kind}, which has no text"
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"


def _items(mapping: Mapping[Any, Any]) -> str:
    texts = (shown(item) if getattr(item, "shape", ()) else repr(item) for item in mapping.values())
    return f"{{{', '.join(f'{name!r}: {text}' for name, text in zip(mapping, texts, strict=True))}}}"


def brief(self: Any) -> str:
    """A record as text that fits a terminal: each field cut short, arrays by dtype and shape. For ``__repr__``."""
    names = getattr(self, "_fields", None) or [item.name for item in fields(self)]
    return f"{type(self).__name__}({', '.join(f'{name}={shown(getattr(self, name))}' for name in names)})"


def layout(nodes: tuple[int, ...]) -> str:
    """The shape of a site, and what its axes are where it is an image."""
    return f"{nodes}{', (height, width, channels)' * (len(nodes) == 3)}"


def reordered(wanted: tuple[int, ...], found: tuple[int, ...]) -> str:
    """What to do with an array whose axes have another library's order; "" if that is not what is wrong."""
    axes, remedy = _ORDERS.get(len(wanted), ((), ""))
    return remedy if found != wanted and found == tuple(wanted[axis] for axis in axes) else ""


#: The orders of axes that channels-first libraries have, of those of (inputs, outputs), images and their kernels here.
_ORDERS: Mapping[int, tuple[tuple[int, ...], str]] = {
    2: ((1, 0), " The outputs come first here: transpose it."),
    3: ((2, 0, 1), " The channels come first here: move them to the end."),
    4: ((3, 2, 0, 1), " Outputs and inputs come first here: transpose it by (2, 3, 1, 0)."),
}


def torn(value: Any) -> str:
    """Why an array does not simply hold the values that its shape says, such as a sparse one; "" if it does."""
    torch, masked = sys.modules.get("torch"), sys.modules.get("numpy.ma")
    if (masked is not None and isinstance(value, masked.MaskedArray)) or type(value).__name__ == "MaskedTensor":
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
