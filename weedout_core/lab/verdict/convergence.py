"""How fast trainings converge: epochs to an accuracy, and their difference between two methods."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Accuracy, NonNegative, Probability
from weedout_core.errors import ConfigError
from weedout_core.lab.statistics import LEVEL, student_t_interval


class EpochsDifference(NamedTuple):
    """Epochs to one accuracy, first method − second, repeat by repeat. Fewer epochs are faster.

    Attributes:
        pairs: those in which both reach the accuracy: the mean is of them alone, and says nothing of the others.
        first_never: pairs in which the first method alone never reaches it.
        second_never: pairs in which the second alone never does.
        neither: pairs in which both never do.
        mean: of the differences, epochs; NaN where there is no pair.
        low, high: Student's interval; NaN for fewer than two pairs.
    """

    pairs: int
    first_never: int
    second_never: int
    neither: int
    mean: float
    low: float
    high: float


@guarded
def epochs_to(
    epochs: Sequence[NonNegative], curve: Sequence[Accuracy], accuracies: Sequence[Accuracy]
) -> tuple[int | None, ...]:
    """The first epoch after which a curve is at each accuracy or above it; None where it never is.

    Args:
        epochs: the number of each, increasing; 0 is before training.
        curve: the accuracy after each epoch, in [0, 1]; NaN, as after a training diverged, reaches nothing.
        accuracies: to be reached, in [0, 1].
    Raises:
        ConfigError: epochs and curve are not equally many, epochs do not increase, or an accuracy to reach is NaN.
    """
    if len(epochs) != len(curve):
        raise ConfigError(f"a curve must have one accuracy for each epoch; got {len(curve)} for {len(epochs)} epochs.")
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ConfigError(f"epochs must increase; got {tuple(epochs)}. Hand in one run's, in order.")
    if any(map(math.isnan, accuracies)):
        raise ConfigError(f"accuracies to reach must be numbers; got {tuple(accuracies)}. Leave out NaN.")
    return tuple(
        next((epoch for epoch, value in zip(epochs, curve, strict=True) if value >= accuracy), None)
        for accuracy in accuracies
    )


@guarded
def epochs_difference(
    first: Sequence[NonNegative | None], second: Sequence[NonNegative | None], level: Probability = LEVEL
) -> EpochsDifference:
    """Compare how many epochs two methods take to one accuracy in the same repeats.

    Args:
        first, second: epochs as :func:`epochs_to` gives them, one for each repeat and in the same order.
        level: the interval's confidence, in (0, 1).
    Raises:
        ConfigError: the two are not equally many.
    """
    if len(first) != len(second):
        raise ConfigError(f"paired epochs must be equally many; got {len(first)} and {len(second)}.")
    both = list(zip(first, second, strict=True))
    differences = [float(one - other) for one, other in both if one is not None and other is not None]
    interval = student_t_interval(differences, level) if differences else None
    return EpochsDifference(
        pairs=len(differences),
        first_never=sum(one is None and other is not None for one, other in both),
        second_never=sum(one is not None and other is None for one, other in both),
        neither=sum(one is None and other is None for one, other in both),
        mean=interval.mean if interval else math.nan,
        low=interval.low if interval else math.nan,
        high=interval.high if interval else math.nan,
    )
