"""The steps, in order of worth: what each shows, its processes, and their shares of the time."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Step(NamedTuple):
    """One step.

    Attributes:
        title: what it shows.
        parts: its processes, one after the other, named after the framework that they measure, and the share of each
            of the time, against all others'. JAX takes more of it than PyTorch, for it compiles, and comes last, for
            what one does not use is left to those after it.
        always: whether it runs where no step is named.
    """

    title: str
    parts: Mapping[str, float]
    always: bool = True


STEPS: Mapping[str, Step] = MappingProxyType(
    {
        "equal": Step("Equal to the CPU", {"torch": 40, "jax": 130}),
        "adopted": Step("A model of one's own", {"torch": 40, "jax": 80}),
        "search": Step("Search", {"torch": 90, "jax": 120}),
        "train": Step("Training step", {"torch": 60, "jax": 70}),
        "sample": Step("Sampling", {"torch": 15, "jax": 20}),
        "memory": Step("Memory", {"torch": 20, "jax": 45}),
        "digits": Step("Digits", {"torch": 30, "jax": 45}),
        "cifar": Step("CIFAR-10", {"jax": 60}),
        # Every check as `weedout conform` tries it, on all cores: jax compiles for each example.
        "kit": Step("Conformance kit", {"torch": 200, "jax": 400}, always=False),
    }
)
