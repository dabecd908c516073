"""How candidates follow each other while they are scored, and which way is the fastest."""

from collections.abc import Mapping
from types import MappingProxyType

from weedout_core.backend import Products

#: loop: a few at a time, always as many; those with convolutions one after the other.
#: vmap: a chunk side by side, as batches of products; where operations are recorded, as one graph.
ENGINES = ("loop", "vmap")

#: The fastest engine, by the kind of device and by what candidates compute.
#: Measured, see benchmarks/RESULTS.md: on a CPU under "Search", on CUDA under "Accelerator" (an H200), where a vmap
#: took 0.6 of a loop's time for an MLP and 0.97 for Wide ResNets. On TPUs, by reasoning.
FASTEST: Mapping[str, Mapping[Products, str]] = MappingProxyType(
    {
        "cpu": MappingProxyType({"dense": "loop", "shared kernels": "loop", "own kernels": "loop"}),
        "accelerator": MappingProxyType({"dense": "vmap", "shared kernels": "vmap", "own kernels": "vmap"}),
    }
)


def fastest_engine(device_type: str, computed: Products) -> str:
    """The fastest engine on a type of device of PyTorch's, "cpu", "cuda", "xla" or "tpu"."""
    return FASTEST["cpu" if device_type == "cpu" else "accelerator"][computed]
