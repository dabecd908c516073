"""What an activation keeps for several readers, of which each has a mask of its own.

How many nodes masks have in common differs from candidate to candidate, and a compacted network is one for all: so an
activation keeps as many nodes as its readers do together, each once, and in the place of those that several read the
first that none does. These cost what they would have cost twice, and change no output: nobody reads them.
"""

from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace
from array_api_compat import device as device_of  # pyright: ignore[reportUnknownVariableType]


def union(parts: Sequence[Any], nodes: int) -> Any:
    """The nodes that all parts have together, and the first others in place of those that several have.

    That of some of the parts lies in that of all: where these have nodes in common, so do all, at least as many, and
    the indices that fill up come in the same order.

    Args:
        parts: integers ``(n,)`` each, ascending and distinct, of a dtype and a framework of the array API; the sum of
            their lengths is at most ``nodes``, or there is one part.
        nodes: the activation's, from which indices are counted.
    Returns:
        as many as the parts have together, ascending and distinct, of their dtype.
    """
    if len(parts) == 1:
        return parts[0]
    xp = array_namespace(*parts)
    kept = xp.concat(parts)
    every = xp.arange(nodes, dtype=kept.dtype, device=device_of(kept))
    read = xp.any(every[:, None] == kept[None, :], axis=1)
    unread = xp.cumulative_sum(xp.astype(~read, kept.dtype))  # the how-manieth that none reads
    missing = kept.shape[0] - xp.sum(xp.astype(read, kept.dtype))
    chosen = read | (unread <= missing)
    return xp.sort(every + nodes * xp.astype(~chosen, kept.dtype))[: kept.shape[0]]


def positions(part: Any, whole: Any) -> Any:
    """Where nodes stand among others: integers ``(n,)`` of ``(m,)``, ascending and distinct; of their dtype."""
    xp = array_namespace(part, whole)
    return xp.astype(xp.sum(xp.astype(whole[None, :] < part[:, None], part.dtype), axis=1), part.dtype)
