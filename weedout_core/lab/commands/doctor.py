"""``weedout doctor``: what is installed, which backends work on which devices, and how to get what is missing."""

import platform
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

import weedout_core
from weedout_core import backend_names, load_backend
from weedout_core.errors import BackendError, BackendNotInstalledError
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.run.record import version

_LIBRARIES = (
    "numpy", "scipy", "array-api-compat", "jaxtyping", "jax", "jaxlib", "optax", "torch", "torch_xla",
    "filelock", "matplotlib", "pooch", "rich", "safetensors", "scikit-learn", "tyro",
)  # fmt: skip
_KINDS = ("cpu", "gpu", "tpu")


class Finding(NamedTuple):
    """What a backend can do on this machine.

    Attributes:
        backend: the name of the backend.
        devices: the device that it connects to for each kind of device; empty if it does not work.
        default: the device that it takes if none is asked for; empty if it does not work.
        problem: why it does not work and what to do; empty if it does.
    """

    backend: str
    devices: dict[str, str]
    default: str
    problem: str


def examine(name: str) -> Finding:
    """Try to connect to a backend on every kind of device."""
    try:
        default = load_backend(name).device
    except BackendNotInstalledError as error:
        return Finding(name, {}, "", str(error))
    except Exception as error:
        # A third party's backend may raise any error, and the doctor reports it.
        return Finding(name, {}, "", f"{type(error).__name__}: {error}")
    return Finding(name, dict(_devices(name)), default, "")


def _devices(name: str) -> Iterator[tuple[str, str]]:
    for kind in _KINDS:
        try:
            yield kind, load_backend(name, device=kind).device
        except BackendError:
            continue  # the backend has no such device here


def run_doctor(console: Console) -> int:
    """Print versions, and the findings as a table. Returns the exit code: 0, or 1 if no backend works."""
    write_line(console, f"weedout-core {weedout_core.__version__}, sampler {weedout_core.SAMPLER_VERSION}")
    write_line(console, f"Python {platform.python_version()} on {platform.platform()}")
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    write_line(console, f"Libraries: {versions}")
    findings = [examine(name) for name in backend_names()]
    table = Table(title="Backends")
    for column in ("backend", "works", "default device", "devices"):
        table.add_column(column)
    for found in findings:
        devices = ", ".join(f"{kind}: {device}" for kind, device in found.devices.items())
        table.add_row(found.backend, "no" if found.problem else "yes", found.default or "–", devices or "–")
    console.print(table)
    for found in findings:
        if found.problem:
            write_line(console, f"{found.backend}: {found.problem}")
    return 1 if all(found.problem for found in findings) else 0
