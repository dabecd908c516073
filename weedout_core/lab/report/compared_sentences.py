"""What is said first of several runs: what differs, what is equal, where results do not agree."""

import math
from collections.abc import Mapping, Sequence

from weedout_core.lab.report.compared import CellMean, CellRow, Run, VerdictOfRun, unpaired
from weedout_core.lab.report.compared_facts import Cost, Fact, differing
from weedout_core.lab.report.compared_masks import MaskCount
from weedout_core.lab.report.texts import count, number, where

_NAMED = 8  # at most this many fields are named in a sentence; the table holds all of them
_SAME = ("dataset", "network", "seed")


def listed(runs: Sequence[Run]) -> str:
    """The names of runs in a sentence."""
    return f"{', '.join(run.name for run in runs[:-1])} and {runs[-1].name}"


def what_differs(runs: Sequence[Run], found: Sequence[Fact]) -> list[str]:
    """What was run otherwise, and what was the same."""
    names = listed(runs)
    fields = list(dict.fromkeys(fact.field for fact in differing(found)))
    rest = f" and {len(fields) - _NAMED} more" if len(fields) > _NAMED else ""
    said = f"{names} differ in {count(len(fields), 'field')}: {', '.join(fields[:_NAMED])}{rest}."
    same = [f"{fact.field} {fact.value}" for fact in found if fact.field in _SAME and fact.field not in fields]
    return [
        said if fields else f"{names} were run alike: configuration, versions and device are equal.",
        f"The same in all: {', '.join(dict.fromkeys(same))}." if same else "Dataset, network and seed differ.",
    ]


def pairing(runs: Sequence[Run]) -> list[str]:
    """For each run whether its repeats are pairs with those of the first, and why not."""
    first = runs[0]
    said: list[str] = []
    for run in runs[1:]:
        reasons = unpaired(first, run)
        said.append(
            f"Repeats of {run.name} are no pairs with those of {first.name}, because of another "
            f"{', '.join(reasons)}: masks and differences are not compared, only means are shown."
            if reasons
            else f"Repeats of {run.name} are pairs with those of {first.name}: the same seed, data and network."
        )
    return said


def masks(counts: Sequence[MaskCount]) -> list[str]:
    """Of each pair of runs that all masks are equal, or where they are not and whether the search was close there."""
    said: list[str] = []
    for names in dict.fromkeys((one.run, one.first) for one in counts):
        here = [one for one in counts if (one.run, one.first) == names]
        unequal = [one for one in here if one.equal < one.masks]
        total = sum(one.masks for one in here)
        if not unequal:
            said.append(f"{_all(total, 'mask').capitalize()} equal in {names[1]} and {names[0]}.")
            continue
        said += [_unequal(one) for one in unequal]
        rest = sum(one.masks for one in here if one not in unequal)
        said += [f"{_all(rest, 'other mask').capitalize()} equal in {names[1]} and {names[0]}."] if rest else []
    return said


def _unequal(one: MaskCount) -> str:
    different = one.masks - one.equal
    close = (
        f"; of the {different} that differ, {one.close} {'was' if one.close == 1 else 'were'} chosen in a close call"
        if one.searched
        else ""
    )
    return (
        f"{one.arm} at {where(one.sparsity)}: {_of(one.equal, one.masks, 'mask', 'is', 'are')} equal in {one.first} "
        f"and {one.run}; at most {one.most} of {count(one.nodes, 'node')} differ{close}."
    )


def accuracies(rows: Sequence[CellRow], means: Sequence[CellMean]) -> list[str]:
    """Of each pair of runs the largest difference of a cell, and how many intervals leave out 0."""
    said: list[str] = []
    for names in dict.fromkeys((row.run, row.first) for row in rows):
        known = [row for row in rows if (row.run, row.first) == names and not math.isnan(row.difference)]
        if not known:
            continue
        equal = sum(row.difference == 0 for row in known)
        if equal == len(known):
            said.append(f"{names[0]} and {names[1]}: {_all(equal, 'test accuracy')} equal.")
            continue
        largest = max(known, key=lambda row: abs(row.difference))
        intervals = [mean for mean in means if (mean.run, mean.first) == names and not math.isnan(mean.low)]
        apart = sum(mean.low > 0 or mean.high < 0 for mean in intervals)
        said.append(
            f"{names[0]} − {names[1]}: {_of(equal, len(known), 'cell', 'has', 'have')} equal test accuracies; the "
            f"largest difference is {number(100 * largest.difference, 2, True)} points ({largest.arm} at "
            f"{where(largest.sparsity)}, repeat {largest.repeat}). Of "
            f"{count(len(intervals), 'plain 95 % interval')} of mean differences {apart} leave out 0; by chance one in "
            "twenty would."
        )
    return said


def verdicts(rows: Sequence[VerdictOfRun]) -> list[str]:
    """Whether the runs that were judged agree, method by method."""
    places: dict[tuple[float, str, str], list[VerdictOfRun]] = {}
    for row in rows:
        places.setdefault(row[:3], []).append(row)
    both = [found for found in places.values() if len(found) > 1]
    unlike = [found for found in both if len({row.verdict for row in found}) > 1]
    said = [
        f"{found[0].method} against {found[0].baseline} at {where(found[0].sparsity)}: "
        f"{', '.join(f'{row.verdict} in {row.run}' for row in found)}."
        for found in unlike
    ]
    if both:
        said.append(f"{_of(len(both) - len(unlike), len(both), 'verdict', 'agrees', 'agree')}.")
    return said


def _of(some: int, all_of_them: int, name: str, one: str, several: str) -> str:
    """How many of some things, with the verb of one thing or of several."""
    return f"{some} of {count(all_of_them, name)} {one if all_of_them == 1 else several}"


def _all(number: int, name: str) -> str:
    return f"the only {name} is" if number == 1 else f"all {count(number, name)} are"


def cost(runs: Sequence[Run], found: Sequence[Cost]) -> str:
    """How long each run took as far as it is done."""
    of: Mapping[tuple[str, str], float] = {(one.what, one.run): one.value for one in found}
    took = [
        f"{run.name} {number(of['wall time (s)', run.name], 1)} s"
        + (
            f" (of it {number(compiling, 1)} s compilation)"
            if (compiling := of.get(("of it compilation (s)", run.name))) is not None
            else ""
        )
        for run in runs
    ]
    return f"Wall time of what is done: {', '.join(took)}."
