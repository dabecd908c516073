"""Processes of Python's own, with this tree on their path and none of the tests' hooks."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: XLA's flags for processes whose programs run a few times: they are compiled soon, and not optimised (see conftest).
SOON = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def python_path() -> str:
    """The value of PYTHONPATH with which a process imports this tree."""
    return os.pathsep.join(str(ROOT / part) for part in (".", "reference", "backends"))


def free_port() -> int:
    """A port of this machine at which nothing listens now."""
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def run_python(*arguments: str, folder: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """What Python prints when it is run with these arguments; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "PJRT_DEVICE": "CPU",
            "PYTHONPATH": python_path(),
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
