"""``weedout doctor``: what is installed, which backends work on which devices, and how to get what is missing."""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

import weedout_core
from weedout_core import backend_names
from weedout_core.lab.commands.progress import write_line
from weedout_core.lab.run.record import version
from weedout_core.lab.streams import printable

_LIBRARIES = (
    "numpy", "scipy", "array-api-compat", "jaxtyping", "jax", "jaxlib", "optax", "torch", "torch_xla",
    "filelock", "matplotlib", "pooch", "rich", "safetensors", "scikit-learn", "tyro",
)  # fmt: skip
_KINDS = ("cpu", "gpu", "tpu")
PATIENCE = 120.0  # seconds for a backend to connect: a framework may take a minute to load from a slow disk


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


@contextmanager
def examined(name: str) -> Iterator[Callable[[], Finding]]:
    """Connect to a backend on every kind of device, in a process of its own: a driver may end or block its process.

    Yields:
        a function that waits for what the process finds. The process does not outlast this context.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _CONNECT, name, *_KINDS],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + PATIENCE

    def find() -> Finding:
        try:
            answer, _ = process.communicate(timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            return Finding(name, {}, "", f"it does not connect within {PATIENCE:.0f} seconds")
        if not answer:
            return Finding(name, {}, "", f"connecting to it ends the process, with exit code {process.returncode}")
        devices, problem = json.loads(answer)
        return Finding(name, devices, devices.pop("", ""), problem)

    with process:
        try:
            yield find
        finally:
            process.kill()


#: Writes as JSON the device for each kind, "" being the default, and the problem with the default. What a framework
#: prints goes elsewhere, and does not come between.
_CONNECT = """
import json, os, sys
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from weedout_core import load_backend
from weedout_core.errors import WeedoutError

devices, problem = {}, ""
for kind in ("", *sys.argv[2:]):
    try:
        devices[kind] = str(load_backend(sys.argv[1], device=kind or None).device)
    except WeedoutError as error:
        if not kind:
            problem = str(error)
            break
with answer:
    json.dump([devices, problem], answer)
"""


def run_doctor(console: Console) -> int:
    """Print versions, and the findings as a table. Returns the exit code: 0, or 1 if no backend works."""
    write_line(console, f"weedout-core {weedout_core.__version__}, sampler {weedout_core.SAMPLER_VERSION}")
    write_line(console, f"Python {platform.python_version()} on {platform.platform()}")
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    write_line(console, f"Libraries: {versions}")
    with ExitStack() as processes:
        begun = [processes.enter_context(examined(name)) for name in backend_names()]
        findings = [find() for find in begun]
    table = Table(title="Backends")
    for column in ("backend", "works", "default device", "devices"):
        table.add_column(column)
    for found in findings:
        devices = ", ".join(f"{kind}: {device}" for kind, device in found.devices.items())
        cells = found.backend, "no" if found.problem else "yes", found.default or "–", devices or "–"
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)
    for found in findings:
        if found.problem:
            write_line(console, f"{found.backend}: {' '.join(found.problem.split())}")
    return 1 if all(found.problem for found in findings) else 0
