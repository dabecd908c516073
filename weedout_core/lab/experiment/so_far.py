"""The progress of a group, as a checkpoint holds it, and the type of a function that fetches it."""

from collections.abc import Callable
from typing import NamedTuple

from weedout_core import Generation, Trained
from weedout_core.lab.experiment.arms import LeftOut, Start, Work


class GroupProgress(NamedTuple):
    """The progress of a group.

    Attributes:
        parents: SHA-256 of the initial weights of the repeats' parents; "" before they are drawn.
        chosen: what arms have chosen so far, in the order of arms and, within an arm, of repeats.
        scored: the generations so far of the search that comes next.
        spent: the work of these.
        trained: its networks in the order of training: those that are fully trained, then those that are being trained
            together, after some epochs; () before the first epoch has ended.
    """

    parents: str
    chosen: tuple[Start | LeftOut, ...]
    scored: tuple[Generation, ...]
    spent: Work
    trained: tuple[Trained, ...]


#: The progress of a group that has not begun.
NOTHING = GroupProgress("", (), (), Work(), ())


Fetch = Callable[[], GroupProgress]
