"""The rows of a group, compared with the record of its run: each cell is there once, and no number is impossible."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.experiment.rows import AnyRow
from weedout_core.lab.run.record import Record

Place = tuple[Any, ...]
#: The phases of a cell in ledger.csv.
_PHASES = ("choose", "train", "evaluate")
#: What is measured of a trained cell; all are NaN where it diverged.
_MEASURED = ("train_accuracy", "train_loss", "test_accuracy", "test_loss")


def wrong(tables: Mapping[str, Sequence[AnyRow]], record: Record, group: Group) -> Iterator[tuple[str, str]]:
    """What is wrong with the tables of a group: the name of each such table, and what it must have.

    Args:
        tables: {name: rows}, all tables of the group.
        record: of the run.
        group: the group.
    """
    epochs = range(1, record.identity["train"]["epochs"] + 1)
    trained = _places(tables["results.csv"], "arm", "repeat")
    rated = _places(tables["thresholds.csv"], "arm", "repeat", "site")
    arms = [arm["name"] for arm in record.identity["arms"]]
    each: dict[str, tuple[Iterable[Place], Iterable[Place]]] = {
        "results.csv": (
            trained + _places(tables["left_out.csv"], "arm", "repeat"),
            product(arms, group.repeats),
        ),
        "curves.csv": (_places(tables["curves.csv"], "arm", "repeat", "epoch"), _by(trained, epochs)),
        "ledger.csv": (_places(tables["ledger.csv"], "arm", "repeat", "phase"), _by(trained, _PHASES)),
        "thresholds.csv": (rated, {place for place in rated if place[:2] in trained}),
    }
    for name, (found, wanted) in each.items():
        yield from ((name, f"each row of its cells once; {one}") for one in _differing(found, wanted))
    for row in tables["results.csv"]:
        measured = [value for name, value in row._asdict().items() if name in _MEASURED]
        if any(map(math.isnan, measured)) != all(map(math.isnan, measured)):
            yield "results.csv", f"all of {', '.join(_MEASURED)} or none where training diverged; got {measured}"
    for name, rows in tables.items():
        for number, row in enumerate(rows, 1):
            yield from ((name, f"{one} in row {number}") for one in _impossible(row._asdict(), group))


def _places(rows: Sequence[AnyRow], *fields: str) -> list[Place]:
    return [tuple(getattr(row, name) for name in fields) for row in rows]


def _by(cells: Sequence[Place], values: Iterable[Any]) -> list[Place]:
    return [(*cell, value) for cell, value in product(cells, values)]


def _differing(found: Iterable[Place], wanted: Iterable[Place]) -> Iterator[str]:
    there, needed = Counter(found), Counter(wanted)
    for place in dict.fromkeys([*needed, *there]):
        if there[place] != needed[place]:
            yield f"got {' '.join(map(str, place))} {there[place]} times"


def _impossible(values: Mapping[str, Any], group: Group) -> Iterator[str]:
    """Fields whose value no run can have, with what they must be. Losses and fitness may be any float."""
    for name, value in values.items():
        must = None
        if name == "sparsity":
            must = None if value == group.sparsity else f"{group.sparsity!r}"
        elif name == "repeat":
            must = None if value is None or value in group.repeats else f"in [{group.first}, {group.end})"
        elif name == "achieved_sparsity" or name.endswith("accuracy"):
            must = None if math.isnan(value) or 0 <= value <= 1 else "in [0, 1]"
        elif type(value) is int or name.endswith("seconds"):
            must = None if value is None or 0 <= value < math.inf else "at least 0"
        if must is not None:
            yield f"{name} {must}; got {value!r}"
