"""What was run and what it cost, in several runs side by side: one fact a field and run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from weedout_core.lab.experiment.events import EVALUATE, TRAIN
from weedout_core.lab.experiment.groups import Group
from weedout_core.lab.files import sha256
from weedout_core.lab.report.compared import Run
from weedout_core.lab.report.costs import CHOOSE, cost_rows

#: What is said of what a run does not have.
ABSENT = "–"
_SHORT = 12  # characters of a digest that are shown


class Fact(NamedTuple):
    """What one field is in one run, as text.

    ``part`` is "identity" for what decides the results, "environment" for versions and the device, "decided" for what
    was settled when the run began.
    """

    part: str
    field: str
    run: str
    value: str


class Cost(NamedTuple):
    """A count or seconds of one run."""

    what: str
    run: str
    value: float


def facts(runs: Sequence[Run]) -> list[Fact]:
    """All fields of all runs, by part, field and run; a field that a run does not have is ABSENT there."""
    described = [_described(run) for run in runs]
    places = dict.fromkeys(place for one in described for place in one)
    order = list(dict.fromkeys(part for part, _ in places))
    return [
        Fact(part, field, run.name, one.get((part, field), ABSENT))
        for part, field in sorted(places, key=lambda place: order.index(place[0]))
        for run, one in zip(runs, described, strict=True)
    ]


def differing(found: Sequence[Fact]) -> list[Fact]:
    """The facts on fields in which not all runs agree."""
    values: dict[tuple[str, str], set[str]] = {}
    for fact in found:
        values.setdefault(fact[:2], set()).add(fact.value)
    return [fact for fact in found if len(values[fact[:2]]) > 1]


def _described(run: Run) -> dict[tuple[str, str], str]:
    record = run.source.record
    identity = dict(record["identity"])
    arms = identity.pop("arms")
    network = {"network": run.source.config.network, "layers": _digest(json.dumps(identity.pop("network")))}
    identity |= {"dataset_digest": identity["dataset_digest"][:_SHORT]}
    identity |= {"arms": [arm["name"] for arm in arms]}
    identity |= {f"source of {arm['name']}": arm["source"][:_SHORT] for arm in arms if arm["source"]}
    parts = {
        "identity": identity | network,
        "environment": _environment([record["environment"], *record["other_environments"]]),
        "decided": {name: record[name] for name in ("chunk", "threads")}
        | {"trained together": _together(record["groups"])},
    }
    return {(part, name): text for part, fields in parts.items() for name, text in _flat(fields).items()}


def _digest(text: str) -> str:
    return sha256(text.encode(errors="backslashreplace"))[:_SHORT]


def _environment(found: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The versions under which a run was computed: more than one where it was continued under another."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: list(dict.fromkeys(one[name] for one in found if name in one)) for name in names}


def _together(groups: Sequence[Mapping[str, Any]]) -> str:
    """The number of networks trained together: one for all groups, or one for each where they differ."""
    numbers = {Group(one["sparsity"], one["first"], one["end"]): one["trained_together"] for one in groups}
    if len(set(numbers.values())) == 1:
        return str(groups[0]["trained_together"])
    return ", ".join(f"{number} at {group}" for group, number in numbers.items())


def _flat(fields: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """The leaves of nested fields as texts, by their path."""
    leaves: dict[str, str] = {}
    for name, value in fields.items():
        inner = isinstance(value, dict) and value
        leaves |= _flat(value, f"{before}{name}.") if inner else {f"{before}{name}": _text(value)}
    return leaves


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_text, value)) or "none"
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def costs(runs: Sequence[Run]) -> list[Cost]:
    """What each run cost as far as it is done: networks and multiply-adds, counted; and seconds, measured."""
    return [Cost(what, run.name, value) for run in runs for what, value in _costs(run).items()]


def _costs(run: Run) -> dict[str, float]:
    ledger, timings = cost_rows(run.source.ledger, by_sparsity=False), run.source.timings
    found: dict[str, float] = {"networks": len(run.source.results)}
    for phase in (CHOOSE, TRAIN, EVALUATE):
        found[f"computed multiply-adds, {phase}"] = sum(
            row.computed_multiply_adds for row in ledger if row.phase == phase
        )
    for row in ledger:
        if row.phase == CHOOSE and row.computed_multiply_adds and row.share_of_training > 0:
            found[f"choosing as a share of training, {row.arm}"] = row.share_of_training
    found["wall time (s)"] = sum(row.seconds for row in timings)
    compiling = [row.compile_seconds for row in timings if row.compile_seconds is not None]
    if compiling:
        found["of it compilation (s)"] = sum(compiling)
    return found
