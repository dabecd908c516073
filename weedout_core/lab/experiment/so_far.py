"""How far a group has come: what a checkpoint holds, and what fetches it."""

from collections.abc import Callable
from typing import NamedTuple

from weedout_core import Generation, Trained

#: The generations of some searches.
Scored = tuple[tuple[Generation, ...], ...]


class GroupProgress(NamedTuple):
    """How far a group has come.

    Attributes:
        scored: for each repeat whose search has begun, its generations so far.
        trained: its networks in order: those that are trained, and those of the slice in work after some epochs; ()
            before the first epoch has ended.
    """

    scored: Scored
    trained: tuple[Trained, ...]


#: A group that has not begun.
NOTHING = GroupProgress((), ())


Fetch = Callable[[], GroupProgress]
