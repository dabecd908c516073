"""What the caller may have set in JAX, and what it is while a call of this backend runs.

Each is a setting of the thread, whether the caller has entered its context or called ``jax.config.update``, but for
those of ``PROCESS``, which have no context. Inside they are always the same, so nothing is compiled anew.

The precision of products (``default_matmul_precision``) is left to the caller where it is "default"; else each product
says its own. The other settings of ``jax.config`` are about random keys of JAX's, which are not used here, about what
is cached, logged and shown, or about what is checked of JAX itself.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from weedout_core.backend import ProcessSetting, ProcessSettings

_JAX: Any = jax  # names that older versions have elsewhere

_no_mesh = Mesh(np.empty((), dtype=object), ())
_set_mesh = _JAX.set_mesh if hasattr(jax, "set_mesh") else _JAX.sharding.use_mesh
_enable_x64 = _JAX.enable_x64 if hasattr(jax, "enable_x64") else _JAX.experimental.enable_x64

#: By name, what is entered.
THREAD: Mapping[str, Callable[[], AbstractContextManager[object]]] = {
    "mesh": lambda: _set_mesh(_no_mesh),  # with explicit axes, arrays of other meshes are errors
    "enable_x64": partial(_enable_x64, False),  # types
    "numpy_dtype_promotion": partial(_JAX.numpy_dtype_promotion, "standard"),  # "strict": errors
    "numpy_rank_promotion": partial(_JAX.numpy_rank_promotion, "allow"),  # "raise"
    "debug_nans": partial(_JAX.debug_nans, False),  # what is not finite is counted here
    "debug_infs": partial(_JAX.debug_infs, False),
    "disable_jit": partial(_JAX.disable_jit, False),  # operation by operation, floats are rounded differently
    "check_tracer_leaks": partial(_JAX.check_tracer_leaks, False),  # traces anew at each call
    "no_tracing": partial(_JAX.no_tracing, False),  # errors
    "no_execution": partial(_JAX.no_execution, False),  # errors
    "default_device": partial(_JAX.default_device, None),  # where what has no place is computed
    "transfer_guard_host_to_device": partial(_JAX.transfer_guard_host_to_device, "allow"),  # errors
    "transfer_guard_device_to_device": partial(_JAX.transfer_guard_device_to_device, "allow"),
    "transfer_guard_device_to_host": partial(_JAX.transfer_guard_device_to_host, "allow"),
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
)


@contextmanager
def our_settings() -> Generator[None]:
    """All of these."""
    with PROCESS, ExitStack() as stack:
        for context in THREAD.values():
            stack.enter_context(context())
        yield
