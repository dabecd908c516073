"""What the caller may have set in JAX, and what it is while a call of this backend runs.

Each is a setting of the thread, whether the caller has entered its context or called ``jax.config.update``, but for
those of ``PROCESS``, which have no context. Inside they are always the same, so nothing is compiled anew.

The precision of products (``default_matmul_precision``) is left to the caller where it is "default"; else each product
says its own. The other settings of ``jax.config`` are about random keys of JAX's, which are not used here, about what
is cached, logged and shown, or about what is checked of JAX itself.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from weedout_core.backend import ProcessSetting, ProcessSettings
from weedout_core.errors import BackendError

_JAX: Any = jax  # names that older versions have elsewhere

#: Of each setting of the thread the values that will do; the first is entered where there is another.
THREAD: Mapping[str, tuple[Any, ...]] = {
    "enable_x64": (False,),  # types
    "numpy_dtype_promotion": ("standard",),  # "strict": errors
    "numpy_rank_promotion": ("allow",),  # "raise"
    "debug_nans": (False,),  # what is not finite is counted here
    "debug_infs": (False,),
    "disable_jit": (False,),  # operation by operation, floats are rounded differently
    "check_tracer_leaks": (False,),  # traces anew at each call
    "no_tracing": (False,),  # errors
    "no_execution": (False,),  # errors
    "default_device": (None,),  # where what has no place is computed
    "transfer_guard_host_to_device": ("allow", None),  # errors
    "transfer_guard_device_to_device": ("allow", None),
    "transfer_guard_device_to_host": ("allow", None),
}


def _of_process(name: str, ours: Any) -> list[ProcessSetting]:
    if not hasattr(jax.config, name):  # not in this version
        return []
    return [
        ProcessSetting(name, lambda: getattr(jax.config, name), lambda value: jax.config.update(name, value), (ours,))
    ]


#: Of the process.
PROCESS = ProcessSettings(
    *_of_process("jax_error_checking_behavior_nan", "ignore"),  # fails inside a map
    *_of_process("jax_error_checking_behavior_divide", "ignore"),
    *_of_process("jax_error_checking_behavior_oob", "ignore"),
    *_of_process("eager_constant_folding", False),  # rounds otherwise
    *_of_process("jax_scan3", False),  # is not whole
    *_of_process("jax_use_simplified_jaxpr_constants", False),  # another form of the same programs
)

_set_mesh = _JAX.set_mesh if hasattr(jax, "set_mesh") else _JAX.sharding.use_mesh
_no_mesh = Mesh(np.empty((), dtype=object), ())


@contextmanager
def our_settings() -> Generator[None]:
    """All of these, in no mesh: in one with explicit axes, arrays of other meshes are errors."""
    with PROCESS, _outside_meshes(), ExitStack() as stack:
        for name, ours in THREAD.items():
            if getattr(jax.config, f"jax_{name}") not in ours:
                stack.enter_context(_context(name)(ours[0]))
        yield


def _outside_meshes() -> AbstractContextManager[object]:
    try:
        return _set_mesh(_no_mesh)
    except ValueError as error:  # what JAX says where it traces
        raise BackendError(
            "a call of the backend compiles and runs programs of its own, and cannot be part of another: make it "
            "outside of jax.jit."
        ) from error


def _context(name: str) -> Any:
    return getattr(jax, name) if hasattr(jax, name) else getattr(_JAX.experimental, name)
