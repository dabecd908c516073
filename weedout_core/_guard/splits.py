"""A split from whatever holds it: two arrays, or pairs that come one after another. It is read once, in its order."""

import itertools
import sys
from collections.abc import Iterator, Mapping, Set, Sized
from typing import Annotated, Any

import numpy as np

from weedout_core._guard.hosted import hosted
from weedout_core._guard.kinds import Kind, is_array, require
from weedout_core._guard.showing import shown
from weedout_core.errors import DataError

_WANTED = "a pair (x, y) of inputs and labels, or give such pairs one after another, as a Dataset or a DataLoader does"


def _split(name: str, data: Any) -> tuple[Any, Any]:
    """The inputs and the labels of a split, arrays of any framework.

    Args:
        name: what it is called in errors.
        data: a pair ``(x, y)``; or, by index or by iteration, pairs that each are one example, with a label without
            axes, or a batch.
    Raises:
        DataError: its pairs do not fit together, there are none, or they would never end.
    """
    if _is_sequence(data) and len(data) == 2 and not all(map(_is_item, data)):
        return data[0], data[1]
    require(not isinstance(data, str | bytes | Mapping | Set) and not is_array(data))
    batches = [_batch(name, place, item) for place, item in enumerate(_items(name, data))]
    if not batches:
        raise DataError(
            f"{name} must hold at least one example; it gave none. An iterator that was read before is empty: hand in "
            "what it was made of."
        )
    shapes = [(x.shape[1:], y.shape[1:]) for x, y in batches]
    if ragged := [place for place, shape in enumerate(shapes) if shape != shapes[0]]:
        raise DataError(
            f"all pairs of {name} must have inputs of one shape and labels of one shape, here {shapes[0][0]} and "
            f"{shapes[0][1]}; {name}[{ragged[0]}] has {shapes[ragged[0]][0]} and {shapes[ragged[0]][1]}."
        )
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return x, y


#: A split, as phases take it. It is read before the phase begins, in the caller's settings.
SPLIT = Kind(_WANTED, _split, DataError)
Split = Annotated[Any, SPLIT]


def _is_sequence(value: Any) -> bool:
    return isinstance(value, tuple | list)


def _is_item(value: Any) -> bool:
    """Whether it is a pair of which the inputs have more axes than the labels: two of these are no pair of arrays."""
    return _is_sequence(value) and len(value) == 2 and _axes(value[0]) > _axes(value[1])


def _axes(value: Any) -> int:
    try:
        return np.ndim(value)
    except ValueError:  # ragged
        return 0


def _items(name: str, data: Any) -> Iterator[Any]:
    """What data give, one after another. Raises DataError where they never end, or where reading them fails."""
    known = _length(data)
    if known is not None and known >= sys.maxsize:
        raise DataError(f"{name} must end; {shown(data)} goes on for ever. Take a part of it, as by itertools.islice.")
    iterated = hasattr(data, "__iter__")
    if not iterated and known is None and hasattr(data, "__getitem__"):
        raise DataError(f"{name} must say how many examples it has; {type(data).__name__} has no __len__. Write it.")
    require(iterated or (known is not None and hasattr(data, "__getitem__")))
    items: Iterator[Any] = iter(data) if iterated else map(data.__getitem__, range(known or 0))
    for place in itertools.count():
        try:
            item = next(items)
        except StopIteration:
            return
        except Exception as error:
            raise DataError(f"{name} cannot be read: {name}[{place}] raised {type(error).__name__}: {error}") from error
        if known is not None and place >= known:
            raise DataError(f"{name} must give as many pairs as it says, {known}; it goes on after them.")
        yield item


def _length(data: Any) -> int | None:
    """How many items there are, ``sys.maxsize`` where they never end, and None where that cannot be known."""
    if isinstance(data, itertools.count | itertools.cycle):
        return sys.maxsize
    try:
        return len(data) if isinstance(data, Sized) else data.__length_hint__()
    except AttributeError:
        return None
    except TypeError:  # a DataLoader of a stream has no length, and itertools.repeat without a number no end
        return sys.maxsize if isinstance(data, itertools.repeat) else None


def _batch(name: str, place: int, item: Any) -> tuple[np.ndarray, np.ndarray]:
    """Copies of the inputs and the labels of a pair, as a batch: a loader may use its memory again."""
    if not _is_sequence(item) or len(item) != 2:
        raise DataError(f"{name} must be {_WANTED}; {name}[{place}] is {shown(item)}.")
    x, y = (
        np.array(_NUMBERS(f"the {part} of {name}[{place}]", value))
        for part, value in zip(("inputs", "labels"), item, strict=True)
    )
    if y.ndim == 0:
        return x[None], y[None]
    if len(y) != (len(x) if x.ndim else 0):
        raise DataError(
            f"a batch must have a label for each of its inputs; {name}[{place}] has inputs {x.shape} and labels "
            f"{y.shape}."
        )
    return x, y


def _numbers(_: str, value: Any) -> np.ndarray:
    array = hosted(value)
    require(array.dtype.kind in "biufc")
    return array


_NUMBERS = Kind("an array of numbers", _numbers, DataError)
