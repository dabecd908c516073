"""``weedout doctor``: what is installed, which backends work on which devices, and how to get what is missing."""

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
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


def examine(name: str) -> Finding:
    """Connect to a backend on every kind of device, in a process of its own: a driver may end or block its process."""
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        try:
            done = subprocess.run(
                [sys.executable, "-c", _CONNECT, answer, name, *_KINDS],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return Finding(name, {}, "", f"it does not connect within {PATIENCE:.0f} seconds")
        if not answer.exists():
            return Finding(name, {}, "", f"connecting to it ends the process, with exit code {done.returncode}")
        devices, problem = json.loads(answer.read_bytes())
    return Finding(name, devices, devices.pop("", ""), problem)


#: Writes as JSON the device for each kind, "" being the default, and the problem with the default.
_CONNECT = """
import json, sys
from weedout_core import load_backend
from weedout_core.errors import WeedoutError

devices, problem = {}, ""
for kind in ("", *sys.argv[3:]):
    try:
        devices[kind] = str(load_backend(sys.argv[2], device=kind or None).device)
    except WeedoutError as error:
        if not kind:
            problem = str(error)
            break
with open(sys.argv[1], "x") as answer:
    json.dump([devices, problem], answer)
"""


def run_doctor(console: Console) -> int:
    """Print versions, and the findings as a table. Returns the exit code: 0, or 1 if no backend works."""
    write_line(console, f"weedout-core {weedout_core.__version__}, sampler {weedout_core.SAMPLER_VERSION}")
    write_line(console, f"Python {platform.python_version()} on {platform.platform()}")
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    write_line(console, f"Libraries: {versions}")
    with ThreadPoolExecutor() as pool:
        findings = list(pool.map(examine, backend_names()))
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
