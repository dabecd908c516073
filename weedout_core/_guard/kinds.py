"""Kinds of values: what an argument or a field must be, in words, and how a value that means the same is converted.

A kind takes the name of a value and the value. It returns the value as it is kept, or raises an error that names it
and says in one sentence what it must be and what it is. Kinds stand in annotations: ``units: Positive`` is an ``int``
to a type checker, and a NumPy integer that is handed in becomes one.
"""

import math
import operator
import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from array_api_compat import is_array_api_obj  # pyright: ignore[reportUnknownVariableType]

from weedout_core._guard.hosted import hosted
from weedout_core._guard.showing import shown, torn
from weedout_core.errors import ConfigError, MaskError, WeedoutError

#: The largest integer. Integers are indices, sizes and counts, which backends hold as int32.
_MOST = 2**31 - 1


class UnfitError(Exception):
    """A value is not of a kind. The kind catches this, and raises an error with its own text."""


@dataclass(frozen=True)
class Kind:
    """What a value must be.

    Attributes:
        wanted: in words, as they follow "must be".
        convert: takes the value's name and the value, and returns the value as it is kept. A WeedoutError that it
            raises names a part of the value; any other exception says that the value is not of this kind.
        error: the class of the error that is raised then.
        remedy: a sentence that says what to do, or a function that finds one for the value that is refused.
    """

    wanted: str
    convert: Callable[[str, Any], Any]
    error: type[WeedoutError] = ConfigError
    remedy: str | Callable[[Any], str] = ""

    def __call__(self, name: str, value: Any) -> Any:
        """The value as it is kept, or ``error``."""
        try:
            return self.convert(name, value)
        except (WeedoutError, Warning):  # a warning that the user has made an error
            raise
        except Exception as error:
            raise self.error(
                f"{name} must be {self.wanted}; got {shown(value)}. {self.advice(value)}".rstrip()
            ) from error

    def advice(self, value: Any) -> str:
        """What to do in place of handing in this value; "" where nothing is known."""
        try:
            return self.remedy if isinstance(self.remedy, str) else self.remedy(value)
        except Exception:  # an object whose attributes cannot be read
            return ""

    def takes(self, value: Any) -> bool:
        """Whether a value is of this kind."""
        try:
            self.convert("", value)
        except Exception:
            return False
        return True


def require(holds: bool) -> None:
    if not holds:
        raise UnfitError


def is_array(value: Any) -> bool:
    """Whether it has axes: a scalar of a framework has none."""
    return bool(getattr(value, "ndim", 0))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _integer(_: str, value: Any) -> int:
    require(not _is_flag(value) and not is_array(value))
    return operator.index(value)


def _odd(_: str, value: Any) -> int:
    number = _integer(_, value)
    require(number % 2 == 1 and 0 < number <= _MOST)
    return number


def _real(_: str, value: Any) -> float:
    """A number of lower precision than a float is read as it is printed: float32(0.7) is 0.7, and not 0.699999988."""
    require(not _is_flag(value) and not is_array(value) and not isinstance(value, str | bytes))
    if isinstance(value, Real) and not isinstance(value, np.generic):
        return float(value)
    require("bfloat16" not in str(getattr(value, "dtype", "")))  # its text does not say which number was meant
    scalar = hosted(value)
    require(scalar.dtype.kind in "fiu")
    return float(str(scalar)) if scalar.dtype.kind == "f" and scalar.itemsize < 8 else float(scalar)


def _accuracy(name: str, value: Any) -> float:
    number = _real(name, value)
    require(math.isnan(number) or 0 <= number <= 1)
    return number


def _flag(_: str, value: Any) -> bool:
    require(_is_flag(value) and not is_array(value))
    return bool(value)


def _text(name: str, value: Any) -> str:
    require(isinstance(value, str))
    try:
        str.encode(value)
    except UnicodeEncodeError as error:  # it has no bytes, from which numbers are drawn
        raise ConfigError(f"{name} must be text; got {shown(value)}, which has half of a surrogate pair.") from error
    return str(value)


def _name(name: str, value: Any) -> str:
    text = _text(name, value)
    require(bool(text))
    return text


def _path(_: str, value: Any) -> Path:
    text = str(Path(value))  # it takes text, and objects that give a path as text
    require(value != "" and "\0" not in text)
    return Path(os.path.expanduser(text))  # as a shell does: where there is no such user, ~user stays


def _callback(_: str, value: Any) -> Any:
    require(callable(value))
    return value


def _array(name: str, value: Any) -> Any:
    """An array as it is, on any device and traced or not. What else holds numbers becomes a NumPy array."""
    whole = cast(Any, is_array_api_obj)(value) and not torn(value) and getattr(value.dtype, "isnative", True)
    return value if whole and not _is_numpys_own(value) else _numbers(name, value)


def _is_numpys_own(value: Any) -> bool:
    """Whether it is of a subclass of NumPy's array, such as its matrix, which computes differently."""
    return isinstance(value, np.ndarray) and type(cast(Any, value)) is not np.ndarray


def _numbers(_: str, value: Any) -> np.ndarray:
    array = hosted(value)
    require(array.dtype.kind in "fiub")
    return array


def _booleans(_: str, value: Any) -> np.ndarray:
    array = hosted(value)
    require(array.dtype == np.bool_)
    return array


def _anything(_: str, value: Any) -> Any:
    return value


def _none(_: str, value: Any) -> None:
    require(value is None)


def integer(least: int, most: int = _MOST, note: str = "", remedy: str = "") -> Kind:
    """An integer from least to most, of any integer type."""

    def convert(name: str, value: Any) -> int:
        number = value if type(value) is int else _integer(name, value)
        if number > most:
            raise ConfigError(f"{name} must be at most {most:,}; got {shown(value)}.")
        require(number >= least)
        return number

    return Kind(f"an integer of at least {least}{note}", convert, remedy=remedy)


def real(holds: Callable[[float], bool], wanted: str, remedy: str = "") -> Kind:
    """A finite number for which a condition holds, of any type of real number."""

    def convert(name: str, value: Any) -> float:
        number = _real(name, value)
        require(math.isfinite(number) and holds(number))
        return number

    return Kind(f"a finite number {wanted}".rstrip(), convert, remedy=remedy)


def option(*names: Any) -> Kind:
    """One of a few names."""

    plain = _text if isinstance(names[0], str) else _integer

    def convert(name: str, value: Any) -> Any:
        chosen = plain(name, value)
        require(chosen in names)
        return chosen

    return Kind(f"one of {', '.join(map(repr, names))}", convert)


TEXT = Kind("text", _text)
NAME = Kind("text that is not empty", _name)
PATH = Kind("a path: text or a PathLike", _path)
FLAG = Kind("True or False", _flag)
INTEGER = Kind("an integer", _integer)
CALLBACK = Kind("a function", _callback)
ARRAY = Kind("an array", _array)
BOOLEANS = Kind("an array of booleans", _booleans, MaskError)
HOSTED = Kind("an array of numbers", _numbers)
NUMBER = Kind("a number", _real)
ANYTHING = Kind("anything", _anything)
NONE = Kind("None", _none)
FINITE = real(lambda _: True, "")
ACCURACY = Kind("a number in [0, 1], or NaN where a training diverged", _accuracy, remedy="Divide percentages by 100.")
POSITIVE = integer(1)

Name = Annotated[str, NAME]
SomePath = Annotated[str | os.PathLike[str], PATH]
Positive = Annotated[int, POSITIVE]
Threads = Annotated[int, integer(1, 1024)]
NonNegative = Annotated[int, integer(0)]
Word = Annotated[int, integer(0, 2**32 - 1)]
Odd = Annotated[int, Kind("an odd number of at least 1", _odd)]
Numbers = Annotated[Any, HOSTED]
Hosted = Annotated[np.ndarray, HOSTED]
Number = Annotated[float, NUMBER]
Accuracy = Annotated[float, ACCURACY]
Seed = Annotated[int, integer(0, 2**64 - 1)]
Eta = Annotated[float, real(lambda eta: 0 <= eta < 1, "in [0, 1), the fraction removed", "Write 80 % as 0.8.")]
Fraction = Annotated[float, real(lambda value: 0 <= value < 1, "in [0, 1)")]
AtLeastZero = Annotated[float, real(lambda value: value >= 0, "of at least 0")]
AboveZero = Annotated[float, real(lambda value: value > 0, "above 0")]
Share = Annotated[float, real(lambda value: 0 < value <= 1, "in (0, 1]")]
Probability = Annotated[float, real(lambda value: 0 < value < 1, "above 0 and below 1")]
