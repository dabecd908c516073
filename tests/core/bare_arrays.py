"""Arrays of the array API without what some libraries lack: a device, such an argument, and `iinfo.bits`."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_strict as xp
import numpy as np


class Bare:
    """An array without a device, around one of array_api_strict."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.shape, self.ndim, self.dtype, self.size = inner.shape, inner.ndim, inner.dtype, inner.size

    def __array_namespace__(self, *, api_version: str | None = None) -> "type[BareNamespace]":
        del api_version
        return BareNamespace

    def __array__(self, *arguments: Any, **named: Any) -> np.ndarray:
        return np.asarray(self.inner, *arguments, **named)


def _bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of array_api_strict on bare arrays."""

    def called(*arguments: Any, **named: Any) -> Any:
        assert "device" not in named, "this framework has no devices"
        return _wrapped(function(*map(_unwrapped, arguments), **{key: _unwrapped(one) for key, one in named.items()}))

    return called


def _unwrapped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_unwrapped, value))
    return value.inner if isinstance(value, Bare) else value


def _wrapped(value: Any) -> Any:
    return Bare(value) if isinstance(value, type(xp.asarray(0))) else value


class _Functions(type):
    def __getattr__(cls, name: str) -> Any:
        found = getattr(xp, name)
        return _bare(found) if callable(found) and not isinstance(found, type) else found


class BareNamespace(metaclass=_Functions):
    """array_api_strict, of bare arrays."""

    @staticmethod
    def iinfo(kind: Any) -> SimpleNamespace:
        found = xp.iinfo(kind)
        return SimpleNamespace(min=found.min, max=found.max)


for _name in dir(xp.asarray(0)):
    if _name.startswith("__") and callable(getattr(xp.asarray(0), _name)) and _name not in dir(Bare):
        setattr(Bare, _name, _bare(getattr(type(xp.asarray(0)), _name)))
for _name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
    setattr(Bare, _name, _bare(getattr(type(xp.asarray(0)), _name)))
