"""Where the features of a weight layer lie in what is computed of them: their axis moves, and is split and joined."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend.core import JaxprEqn

Shape = tuple[int, ...]

# After these an axis is another one. A loop or a branch may do anything.
_MIXING = frozenset({"dot_general", "conv_general_dilated", "gather", "scatter", "scan", "while", "cond"})
# These keep the order of all entries.
_REGROUPING = frozenset({"reshape", "squeeze", "expand_dims"})


class Features(NamedTuple):
    """The place of features among the entries of an array, in their order. No reshaping moves it.

    Attributes:
        size: how many features there are.
        inner: how many entries in a row belong to one feature.
    """

    size: int
    inner: int


def at(shape: Shape, axis: int) -> Features:
    """The features that lie along an axis."""
    return Features(shape[axis], math.prod(shape[axis + 1 :]))


def axis_of(shape: Shape, features: Features | None) -> int | None:
    """The axis along which features lie; None if there is none."""
    return next((axis for axis in range(len(shape)) if at(shape, axis) == features), None)


def moved(equation: JaxprEqn, given: Sequence[Features | None]) -> Features | None:
    """Where features lie in what an equation makes of arrays that have them; None if that cannot be told."""
    out = shape_of(equation.outvars[0]) if equation.outvars else ()
    found = {
        _moved(equation, shape_of(atom), one, out)
        for atom, one in zip(equation.invars, given, strict=True)
        if one is not None
    }
    return found.pop() if len(found) == 1 else None


def _moved(equation: JaxprEqn, shape: Shape, features: Features, out: Shape) -> Features | None:
    operation, params = equation.primitive.name, equation.params
    if operation in _MIXING:
        return None
    if operation in _REGROUPING or (shape == out and operation != "transpose"):
        return features
    axis = axis_of(shape, features)
    if axis is None:
        return None
    if operation == "transpose":
        return at(out, params["permutation"].index(axis))
    if operation == "broadcast_in_dim":
        return at(out, params["broadcast_dimensions"][axis])
    if operation == "stack":
        return at(out, axis + (axis >= params["axis"]))
    if len(out) == len(shape):
        return at(out, axis)
    summed = params.get("axes", range(len(shape)))
    return None if axis in summed else at(out, axis - sum(other < axis for other in summed))


def shape_of(atom: Any) -> Shape:
    """The shape of a value in a program."""
    return tuple(getattr(atom.aval, "shape", ()))
