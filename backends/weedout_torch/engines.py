"""Engines: the order in which the candidates of a population are scored, and which engine is the fastest."""

from collections.abc import Mapping
from types import MappingProxyType

from weedout_core.backend import Products

#: loop: a few candidates at a time, always the same number; networks with convolutions one after the other.
#: vmap: a chunk of candidates at once, in batched products; on PyTorch/XLA as one graph.
ENGINES = ("loop", "vmap")

#: The fastest engine, by the kind of device and by what candidates compute.
#: It was measured (benchmarks/RESULTS.md) on a CPU, under "Search", and on CUDA (an H200), under "Accelerator", where a
#: vmap took 0.6 of a loop's time for an MLP and 0.97 for Wide ResNets. On TPUs it follows from reasoning.
FASTEST: Mapping[str, Mapping[Products, str]] = MappingProxyType(
    {
        "cpu": MappingProxyType({"dense": "loop", "shared kernels": "loop", "own kernels": "loop"}),
        "accelerator": MappingProxyType({"dense": "vmap", "shared kernels": "vmap", "own kernels": "vmap"}),
    }
)


def fastest_engine(device_type: str, computed: Products) -> str:
    """The fastest engine on a PyTorch device type: "cpu", "cuda", "xla" or "tpu"."""
    return FASTEST["cpu" if device_type == "cpu" else "accelerator"][computed]
