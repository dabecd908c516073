"""The progress of a group, as a checkpoint holds it, and the type of a function that fetches it."""

from collections.abc import Callable
from typing import NamedTuple

from weedout_core import Generation, Trained

#: For each search, its generations.
Scored = tuple[tuple[Generation, ...], ...]


class GroupProgress(NamedTuple):
    """The progress of a group.

    Attributes:
        scored: for each repeat whose search has begun, its generations so far.
        trained: its networks in order: those that are fully trained, then those of the slice that is being trained,
            after some epochs; () before the first epoch has ended.
    """

    scored: Scored
    trained: tuple[Trained, ...]


#: The progress of a group that has not begun.
NOTHING = GroupProgress((), ())


Fetch = Callable[[], GroupProgress]
