"""What an activation keeps for several readers, of which each has a mask of its own.

How many nodes several masks have in common differs between candidates, but all candidates share one compacted network.
So an activation keeps as many nodes as its readers keep in total. A node that several readers keep is stored once, and
the places that this leaves free are filled with the first nodes that no reader keeps. These change no output, because
no reader takes them.
"""

from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace

from weedout_core._guard.traced import beside


def union(parts: Sequence[Any], nodes: int) -> Any:
    """The nodes that any part has, and the first nodes that no part has, as many together as the parts have in total.

    The union of some of the parts is a subset of the union of all parts: the more parts there are, the more nodes they
    have in common, and the nodes that fill up are always taken in the same order.

    Args:
        parts: integers ``(n,)`` each, ascending and distinct, of a dtype and a framework of the array API; the sum of
            their lengths is at most ``nodes``, or there is one part.
        nodes: the number of nodes of the activation, in which indices are counted.
    Returns:
        as many as the parts have together, ascending and distinct, of their dtype.
    """
    if len(parts) == 1:
        return parts[0]
    xp = array_namespace(*parts)
    kept = xp.concat(parts)
    every = xp.arange(nodes, dtype=kept.dtype, **beside(kept))
    read = xp.any(every[:, None] == kept[None, :], axis=1)
    unread = xp.cumulative_sum(xp.astype(~read, kept.dtype))  # numbers the nodes that no part reads, from 1
    missing = kept.shape[0] - xp.sum(xp.astype(read, kept.dtype))
    chosen = read | (unread <= missing)
    return xp.sort(every + nodes * xp.astype(~chosen, kept.dtype))[: kept.shape[0]]


def positions(part: Any, whole: Any) -> Any:
    """The positions of the nodes ``part`` in ``whole``, integers ``(n,)`` and ``(m,)``, ascending and distinct."""
    xp = array_namespace(part, whole)
    return xp.astype(xp.sum(xp.astype(whole[None, :] < part[:, None], part.dtype), axis=1), part.dtype)
