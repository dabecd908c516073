"""Weights that read some nodes alone of an activation which stays whole: their product takes these of it.

A smaller model is traced as if such weights read all nodes; then the small ones take their place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn

from weedout_core.backend import Follows

PRODUCTS = ("dot_general", "conv_general_dilated")


def summed(equation: JaxprEqn) -> tuple[Sequence[int], Sequence[int]]:
    """The axes of both operands of a product along which one is multiplied with the other and summed.

    Those of the windows of a convolution are left out; of one with groups all are.
    """
    numbers = equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        return numbers[0]
    if equation.params["feature_group_count"] > 1:
        return (), ()
    return (numbers.lhs_spec[1],), (numbers.rhs_spec[1],)


def kept_entries(follows: Follows, mask: jax.Array, size: int) -> jax.Array:
    """The ``size`` places along an axis that belong to the nodes which a mask keeps: int32 ``(size,)``."""
    rows = jnp.tile(jnp.repeat(mask.reshape(-1) != 0, follows.each), follows.repeats)
    return jnp.nonzero(rows, size=size)[0]


def whole(params: Mapping[str, Any], reads: Mapping[str, Follows], parent: Mapping[str, Any]) -> dict[str, Any]:
    """The shapes of weights as they would be if they read all nodes."""
    found = dict(params)
    for path, one in reads.items():
        shape = list(params[path].shape)
        shape[one.axis] = parent[path].shape[one.axis]
        found[path] = jax.ShapeDtypeStruct(tuple(shape), params[path].dtype)
    return found


def fitting(equation: JaxprEqn, given: Sequence[Any], entries: Mapping[int, jax.Array]) -> Sequence[Any]:
    """What an equation is given, with those inputs alone that its weights read.

    Args:
        entries: {the identity of weights: which of their inputs they read}.
    """
    if equation.primitive.name not in PRODUCTS:
        return given
    one, other = given
    of_one, of_other = summed(equation)
    if id(other) in entries:
        return jnp.take(one, entries[id(other)], of_one[0]), other
    return (one, jnp.take(other, entries[id(one)], of_other[0])) if id(one) in entries else given
