"""The settings of JAX that the caller may have changed, and their values while a call of this backend runs.

Each is a setting of the thread, whether the caller has entered its context or called ``jax.config.update``. Those of
``PROCESS`` have no context, and hold for the process. Inside a call they always have the same values, so that nothing
is compiled again.

The precision of products (``default_matmul_precision``) is left to the caller if a configuration says "default";
otherwise each product states its own. The other settings of ``jax.config`` concern JAX's random keys, which are not
used here, or caching, logging and display, or checks of JAX itself.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from weedout_core.backend import ProcessSetting, ProcessSettings
from weedout_core.errors import BackendError

_JAX: Any = jax  # for names that older versions have elsewhere

#: For each setting of the thread its acceptable values. If the caller has another value, the first of these is entered.
THREAD: Mapping[str, tuple[Any, ...]] = {
    "enable_x64": (False,),  # changes dtypes
    "numpy_dtype_promotion": ("standard",),  # "strict" raises errors
    "numpy_rank_promotion": ("allow",),  # "raise" raises errors
    "debug_nans": (False,),  # raises errors; this library counts values that are not finite
    "debug_infs": (False,),
    "disable_jit": (False,),  # single operations round floats differently
    "check_tracer_leaks": (False,),  # traces again at each call
    "no_tracing": (False,),  # raises errors
    "no_execution": (False,),  # raises errors
    "default_device": (None,),  # where arrays without a placement are computed
    "transfer_guard_host_to_device": ("allow", None),  # others raise errors
    "transfer_guard_device_to_device": ("allow", None),
    "transfer_guard_device_to_host": ("allow", None),
}


def _of_process(name: str, ours: Any) -> list[ProcessSetting]:
    if not hasattr(jax.config, name):  # this version of JAX does not have it
        return []
    return [
        ProcessSetting(name, lambda: getattr(jax.config, name), lambda value: jax.config.update(name, value), (ours,))
    ]


#: The settings of the process.
PROCESS = ProcessSettings(
    *_of_process("jax_error_checking_behavior_nan", "ignore"),  # others fail inside a map
    *_of_process("jax_error_checking_behavior_divide", "ignore"),
    *_of_process("jax_error_checking_behavior_oob", "ignore"),
    *_of_process("eager_constant_folding", False),  # True rounds floats differently
    *_of_process("jax_scan3", False),  # True: not yet complete in JAX
    *_of_process("jax_use_simplified_jaxpr_constants", False),  # True gives the same programs another form
)

_set_mesh = _JAX.set_mesh if hasattr(jax, "set_mesh") else _JAX.sharding.use_mesh
_no_mesh = Mesh(np.empty((), dtype=object), ())


@contextmanager
def our_settings() -> Generator[None]:
    """Enter all these settings, outside of any mesh: a mesh with explicit axes refuses arrays of other meshes."""
    with PROCESS, _outside_meshes(), ExitStack() as stack:
        for name, ours in THREAD.items():
            if getattr(jax.config, f"jax_{name}") not in ours:
                stack.enter_context(_context(name)(ours[0]))
        yield


def _outside_meshes() -> AbstractContextManager[object]:
    try:
        return _set_mesh(_no_mesh)
    except ValueError as error:  # JAX raises this while it traces
        raise BackendError(
            "a call of the backend compiles and runs programs of its own, so it cannot be part of another "
            "program: make it outside of jax.jit."
        ) from error


def _context(name: str) -> Any:
    return getattr(jax, name) if hasattr(jax, name) else getattr(_JAX.experimental, name)
