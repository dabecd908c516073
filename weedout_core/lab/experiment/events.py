"""The events of a group, from which progress is drawn and phases are timed."""

from typing import NamedTuple

from weedout_core import Epoch, Generation
from weedout_core.lab.experiment.groups import Group

#: The phases that all arms share; the others are the arms' own, under their names.
TRAIN, EVALUATE = "train", "evaluate"


class ModelStarted(NamedTuple):
    """The user's model is about to be made with the initial weights of a repeat, before any arm chooses."""

    group: Group
    repeat: int


class PhaseStarted(NamedTuple):
    """A phase of a group begins: an arm, under its name, chooses in a repeat; or all networks are trained or evaluated.

    ``repeat`` counts from 0, and is None for a phase that all repeats share.
    """

    group: Group
    phase: str
    repeat: int | None


class GenerationScored(NamedTuple):
    """A generation of a repeat's search has been scored."""

    group: Group
    repeat: int
    generation: Generation


class ChoiceTrained(NamedTuple):
    """A network that an arm trains in order to choose, in a repeat, has finished an epoch."""

    group: Group
    arm: str
    repeat: int
    epoch: Epoch


class EpochTrained(NamedTuple):
    """Some cells of a group, those that are trained together, have finished an epoch.

    Attributes:
        group: the group.
        epochs: the result of this epoch for each of these cells.
        first: the position in the group of the first of these cells, counted from 0.
        cells: the number of all cells of the group.
    """

    group: Group
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

    group: Group


Event = ModelStarted | PhaseStarted | GenerationScored | ChoiceTrained | EpochTrained | GroupFinished
