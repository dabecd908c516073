"""Engines: the order in which the candidates of a population are scored, and which engine is the fastest."""

from collections.abc import Mapping
from types import MappingProxyType

from weedout_core.backend import Products

#: map: one candidate after the other, in a loop inside the program. A fitness does not depend, in any bit, on the other
#: candidates of the population.
#: vmap: a chunk of candidates at once, in batched products.
#: loop: one candidate after the other, with one call of the program for each.
ENGINES = ("map", "vmap", "loop")

#: The fastest engine, by the kind of device and by what candidates compute. On a CPU this was measured
#: (benchmarks/RESULTS.md, "Search"): the products of one candidate use all cores, and a map took 0.3 (dense) to 0.7 of
#: a vmap's time. On accelerators it follows from reasoning: the dense products of one candidate are too small, and
#: batched convolutions become grouped ones, which are many times slower. On an H200 these engines took a third (MLP)
#: and a quarter (channel masks) of a plain PyTorch loop's time; the other engines were not measured there
#: (benchmarks/RESULTS.md, "Accelerator"; benchmarks/ACCELERATOR.md tells how to measure each engine).
FASTEST: Mapping[str, Mapping[Products, str]] = MappingProxyType(
    {
        "cpu": MappingProxyType({"dense": "map", "shared kernels": "map", "own kernels": "map"}),
        "accelerator": MappingProxyType({"dense": "vmap", "shared kernels": "map", "own kernels": "map"}),
    }
)


def fastest_engine(platform: str, computed: Products) -> str:
    """The fastest engine on a platform, "cpu", "gpu" or "tpu"."""
    return FASTEST["cpu" if platform == "cpu" else "accelerator"][computed]
