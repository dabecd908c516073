"""The arrays in a traced program, which its text leaves out."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal


def arrays_in(program: Any) -> Iterator[bytes]:
    """The bytes of the arrays in a program, and in the programs inside it: compiled parts, loops, branches."""
    for array in getattr(program, "consts", ()):
        typed = jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
        yield np.asarray(jax.random.key_data(array) if typed else array).tobytes()
    for operation in program.eqns:
        for given in operation.invars:
            if isinstance(given, Literal) and np.ndim(given.val):
                yield np.asarray(given.val).tobytes()
        for part in jax.tree.leaves(operation.params):
            if isinstance(part, ClosedJaxpr | Jaxpr):
                yield from arrays_in(part)
