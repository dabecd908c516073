"""Data of the user's own: a function that returns a training and a test split."""

from typing import Any, NamedTuple

import numpy as np

from weedout_core._guard.kinds import HOSTED, is_array
from weedout_core._guard.showing import shown
from weedout_core._guard.splits import SPLIT
from weedout_core._networks.examples import checked_split
from weedout_core.backend import Examples
from weedout_core.errors import DataError
from weedout_core.lab.code.functions import Function, called, check_call
from weedout_core.lab.data.splits import stratified_order

_HELD_OUT = 6  # one in so many training examples is for validation, as of MNIST


class OwnData(NamedTuple):
    """The splits of a function, and the examples of each in stratified order, as indices into them.

    Attributes:
        learning: the training split as it was returned: x float32 ``(examples, *shape)``, y int32.
        test: the test split.
        train, validation, tested: of which ``train`` and ``validation`` are parts of ``learning``.
        classes: one more than the largest label.
    """

    learning: Examples
    test: Examples
    train: np.ndarray
    validation: np.ndarray
    tested: np.ndarray
    classes: int


def own_data(place: str, make: Function) -> OwnData:
    """What a function without arguments returns: ``(x, y), (x_test, y_test)``, or what else holds such splits.

    Raises:
        ConfigError: it is no such function, or it failed.
        DataError: it returns something else, or the splits do not fit together.
    """
    name = f"the dataset {place}"
    check_call(make, name, [], "a training and a test split")
    made = called(make, name)
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise DataError(f"{name} must return a training and a test split, ((x, y), (x, y)); got {shown(made)}.")
    if all(is_array(one) for one in made):
        raise DataError(
            f"{name} must return a training and a test split, ((x, y), (x, y)); got one split, (x, y). Return two."
        )
    learning, test = (
        _arrays(f"the {part} split of {place}", split) for part, split in zip(("training", "test"), made, strict=True)
    )
    if learning[0].ndim < 2 or len(learning[0]) < _HELD_OUT:
        raise DataError(
            f"{name} must have at least {_HELD_OUT} training examples, of which one in {_HELD_OUT} is for validation, "
            f"and each of them at least one axis; got inputs {learning[0].shape}."
        )
    shape, classes = learning[0].shape[1:], 1 + max(_largest(y) for _, y in (learning, test))
    whole, tested = (checked_split(shape, classes, one) for one in (learning, test))
    count = len(whole.y)
    train, validation = np.split(stratified_order(whole.y), [count - count // _HELD_OUT])
    return OwnData(whole, tested, train, validation, stratified_order(tested.y), classes)


def _arrays(name: str, split: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = SPLIT(name, split)
    return HOSTED(f"the inputs of {name}", x), HOSTED(f"the labels of {name}", y)


def _largest(labels: np.ndarray) -> int:
    """The largest label; 1 where labels are none, which is refused when the split is checked."""
    return max(1, int(labels.max())) if labels.dtype.kind in "iu" and labels.size else 1
