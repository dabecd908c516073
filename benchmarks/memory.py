"""How much memory the search of a large network takes, and how little of it grows with the population."""

import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.alone import Alone, Asked, search_alone
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say
from weedout_core._algorithm.population import chunk_size

_BACKEND = "jax"
_SPARSITY = 0.8
_BATCH = 64
_MOST = 6  # GiB
#: Of a node of a candidate whose masks exist: the mask (bool), its word, and, where the node is kept, its index.
_NODE_BYTES = np.dtype(bool).itemsize + np.dtype(np.uint32).itemsize + np.dtype(np.int32).itemsize


def run(quick: bool, say: Say) -> Section:
    """WRN-28-10 with node masks, batch 64: 8 and 100 candidates, each search in a fresh process, on the CPU."""
    net = wc.mlp(16, (32, 32), 10) if quick else wc.wide_resnet(28, 10, 10, granularity="node")
    label = "A small network" if quick else "WRN-28-10 with node masks"
    few, many = (2, 4) if quick else (8, 100)
    configs = {m: wc.SearchConfig(population=m, generations=1, validation_batch=_BATCH) for m in (few, many)}
    found: dict[int, Alone] = {}
    if machine.load_backends((_BACKEND,), say):
        for m, config in configs.items():
            found[m] = search_alone(Asked(net, _SPARSITY, config, _BACKEND, device="cpu"))
            say(f"{m} candidates: {found[m].timed.first:.3g} s, {found[m].peak:.0f} MiB")
    most = found[many].peak / 2**10 if found else None
    more = found[many].peak - found[few].peak if found else None
    chunk = chunk_mib(net, _SPARSITY, configs[many])
    accepted = [
        at_most(f"peak GiB at {many} candidates", _MOST, most),
        at_most(f"MiB more at {many} candidates than at {few}, the masks of one chunk", chunk, more),
    ]
    text = [
        f"{label}, batch {_BATCH}, η = {_SPARSITY}, on {_BACKEND} and the CPU: the first `wc.search` of one generation "
        "in a process of its own, weights drawn and programs compiled in it, and the most memory that the process ever "
        "held, libraries included.",
        machine.description(),
        table(
            ["candidates", "seconds", "peak, GiB"],
            [[f"{m}", number(one.timed.first), number(one.peak / 2**10)] for m, one in found.items()],
        ),
        "\n".join(accepted),
    ]
    return Section("Memory", "\n\n".join(text), {})


def chunk_mib(net: wc.Network, sparsity: float, config: wc.SearchConfig) -> float:
    """The most that the masks of one chunk may take, MiB: of its candidates, all nodes at once in all three forms.

    What else grows with the population is a key and a float a candidate: nothing beside it.
    """
    plan = wc.mask_plan(wc.mask_space(net), sparsity)
    return chunk_size(plan, config) * plan.nodes * _NODE_BYTES / 2**20
