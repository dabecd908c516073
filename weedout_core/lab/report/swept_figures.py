"""The figures of a sweep: accuracy against what is varied, and the difference at each point."""

import math
from collections.abc import Sequence
from typing import Any

from weedout_core.lab.report.charts import Curve, DotRow, dots, error_bars
from weedout_core.lab.report.differences import pair_rows
from weedout_core.lab.report.drawing import Drawing, Entry, Panel
from weedout_core.lab.report.swept import Comparison
from weedout_core.lab.report.texts import ended, where, within

_WIDE = 8  # from this factor on between the least and the greatest value they stand along a logarithmic axis
_CROWDED = 36  # characters of all labels along an axis, from which on they are turned


def positions(values: Sequence[str]) -> list[float]:
    """Where values stand along an axis: numbers by their size, or by its logarithm; all others side by side."""
    if not all(map(_is_number, values)):
        return [float(place) for place in range(len(values))]
    numbers = [float(value) for value in values]
    return [math.log10(number) for number in numbers] if _are_wide(numbers) else numbers


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _are_wide(numbers: Sequence[float]) -> bool:
    return min(numbers) > 0 and max(numbers) >= _WIDE * min(numbers)


def accuracy_figure(found: Sequence[Comparison]) -> Drawing:
    """Test accuracy against the option that is varied first, a panel for all other values and each sparsity."""
    option, *others = found[0].point.values
    values = list(dict.fromkeys(one.point.values[option] for one in found))
    places = dict(zip(values, positions(values), strict=True))
    arms = _arms(found)
    panels: dict[str, list[Comparison]] = {}
    for one in found:
        title = [f"{other} {one.point.values[other]}" for other in others]
        title += [] if "sparsity" in one.point.values else [where(one.verdict.sparsity)]
        panels.setdefault(", ".join(title) or "all points", []).append(one)
    wide = all(map(_is_number, values)) and _are_wide([float(value) for value in values])
    drawn = [_accuracy(option, places, arms, title, some) for title, some in panels.items()]
    return Drawing(
        "accuracy",
        f"Test accuracy against {option}",
        "Means over the repeats with plain 95 % intervals, beside each other so that they can be seen."
        + (f" The axis of {option} is logarithmic." if wide else ""),
        drawn,
        [Entry(arm, place, place, place) for place, arm in enumerate(arms)],
    )


def _arms(found: Sequence[Comparison]) -> list[str]:
    """The methods, and the baseline."""
    return list(dict.fromkeys([*(one.verdict.method for one in found), found[0].verdict.baseline]))


def _accuracy(
    option: str, places: dict[str, float], arms: Sequence[str], title: str, found: Sequence[Comparison]
) -> Panel:
    curves: list[Curve] = []
    said: list[str] = []
    for place, arm in enumerate(arms):
        means = {
            one.point.values[option]: mean for one in found for mean in (one.method, one.baseline) if mean.arm == arm
        }
        shown = {value: mean for value, mean in means.items() if not math.isnan(mean.mean)}
        if shown:
            mean, low, high = ([100 * getattr(one, end) for one in shown.values()] for end in ("mean", "low", "high"))
            curves.append(Curve([places[value] for value in shown], mean, low, high, place, place, place))
        said.append(f"{arm} " + ", ".join(f"{ended(mean)} at {option} {value}" for value, mean in means.items()))

    def draw(axes: Any) -> None:
        error_bars(axes, curves, option, "test accuracy (%)")
        crowded = sum(map(len, places)) > _CROWDED
        axes.set_xticks(list(places.values()), list(places), rotation=30 if crowded else 0)

    return Panel(title, f"Test accuracy against {option}, {title}: {'; '.join(said)}.", draw, 270)


def differences_figure(found: Sequence[Comparison]) -> Drawing:
    """The paired differences at each point, a panel for each method and sparsity."""
    arms = _arms(found)
    panels: dict[tuple[str, str], list[Comparison]] = {}
    for one in found:
        sparsity = "" if "sparsity" in one.point.values else where(one.verdict.sparsity)
        panels.setdefault((one.verdict.method, sparsity), []).append(one)
    return Drawing(
        "differences",
        f"Paired differences from {found[0].verdict.baseline}",
        "A dot is one repeat, the diamond the mean, and the line through it the interval of the verdict. The band is "
        f"the margin. Right of 0 the method is more accurate than {found[0].verdict.baseline}.",
        [_differences(arms.index(method), sparsity, some) for (method, sparsity), some in panels.items()],
        [Entry(arm, place, 0, None) for place, arm in enumerate(arms[:-1])],
    )


def _differences(place: int, sparsity: str, found: Sequence[Comparison]) -> Panel:
    rows = [
        DotRow(
            str(one.point),
            _pairs(one),
            100 * one.verdict.mean,
            100 * one.verdict.low,
            100 * one.verdict.high,
            place,
            False,
        )
        for one in found
    ]
    method = found[0].verdict.method
    title = f"{method}, {sparsity}" if sparsity else method
    said = "; ".join(f"{row.label} {within(row.mean, row.low, row.high)}" for row in rows)
    margin = found[0].point.source.scope.margin
    return Panel(
        title,
        f"Paired differences of {title}, points of test accuracy: {said}.",
        lambda axes: dots(axes, rows, None if margin is None else 100 * margin, "points of test accuracy"),
        80 + 36 * len(rows),
    )


def _pairs(one: Comparison) -> list[float]:
    """The differences of its repeats in which no training diverged, in points."""
    source, said = one.point.source, one.verdict
    place = said.sparsity, said.method, said.baseline
    rows = pair_rows(source.results, source.left_out, source.scope)
    return [100 * row.difference for row in rows if row[:3] == place and not math.isnan(row.difference)]
