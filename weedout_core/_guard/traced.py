"""Arrays of functions that also run inside compiled programs: dtype and shape are checked, values are not."""

from collections.abc import Callable
from typing import Annotated, Any

from array_api_compat import array_namespace, is_torch_array
from array_api_compat import device as device_of  # pyright: ignore[reportUnknownVariableType]

from weedout_core._guard.composed import either
from weedout_core._guard.kinds import ARRAY, FINITE, Kind, UnfitError
from weedout_core.errors import ConfigError, MaskError


def _of_dtype(dtypes: str) -> Callable[[str, Any], Any]:
    def convert(name: str, value: Any) -> Any:
        array = ARRAY.convert(name, value)
        if not array.shape or not array_namespace(array).isdtype(array.dtype, dtypes):
            raise UnfitError
        return array

    return convert


def namespace_of(*arrays: Any) -> Any:
    """The array API namespace of arrays of one framework. Raises ConfigError if they are of several."""
    try:
        return array_namespace(*arrays)
    except TypeError as error:
        frameworks = ", ".join(type(array).__module__.split(".")[0] for array in arrays)
        raise ConfigError(f"arrays must be of one framework; got {frameworks}. Convert some.") from error


def beside(array: Any) -> dict[str, Any]:
    """The argument by which a new array lies where another does; {} for a framework whose arrays have no device."""
    try:
        return {"device": device_of(array)}
    except AttributeError:
        return {}


def words_namespace(*words: Any) -> Any:
    """:func:`namespace_of` for random words. Raises ConfigError for PyTorch's, which it cannot add."""
    if any(is_torch_array(one) for one in words):
        raise ConfigError(
            "words must be of a framework with arithmetic of uint32, which PyTorch does not have. Hand in NumPy's "
            "(wc.backend.host_view), or call random_bits, masks_from_keys and keep_smallest of a backend."
        )
    return namespace_of(*words)


def _of_no_axes(name: str, value: Any) -> Any:
    array = ARRAY.convert(name, value)
    if array is not value or array.shape or not array_namespace(array).isdtype(array.dtype, "real floating"):
        raise UnfitError
    return array


FLOATS = Kind("an array of floats with at least one axis", _of_dtype("real floating"))
INTEGERS = Kind("an array of integers with at least one axis", _of_dtype("integral"))

#: A number, or an array of floats without axes, on any device.
RATE = either(Kind("a float", _of_no_axes), FINITE)

Booleans = Annotated[Any, Kind("an array of booleans with at least one axis", _of_dtype("bool"), MaskError)]
Floats = Annotated[Any, FLOATS]
Integers = Annotated[Any, INTEGERS]
Rate = Annotated[Any, RATE]
