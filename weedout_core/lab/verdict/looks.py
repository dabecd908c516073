"""The level at which intervals are drawn when results are looked at several times and several methods are compared.

Whoever looks again and again, and stops when an interval says enough, is wrong more often than each interval is. So all
intervals are drawn at one smaller level, the nominal significance level alpha of each look (Pocock, "Group sequential
methods in the design and analysis of clinical trials", Biometrika 64, 1977), here for Student's t. Over comparisons the
error is divided equally (Bonferroni).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Annotated

import numpy as np
from scipy import special

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Positive, Probability, integer
from weedout_core._random.keys import of_looks
from weedout_core.errors import ConfigError
from weedout_core.random import bits, fold_in, split

Look = Annotated[int, integer(2, note=" pairs")]

#: After how many pairs results are looked at.
LOOKS = (5, 10, 20, 40)
#: The probability that any interval of a run, at any look and of any comparison, leaves out the true difference.
ERROR = 0.05
#: :func:`nominal_level` at this error, of 1, 2, … 16 comparisons. A test computes it anew.
LEVELS: Mapping[tuple[int, ...], tuple[float, ...]] = MappingProxyType(
    {
        (5, 10): (
            0.0279246, 0.0135443, 0.00889282, 0.00658264, 0.00524037, 0.00435682, 0.00372004, 0.00325247,
            0.00288150, 0.00260482, 0.00236375, 0.00215786, 0.00199417, 0.00185847, 0.00173287, 0.00162499,
        ),
        (5, 10, 20): (
            0.0194554, 0.00935406, 0.00614290, 0.00457424, 0.00362247, 0.00300031, 0.00257078, 0.00223979,
            0.00199789, 0.00180259, 0.00163197, 0.00150086, 0.00137888, 0.00127975, 0.00119837, 0.00111497,
        ),
        (5, 10, 20, 40): (
            0.0150439, 0.00719952, 0.00473130, 0.00347933, 0.00278044, 0.00231432, 0.00197614, 0.00173056,
            0.00154332, 0.00137617, 0.00125097, 0.00113968, 0.00105395, 0.000972514, 0.000903875, 0.000845696,
        ),
    }
)  # fmt: skip

_DRAWS = 1_000_000
_FEWEST = 1_000  # draws below a quantile, which then is known to about 3 % of itself


@guarded
def nominal_level(looks: Sequence[Look] = LOOKS, comparisons: Positive = 1, error: Probability = ERROR) -> float:
    """The two-sided significance level alpha of each interval, so that all of them cover together.

    If differences are normal, Student's intervals at confidence 1 − alpha of all comparisons at all looks cover the
    true differences together with probability 1 − error. Alpha is the quantile at error / comparisons of the smallest
    p-value over the looks, in a million draws from the project's own stream; the error that it stands for is known to
    0.4 % of itself for one comparison and to 1.8 % for sixteen, one standard deviation. One look needs no draws: there
    alpha is error / comparisons. Where error / comparisons is below 0.001, too few draws lie below the quantile, and
    the error is divided equally over looks too, which never promises too much.

    Args:
        looks: the numbers of pairs at which results are looked at, each at least 2 and above the one before.
        comparisons: how many there are, decided before the first look.
        error: the probability that any interval is wrong, in (0, 1).
    Returns:
        alpha, in (0, error / comparisons].
    Raises:
        ConfigError: there is no look, they do not increase, or an argument is out of range.
    """
    check_looks(looks)
    share, planned = error / comparisons, tuple(looks)
    if len(planned) == 1:
        return share
    if error == ERROR and planned in LEVELS and comparisons <= len(LEVELS[planned]):
        return LEVELS[planned][comparisons - 1]
    return simulated_level(planned, share)


def check_looks(looks: Sequence[int], name: str = "looks") -> None:
    """Raise ConfigError, with the name of the argument, if there are no looks or if they do not increase."""
    if not looks or any(later <= earlier for earlier, later in pairwise(looks)):
        raise ConfigError(
            f"{name} must be numbers of pairs that increase, at least one; got {tuple(looks)}. "
            f"Give each number once, in order, such as {LOOKS}."
        )


def check_family(family: int | None, comparisons: int) -> None:
    """Raise ConfigError if fewer comparisons are to be right together than are made here; None is as many as those."""
    if family is not None and family < comparisons:
        raise ConfigError(
            f"family must be at least {comparisons}, the number of comparisons made here; got {family}. Count those of "
            "other runs besides, or leave it out."
        )


def simulated_level(looks: tuple[int, ...], share: float) -> float:
    """:func:`nominal_level` of two looks or more from draws; ``share`` is error / comparisons."""
    if share * _DRAWS < _FEWEST:
        return share / len(looks)
    return float(_smallest_p_values(looks)[int(share * _DRAWS)])


@lru_cache(maxsize=4)
def _smallest_p_values(looks: tuple[int, ...]) -> np.ndarray:
    """The smallest two-sided p-value over the looks of normal differences of mean 0, sorted: float64 ``(draws,)``.

    Of the differences between two looks t needs their sum and their sum of squares alone. The sum is normal, and the
    sum of squares about their mean is an independent chi-square of one degree of freedom fewer than there are pairs
    (Fisher 1925): two draws a look, however many pairs it adds.
    """
    total, squares, smallest = np.zeros(_DRAWS), np.zeros(_DRAWS), np.ones(_DRAWS)
    for place, (before, pairs) in enumerate(zip((0, *looks), looks, strict=False)):
        of_mean, of_spread = split(fold_in(of_looks(), place), 2)
        normal = special.ndtri(_uniform(of_mean))
        total += np.sqrt(pairs - before) * normal
        squares += normal**2
        if pairs - before > 1:
            squares += 2 * special.gammaincinv((pairs - before - 1) / 2, _uniform(of_spread))
        t = total / np.sqrt(pairs * (squares - total**2 / pairs) / (pairs - 1))
        np.minimum(smallest, 2 * special.stdtr(pairs - 1, -np.abs(t)), out=smallest)
    return np.sort(smallest)


def _uniform(key: np.ndarray) -> np.ndarray:
    """In (0, 1), float64 ``(draws,)``: the middles of 2^32 equal parts."""
    return (bits(key, _DRAWS) + 0.5) / 2**32
