"""How candidates follow each other while they are scored, and which way is the fastest."""

from collections.abc import Mapping
from types import MappingProxyType

from weedout_core.backend import Products

#: map: one after the other in a loop of the program; a fitness is the same to the bit whoever is scored beside it.
#: vmap: a chunk side by side, as batches of products.
#: loop: one after the other, a call of the program for each.
ENGINES = ("map", "vmap", "loop")

#: The fastest engine, by the kind of device and by what candidates compute.
#: On a CPU, measured (benchmarks/RESULTS.md, "Search"): one candidate's products use all cores, and a map took 0.3
#: (dense) to 0.7 of a vmap's time. On accelerators, by reasoning: a candidate's dense products are too small alone;
#: convolutions side by side are grouped ones, many times slower. On an H200 these engines took a third (MLP) and a
#: quarter (channel masks) of a plain PyTorch loop's time; the others were not measured there (benchmarks/RESULTS.md,
#: "Accelerator"; benchmarks/ACCELERATOR.md makes such a section, a row for each engine).
FASTEST: Mapping[str, Mapping[Products, str]] = MappingProxyType(
    {
        "cpu": MappingProxyType({"dense": "map", "shared kernels": "map", "own kernels": "map"}),
        "accelerator": MappingProxyType({"dense": "vmap", "shared kernels": "map", "own kernels": "map"}),
    }
)


def fastest_engine(platform: str, computed: Products) -> str:
    """The fastest engine on a platform of JAX's, "cpu", "gpu" or "tpu"."""
    return FASTEST["cpu" if platform == "cpu" else "accelerator"][computed]
