"""How much of the device's memory a large search holds, and what the compiler says of larger ones."""

from collections.abc import Mapping

import numpy as np

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.frameworks import Framework, framework
from benchmarks.accelerator.models import SPARSITY, batch_of, wide_resnet
from benchmarks.timing import timed_call

_BATCH, _LARGER = 256, 1024
_SIZES = {"WRN-16-4": (16, 4, 1_000), "WRN-28-10": (28, 10, 100)}  # the smaller first: JAX's peak only grows


def run(asked: Asked) -> None:
    """A population of channel masks; before it the weights are there, and nothing else."""
    one = framework(asked.part)
    for label, (depth, width, candidates) in _SIZES.items():
        net = wide_resnet(depth, width, "channel", asked.quick)
        size, batch = (8, 8) if asked.quick else (candidates, _BATCH)
        config = wc.SearchConfig(population=size, generations=1, validation_batch=batch)
        title = f"Channel masks, batch {batch}, η = {SPARSITY}"
        asked.attempt(
            title, f"{label}, {size:,} candidates, weedout {one.name}",
            lambda net=net, config=config: _searched(one, net, config),
        )  # fmt: skip
    if one.name != "jax":
        return
    for label, (depth, width, candidates) in _SIZES.items():
        net = wide_resnet(depth, width, "channel", asked.quick)
        size, batch = (8, 16) if asked.quick else (candidates, _LARGER)
        asked.attempt(
            f"By the compiler, not run: channel masks, batch {batch:,}", f"{label}, {size:,} candidates",
            lambda net=net, size=size, batch=batch: _compiled(net, size, batch),
        )  # fmt: skip


def _searched(one: Framework, net: wc.Network, config: wc.SearchConfig) -> Mapping[str, float | str]:
    one.forget()
    backend, data = one.connect(), batch_of(net, config.validation_batch)
    seconds, found = timed_call(
        lambda: wc.search(net, data, sparsity=SPARSITY, backend=backend, key=wc.key(0), config=config)
    )
    fitness = found.history[0].fitness
    assert np.isfinite(fitness).all(), f"{np.sum(~np.isfinite(fitness))} of {len(fitness)} fitnesses are not finite"
    peak = one.peak()
    return {"s, compilation included": seconds, "peak, GiB": "not known" if peak is None else peak / 2**30}


def _compiled(net: wc.Network, size: int, batch: int) -> Mapping[str, float]:
    """Of the program that scores, alone."""
    from weedout_jax import ahead, devices  # here: PyTorch's process does without JAX

    search = wc.SearchConfig(population=size, generations=1, validation_batch=batch)
    program = "score shared weights"
    compiled = ahead.compile_ahead(
        devices.find_mesh(None, 1), net, SPARSITY, search, wc.TrainConfig(), batch, 1, wanted=(program,)
    )
    return {"GiB": ahead.most_bytes(compiled[program]) / 2**30}
