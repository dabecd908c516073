"""The processes that compute together, each with devices of its own, on one host or on several."""

from collections.abc import Callable
from typing import NamedTuple


def _same(content: bytes) -> bytes:
    return content


def _alone(message: bytes) -> list[bytes]:
    return [message]


def _nothing() -> None:
    pass


class Peers(NamedTuple):
    """The processes that compute together, of which this is one; by default the only one.

    Each of them makes the same calls of the backend in the same order, and of the functions below too: a call waits for
    those of the others.

    Attributes:
        number: of this process, in [0, size).
        size: how many there are, ≥ 1.
        broadcast: what process 0 hands in, in every process; what others hand in is not looked at.
        gather: the first 1,000 bytes of what each process hands in, by their numbers; they do not end with a zero.
        leave: wait until every process leaves, so that the end of none is taken for a loss.
    """

    number: int = 0
    size: int = 1
    broadcast: Callable[[bytes], bytes] = _same
    gather: Callable[[bytes], list[bytes]] = _alone
    leave: Callable[[], None] = _nothing


#: The one process of a backend that computes by itself.
ALONE = Peers()
