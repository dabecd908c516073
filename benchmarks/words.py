"""Random words: every backend against JAX's own generator and NumPy's."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import weedout_core as wc
from benchmarks import machine
from benchmarks.section import Section, at_most, number, table
from benchmarks.timing import Say, alternate, wait

_BASES = ("jax.random.bits", "weedout jax")
_BACKENDS = ("jax", "torch", "torch_xla", "numpy")


def run(quick: bool, say: Say) -> Section:
    """Ten million words. A word takes 20 rounds of five operations on 32-bit integers and a few more, about 120."""
    words, rounds = (10_000, 2) if quick else (10_000_000, 7)
    key, jax_key = wc.key(7), jax.random.key(7)
    backends = machine.load_backends(_BACKENDS[:2] if quick else _BACKENDS, say)
    runs: dict[str, Callable[[], object]] = {
        "jax.random.bits": lambda: jax.block_until_ready(jax.random.bits(jax_key, (words,), "uint32")),
        "numpy Philox": lambda: np.random.Generator(np.random.Philox(7)).integers(0, 2**32, words, dtype=np.uint32),
    }
    for name, backend in backends.items():
        runs[f"weedout {name}"] = lambda backend=backend: wait(backend.random_bits(key, words))

    def check(given: Mapping[str, Any]) -> None:
        wanted = np.asarray(given["jax.random.bits"])
        for name, backend in backends.items():
            np.testing.assert_array_equal(backend.to_numpy(given[f"weedout {name}"]), wanted, err_msg=name)

    timed = alternate(runs, rounds, say, check)
    rows = [
        [
            name,
            number(1e3 * one.median),
            number(words / one.median / 1e6),
            *(number(one.over(timed[base]).median) for base in _BASES),
            number(one.first),
        ]
        for name, one in timed.items()
    ]
    head = ["", "ms", "million words a second", *(f"of {base}'s time" for base in _BASES), "first call, s"]
    accepted = [
        at_most(f"{name}, of {base}'s time", 2, timed[name].over(timed[base]))
        for name in timed
        if name == "weedout torch"
        for base in _BASES
    ]
    text = [
        f"{words:,} words. Those of the backends are equal, bit for bit, to `jax.random.bits`, which is checked.",
        machine.description(),
        machine.connecting(),
        table(head, rows),
        "\n".join(accepted),
    ]
    return Section("Random words", "\n\n".join(text), {})
