"""Drawing masks with exact counts, against permutations."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import weedout_core as wc
from benchmarks import machine
from benchmarks.networks_torch import torch_device
from benchmarks.section import Section, at_least, number, table
from benchmarks.timing import Say, alternate, wait

_BACKENDS = ("jax", "torch", "torch_xla")
_SPARSITY = 0.8
_SITE = "nodes"


def run(quick: bool, say: Say) -> Section:
    """100 masks of 163,840 nodes, at sparsity 0.8."""
    count, nodes, rounds = (4, 1024, 2) if quick else (100, 163_840, 7)
    space = {_SITE: (nodes,)}
    plan = wc.mask_plan(space, _SPARSITY)
    (kept,) = plan.kept.values()
    keys = wc.random.split(wc.key(0), count)
    backends = machine.load_backends(_BACKENDS[:2] if quick else _BACKENDS, say)
    runs: dict[str, Callable[[], object]] = {}
    for name, backend in backends.items():
        runs[f"weedout {name}"] = lambda backend=backend: wait(backend.masks_from_keys(keys, plan)[_SITE])
    peers = _peers(count, nodes, kept)

    def check(given: Mapping[str, Any]) -> None:
        for name, one in given.items():
            drawn = backends[name.removeprefix("weedout ")].to_numpy(one) if name in runs else np.asarray(one)
            assert drawn.shape == (count, nodes), name
            assert drawn.dtype == bool, name
            assert (drawn.sum(axis=1) == kept).all(), f"{name}: every mask must keep {kept}"

    timed = alternate(runs | peers, rounds, say, check)
    best = min((timed[name] for name in peers), key=lambda one: one.median)
    rows = [
        [name, number(1e3 * one.median), number(best.over(one).median), number(one.first)]
        for name, one in timed.items()
    ]
    accepted = [
        at_least(f"{name}, times the best of the three", 1, best.over(timed[name]))
        for name in runs
        if name != "weedout torch_xla"
    ]
    text = [
        f"{count} masks of {nodes:,} nodes at η = {_SPARSITY}, {kept:,} kept in each, which is checked.",
        machine.description(),
        machine.connecting(),
        table(["", "ms", "× the best permutation", "first call, s"], rows),
        "\n".join(accepted),
    ]
    return Section("Sampling", "\n\n".join(text), {})


def _peers(count: int, nodes: int, kept: int) -> dict[str, Callable[[], object]]:
    """Masks of exact counts by permutation: of the nodes, or of a mask whose first ones are kept."""
    device = torch_device()
    generator = np.random.default_rng(0)
    first = np.arange(nodes) < kept

    def with_torch() -> torch.Tensor:
        found = torch.zeros(count, nodes, dtype=torch.bool, device=device)
        for mask in found:
            mask[torch.randperm(nodes, device=device)[:kept]] = True
        return wait(found)

    def with_numpy() -> np.ndarray:
        return np.stack([generator.permutation(first) for _ in range(count)])

    drawn = jax.jit(jax.vmap(lambda key: jax.random.permutation(key, jnp.asarray(first))))
    return {
        "torch.randperm": with_torch,
        "numpy permutation": with_numpy,
        "jax.random.permutation": lambda: jax.block_until_ready(drawn(jax.random.split(jax.random.key(0), count))),
    }
