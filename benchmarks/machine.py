"""Where it ran: processor, versions, backends, and how fast this machine multiplies matrices."""

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

# Before any backend is loaded: PyTorch/XLA asks for it.
os.environ.setdefault("PJRT_DEVICE", "CPU")

import jax
import jax.numpy as jnp
import numpy as np
import torch

import weedout_core as wc
from benchmarks.networks_torch import torch_device
from benchmarks.timing import Run, Say, Timed, timed_call

#: Ours, in the order to connect in: PyTorch/XLA can only do so before PyTorch has made a backward pass.
BACKENDS = ("torch_xla", "jax", "torch", "numpy")

_LIBRARIES = ("numpy", "jax", "jaxlib", "torch", "torch_xla", "numba", "evosax", "flax", "torch-pruning")
_SIDE = 2048
_MATRICES = ("2048³ torch", "2048³ jax")
_FLOPS = 2  # of a multiply-add


def accelerator() -> str:
    """The name of the device that the frameworks compute on; of the processor where there is no other."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return _processor() if jax.default_backend() == "cpu" else str(jax.devices()[0].device_kind)


def description() -> str:
    """The machine and the versions, in a sentence."""
    devices = [f"{torch.cuda.get_device_name()} (torch)"] if torch.cuda.is_available() else []
    devices += [f"{jax.devices()[0].device_kind} (jax)"] if jax.default_backend() != "cpu" else []
    where = "".join(f", {device}" for device in devices)
    versions = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    return (
        f"{_processor()}, {_cores()} cores{where}; Python {platform.python_version()}, weedout-core {wc.__version__}, "
        f"{versions}. Threads as each library sets them: torch {torch.get_num_threads()}."
    )


def load_backends(names: tuple[str, ...], say: Say) -> dict[str, wc.backend.Backend]:
    """Those that are installed."""
    found: dict[str, wc.backend.Backend] = {}
    for name in sorted(names, key=BACKENDS.index):
        try:
            found[name] = _connected(name)[1]
        except wc.errors.BackendError as error:
            say(f"{name} is left out: {error}")
    return {name: found[name] for name in names if name in found}


def connecting() -> str:
    """What connecting to each of our backends took in this process, in a sentence."""
    taken: list[str] = []
    for name in BACKENDS:
        with suppress(wc.errors.BackendError):
            taken.append(f"{name} {_connected(name)[0]:.2f} s")
    return (
        f"Connecting, once a process: {', '.join(taken)}. That is the first `load_backend` of each, in this order, in "
        "a process that has imported PyTorch and JAX: it imports the backend, finds the device and, for torch on a "
        "CPU, compiles the loops of the random stream."
    )


@cache
def _connected(name: str) -> tuple[float, wc.backend.Backend]:
    return timed_call(lambda: wc.load_backend(name))


def matrix_runs() -> dict[str, Run]:
    """Candidates of their own: a product of two matrices of 2048 × 2048 in float32, by PyTorch and by JAX."""
    host = np.random.default_rng(0).normal(size=(_SIDE, _SIDE)).astype(np.float32)
    ours, theirs = torch.from_numpy(host).to(torch_device()), jnp.asarray(host)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest").sum())
    with_torch, with_jax = _MATRICES
    return {with_torch: lambda: float((ours @ ours).sum()), with_jax: lambda: float(product(theirs))}


def limit(timed: Mapping[str, Timed], macs: float) -> Timed:
    """What so many multiply-adds would take at the speed that the faster of the two kept, in each round."""
    each = _FLOPS * _SIDE**3
    pairs = zip(*(timed[name].rounds for name in _MATRICES), strict=True)
    return Timed(0.0, tuple(_FLOPS * macs * min(pair) / each for pair in pairs))


def matrix_speed(timed: Mapping[str, Timed]) -> float:
    """GFLOP/s of the faster of the two, median."""
    return _FLOPS * _SIDE**3 / min(timed[name].median for name in _MATRICES) / 1e9


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """The processor's name; where it has none, its number among its maker's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    numbers = f"family {said.get('cpu family', '?')} model {said.get('model', '?')}"
    return f"{said.get('model name', platform.machine())} ({numbers})"
