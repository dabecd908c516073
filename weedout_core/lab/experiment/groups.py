"""A run is cut into groups, its units of work: all arms of one sparsity, in one repeat or a few."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from weedout_core.lab.experiment.names import named


class Group(NamedTuple):
    """What is computed, saved and resumed as a whole, by whatever worker: all arms of one sparsity, in some repeats.

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
        repeats = f"repeat {self.first}" if len(self.repeats) == 1 else f"repeats {self.first}-{self.end - 1}"
        return f"sparsity {named(self.sparsity)}, {repeats}"


def groups(sparsities: Sequence[float], looks: Sequence[int], repeats: int = 1) -> list[Group]:
    """The groups of a run, in the order in which they are computed: all sparsities before each look at the results.

    Args:
        sparsities: of the run, in order.
        looks: after how many repeats the results are looked at, increasing.
        repeats: the most repeats of a group, ≥ 1; the last group before a look may have fewer.
    """
    return [
        Group(sparsity, first, min(first + repeats, look))
        for before, look in zip((0, *looks), looks, strict=False)
        for sparsity in sparsities
        for first in range(before, look, repeats)
    ]


def joined(some: Iterable[Group]) -> str:
    """Groups as a text, those of neighbouring repeats as one: "sparsity 0, repeats 0-4; sparsity 0.8, repeat 2"."""
    spans = list[Group]()
    for group in sorted(some):
        if spans and spans[-1][::2] == (group.sparsity, group.first):
            spans[-1] = spans[-1]._replace(end=group.end)
        else:
            spans.append(group)
    return "; ".join(map(str, spans))
