"""Which equations of a traced program are activations, and how these are called."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn

#: What a tag begins with: ``jax.ad_checkpoint.checkpoint_name(h, "weedout:h")`` makes h a site of this name.
TAG = "weedout:"
#: The maximum of something and 0: a ReLU if it is that of a whole layer, and of no interest if it is of a variance.
CLAMP = "max"
# The functions of jax.nn that stay one equation when they are traced, by their own names.
_FUNCTIONS = frozenset({
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish", "sigmoid", "log_sigmoid",
    "softplus", "soft_sign", "hard_tanh", "hard_sigmoid", "hard_silu", "hard_swish", "squareplus", "glu",
})  # fmt: skip
_CALLS = frozenset({"jit", "pjit", "custom_jvp_call"})
# The operations that are activations, by the names of their functions.
_OPERATIONS = {"tanh": "tanh", "logistic": "sigmoid"}
#: x · g(x) is one activation too, which is called after the operation in g.
GATED = {"tanh": "gelu", "erf": "gelu", "erfc": "gelu", "logistic": "silu"}
#: The operations by which the rest of g(x) is computed entry by entry, from x and from numbers.
POINTWISE = frozenset({"mul", "add", "sub", "div", "neg", "integer_pow", "square", "copy"})


def function_of(equation: JaxprEqn) -> str | None:
    """The name of a function that is called as a whole, if it is an activation."""
    if equation.primitive.name not in _CALLS or len(equation.outvars) != 1:
        return None
    name = equation.params.get("name")
    if equation.primitive.name == "custom_jvp_call":  # of a compiled function, which has the name
        inside = equation.params["call_jaxpr"].eqns
        name = name or (inside[0].params.get("name") if len(inside) == 1 else None)
    return name if name in _FUNCTIONS else None


def kind_of(equation: JaxprEqn, given: Sequence[Any]) -> str | None:
    """The name of an activation, or None: a tag, a function, an operation, or the maximum of something and 0."""
    operation = equation.primitive.name
    if operation == "name":
        name = equation.params["name"]
        return name if name.startswith(TAG) else None
    if operation == "max" and any(_is_zero(value) for value in given):
        return CLAMP
    return _OPERATIONS.get(operation) or function_of(equation)


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float | np.generic | np.ndarray) and np.ndim(value) == 0 and value == 0
