"""A run is cut into groups: the cells of one sparsity, in the repeats from one look at the results to the next."""

from collections.abc import Sequence
from typing import NamedTuple

from weedout_core.lab.experiment.names import named


class Group(NamedTuple):
    """What is computed, saved and resumed as a whole: all arms of one sparsity, in some repeats.

    Attributes:
        sparsity: in [0, 1).
        first: its first repeat, counted from 0.
        end: the repeat after its last one.
    """

    sparsity: float
    first: int
    end: int

    @property
    def repeats(self) -> range:
        """The repeats of the group."""
        return range(self.first, self.end)

    @property
    def folder(self) -> str:
        """The name of its folder in a run."""
        return f"sparsity-{self.sparsity!r}" + (f"-from-{self.first}" if self.first else "")

    def __str__(self) -> str:
        return f"sparsity {named(self.sparsity)}" + (f" from repeat {self.first}" if self.first else "")


def groups(sparsities: Sequence[float], looks: Sequence[int]) -> list[Group]:
    """The groups of a run, in the order in which they are computed: all sparsities before each look at the results.

    Args:
        sparsities: of the run, in order.
        looks: after how many repeats the results are looked at, increasing.
    """
    return [
        Group(sparsity, first, end) for first, end in zip((0, *looks), looks, strict=False) for sparsity in sparsities
    ]
