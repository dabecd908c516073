"""The sections on how a run was made: its choices, and its record."""

import math
from collections.abc import Mapping

from weedout_core import costs, mask_space
from weedout_core.lab.experiment.groups import Group, joined
from weedout_core.lab.report.section import Section, Table
from weedout_core.lab.report.sheet import settled, sheet
from weedout_core.lab.report.source import Source


def choices_section(source: Source) -> Section:
    """What the paper leaves open, and what this run did."""
    points = sheet(source.record["choices"], settled(source.config.network, source.net))
    changed = sum(bool(point.default) for point in points)
    rows = {point.row: [one for one in points if one.row == point.row] for point in points}
    table = Table(
        "Points that the paper leaves open",
        ("row and point", "what the paper says", "this run", "default, where this run differs"),
        [
            (
                f"{row} {', '.join(dict.fromkeys(point.point for point in found))}",
                found[0].said,
                "\n".join(f"{point.field} = {point.value}" for point in found),
                "\n".join(f"{point.field} = {point.default}" for point in found if point.default),
            )
            for row, found in rows.items()
        ],
        left=("what the paper says", "this run", "default, where this run differs"),
    )
    text = f"Rows are those of docs/choices.md. {changed} of {len(points)} fields differ from the default."
    tables = [_compared_on(source), table]
    return Section("choices", "The sheet of choices", (text,), tables=tables, own=["config.json"])


def _compared_on(source: Source) -> Table:
    """The architecture and the sizes of the splits, which names of a network and of a dataset leave open."""
    net, examples = source.net, source.examples
    nodes = {site: math.prod(shape) for site, shape in mask_space(net).items()}
    rows = [
        ("network", source.config.network),
        ("input", " × ".join(map(str, net.input_shape))),
        *((f"nodes at {site}", f"{count:,}") for site, count in nodes.items()),
        ("logits", str(net.classes)),
        ("parameters", f"{costs(net).parameters:,}"),
        *((f"{split} examples", f"{count:,}") for split, count in examples.items()),
        ("one test example is worth", f"{100 / examples['test']:.2g} points of accuracy"),
    ]
    return Table("Network and data", ("what", "size"), rows, left=("size",))


def record_section(source: Source) -> Section:
    """The command, the versions, the machine, the seed and the digests."""
    record, identity = source.record, source.record["identity"]
    rows = [
        ("command", record["command"]),
        ("digest of the run", record["digest"]),
        ("seed", str(identity["seed"])),
        ("dataset", identity["dataset"]),
        ("digest of the dataset", identity["dataset_digest"]),
        *((f"MD5 of {file}, which is not the published file", md5) for file, md5 in record["other_files"].items()),
        ("sampler version", str(identity["sampler_version"])),
        ("backend and devices", f"{identity['backend']}, {identity['devices']}"),
        ("groups done", f"{len(source.done)} of {len(source.planned)}"),
        ("groups missing", _missing(source) or "none"),
        *_environment("", record["environment"]),
        *(
            row
            for number, other in enumerate(record["other_environments"], 2)
            for row in _environment(f", environment {number}", other)
        ),
    ]
    table = Table("Record of the run", ("what", "value"), rows, left=("value",))
    return Section("record", "How it was made", tables=[table], own=["config.json"])


def _missing(source: Source) -> str:
    done = set(source.done)
    return joined(Group(*group) for group in source.planned if group not in done)


def _environment(suffix: str, found: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"{name}{suffix}", value) for name, value in found.items()]
