"""The events of a group (all cells of one sparsity), from which progress is drawn and phases are timed."""

from typing import Literal, NamedTuple

from weedout_core import Epoch, Generation

Phase = Literal["search", "control", "train", "evaluate"]


class PhaseStarted(NamedTuple):
    """A phase of a group begins. ``repeat`` counts from 0, and is None for a phase that all repeats share."""

    sparsity: float
    phase: Phase
    repeat: int | None


class GenerationScored(NamedTuple):
    """A generation of a repeat's search has been scored."""

    sparsity: float
    repeat: int
    generation: Generation


class EpochTrained(NamedTuple):
    """Some cells of a group, those that are trained together, have finished an epoch.

    Attributes:
        sparsity: the group's sparsity.
        epochs: the result of this epoch for each of these cells.
        first: the position in the group of the first of these cells, counted from 0.
        cells: the number of all cells of the group.
    """

    sparsity: float
    epochs: tuple[Epoch, ...]
    first: int
    cells: int

    @property
    def together(self) -> int:
        """The number of cells that are trained together."""
        return len(self.epochs)

    @property
    def epoch(self) -> int:
        """The number of epochs that these cells have finished."""
        return self.epochs[0].epoch


class GroupFinished(NamedTuple):
    """All cells of a group are trained and measured."""

    sparsity: float


Event = PhaseStarted | GenerationScored | EpochTrained | GroupFinished
