"""Ten million random words: every backend against JAX's own generator and NumPy's, in one run.

``python -m benchmarks.words`` from the repository root. Rounds alternate between the candidates; medians are
printed, with the ratios to ``jax.random.bits`` and to this library's own JAX backend. The arithmetic limit: a word
takes 20 rounds of five operations on 32-bit integers and a few more, about 120.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("PJRT_DEVICE", "CPU")

import jax
import numpy as np

import weedout_core as wc

WORDS = 10_000_000
ROUNDS = 7
BACKENDS = ("jax", "torch", "torch_xla", "numpy")
BASES = ("jax.random.bits", "weedout jax")


def candidates() -> dict[str, Callable[[], Any]]:
    key, jax_key = wc.key(7), jax.random.key(7)
    peers: dict[str, Callable[[], Any]] = {
        "jax.random.bits": lambda: jax.block_until_ready(jax.random.bits(jax_key, (WORDS,), "uint32")),
        "numpy Philox": lambda: np.random.Generator(np.random.Philox(7)).integers(0, 2**32, WORDS, dtype=np.uint32),
    }
    for name in BACKENDS:
        try:
            backend = wc.load_backend(name)
        except wc.BackendNotInstalledError as error:
            print(f"left out: {error}")
            continue
        peers[f"weedout {name}"] = lambda backend=backend: ready(backend.random_bits(key, WORDS))
    return peers


def ready(words: Any) -> Any:
    """Wait for words that are computed elsewhere."""
    if isinstance(words, jax.Array):
        return jax.block_until_ready(words)
    if getattr(getattr(words, "device", None), "type", "") == "xla":
        import torch_xla.core.xla_model as xla_model

        xla_model.wait_device_ops()
    return words


def main() -> None:
    runs = candidates()
    for run in runs.values():
        run()  # compilation is no part of it
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in sorted(medians.items(), key=lambda item: item[1]):
        ratios = "   ".join(f"{median / medians[base]:6.2f} of {base}" for base in BASES if base in medians)
        print(f"{name:20} {median:8.3f} s   {ratios}   {WORDS / median / 1e6:7.0f} M/s")


if __name__ == "__main__":
    main()
