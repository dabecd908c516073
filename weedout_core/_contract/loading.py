"""How a backend is found by its name: in the table of this project's backends, or among entry points of other packages.

A backend's package has a function ``connect(device, devices)`` that returns a :class:`Backend`.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from weedout_core._contract.fence import our_numpy
from weedout_core._contract.record import Backend
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive, Threads
from weedout_core.errors import BackendError, BackendNotInstalledError, WeedoutError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class _BuiltIn(NamedTuple):
    package: str
    connect: str
    extra: str


#: The backends of this project by name: package, the function in it that connects, and the extra that installs it.
_BUILT_IN: Mapping[str, _BuiltIn] = MappingProxyType(
    {
        "numpy": _BuiltIn("weedout_numpy", "connect", ""),
        "jax": _BuiltIn("weedout_jax", "connect", "jax"),
        "torch": _BuiltIn("weedout_torch", "connect_torch", "torch"),
        "torch_xla": _BuiltIn("weedout_torch", "connect_xla", "torch-xla"),
        "tpu": _BuiltIn("weedout_torch", "connect_tpu", "tpu"),
    }
)


def backend_names() -> list[str]:
    """The names that :func:`load_backend` knows: built in, and entry points of the group ``weedout_core.backends``."""
    return sorted({*_BUILT_IN, *(point.name for point in _third_party())})


@guarded
def load_backend(
    backend: str | Backend,
    device: str | None = None,
    devices: Positive = 1,
    threads: Threads | None = None,
    **options: Any,
) -> Backend:
    """Connect to a backend.

    Args:
        backend: a registered name; a Backend is returned as it is.
        device: the kind of device ("cpu", "gpu", "tpu"); None takes the framework's default.
        devices: the number of devices over which a population is shared, ≥ 1.
        threads: the number of threads that compute on a CPU, in [1, 1024], if the backend lets it be chosen; None
            leaves it.
        options: further options of this backend, such as ``engine`` ("map", "vmap" or "loop" for "jax").
    Raises:
        BackendError: the name or an option is unknown, there is no such device, or the backend fails in another way
            while it is imported or connects.
        BackendNotInstalledError: what the backend needs cannot be imported; the message names the extra.
    """
    if isinstance(backend, Backend):
        return backend
    try:
        connect = _connector(backend)
        taken = set(signature(connect).parameters) if options or threads else set[str]()
        if "threads" in taken and threads is not None:
            options |= {"threads": threads}
        if unknown := set(options) - taken:
            raise BackendError(f"the {backend} backend takes no option {min(unknown)!r}. Leave it out.")
        with our_numpy():
            found = connect(device=device, devices=devices, **options)
    except WeedoutError:
        raise
    except ImportError as error:
        extra = _BUILT_IN[backend].extra if backend in _BUILT_IN else ""
        remedy = f"pip install 'weedout-core[{extra}]'" if extra else "install what is missing"
        raise BackendNotInstalledError(
            f"backend {backend!r} cannot be imported ({_brief(error)}): {remedy}."
        ) from error
    except (Exception, SystemExit) as error:  # a framework, its driver or a third party's code may fail in any way
        raise BackendError(
            f"backend {backend!r} cannot connect: {type(error).__name__}: {_brief(error).rstrip('.')}. weedout doctor "
            "says which backends and devices there are."
        ) from error
    if not isinstance(found, Backend):
        raise BackendError(f"the entry point of backend {backend!r} must return a Backend; it returned {found!r}.")
    return found


def _brief(error: BaseException) -> str:
    """The first line that an error says: frameworks go on with traces of their own."""
    return next(iter(str(error).strip().splitlines()), "")


def _connector(name: str) -> Callable[..., object]:
    if name in _BUILT_IN:
        built_in = _BUILT_IN[name]
        return guarded(getattr(import_module(built_in.package), built_in.connect))
    for point in _third_party():
        if point.name == name:
            return point.load()
    raise BackendError(f"unknown backend {name!r}; known are {', '.join(backend_names())}.")


def _third_party() -> "Iterable[EntryPoint]":
    from importlib.metadata import entry_points  # here, because importing it would double the time to import the core

    return entry_points(group="weedout_core.backends")
