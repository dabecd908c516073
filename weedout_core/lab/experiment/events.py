"""What happens during a group, told to whoever draws or times it."""

from typing import Literal, NamedTuple

from weedout_core import Epoch, Generation

Phase = Literal["search", "control", "train", "evaluate"]


class PhaseStarted(NamedTuple):
    """A phase of a group begins. ``repeat`` is None for the phases that all repeats share."""

    sparsity: float
    phase: Phase
    repeat: int | None


class GenerationScored(NamedTuple):
    """One more generation of a repeat's search."""

    sparsity: float
    repeat: int
    generation: Generation


class EpochTrained(NamedTuple):
    """One more epoch of the cells of a group that are trained together.

    Attributes:
        sparsity: the group's.
        epochs: what it showed of each of them.
        first: the first of them, counted from 0.
        cells: how many the group has.
    """

    sparsity: float
    epochs: tuple[Epoch, ...]
    first: int
    cells: int

    @property
    def together(self) -> int:
        """How many they are."""
        return len(self.epochs)

    @property
    def epoch(self) -> int:
        """How many epochs they have done."""
        return self.epochs[0].epoch


class GroupFinished(NamedTuple):
    """All of a group is computed."""

    sparsity: float


Event = PhaseStarted | GenerationScored | EpochTrained | GroupFinished
