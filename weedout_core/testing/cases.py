"""Cases that are tried without fail: what decides is enumerated, because a kit that hopes for it misses it."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

#: Keys with a word of 0 on either side, with the highest bit of either word, with all bits, and an ordinary one.
KEYS = tuple(
    np.array(words, dtype=np.uint32)
    for words in ((0, 0), (0, 1), (1, 0), (2**31, 1), (5, 2**31 + 3), (2**32 - 1, 2**32 - 1), (0x243F6A88, 0x85A308D3))
)


def pairwise(*factors: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Few combinations in which each two values of two factors meet at least once.

    Most faults show with one option, or with two that meet (Kuhn, Wallace, Gallo, "Software Fault Interactions and
    Implications for Software Testing", IEEE Transactions on Software Engineering 30, 2004). The first combination has
    the first value of each factor, so list the plainest first.
    """
    places = range(len(factors))
    open_pairs = {
        ((one, a), (two, b))
        for one, two in itertools.combinations(places, 2)
        for a in range(len(factors[one]))
        for b in range(len(factors[two]))
    }
    rows = [(0,) * len(factors)]
    open_pairs -= set(itertools.combinations(enumerate(rows[0]), 2))
    while open_pairs:
        chosen = dict(min(open_pairs))
        for place in places:
            if place not in chosen:
                chosen[place] = max(
                    range(len(factors[place])),
                    key=lambda value, place=place: sum(
                        tuple(sorted(((place, value), other))) in open_pairs for other in chosen.items()
                    ),
                )
        rows.append(tuple(chosen[place] for place in places))
        open_pairs -= set(itertools.combinations(enumerate(rows[-1]), 2))
    return [tuple(factor[value] for factor, value in zip(factors, row, strict=True)) for row in rows]


def each_once(*factors: Sequence[Any]) -> list[tuple[Any, ...]]:
    """As few combinations as have each value of each factor: as many as the longest factor has values."""
    rows = range(max(map(len, factors)))
    return [tuple(factor[row % len(factor)] for factor in factors) for row in rows]
