"""What was found on one device, as a section of RESULTS.md."""

from collections.abc import Mapping, Sequence

from benchmarks import section
from benchmarks.accelerator.records import Record
from benchmarks.accelerator.steps import STEPS
from benchmarks.section import Section, number

_LOOP = "PyTorch loop"

_HOW = (
    "Written by `python -m benchmarks accelerator` (see ACCELERATOR.md). Each framework of each step ran in a process "
    "of its own; times are from the call until its result is there, medians of as many calls as a second holds, the "
    "first call, with whatever is compiled at it, apart. Before any time was taken, everybody's fitness of the first "
    "candidates was that of a plain PyTorch loop on the CPU (within 1e-4 in full precision, within 2^-11 a weight "
    "layer in the device's own), and everybody's float32 losses those of an epoch on the CPU within 0.1 %. Beside each "
    "time stand the least that the products take (their multiply-adds at the speed of one large product, in the same "
    "precision, in the same process) and the least that memory takes (inputs, outputs and weights of each weight layer "
    'moved once, at the speed of an array that is read and written). "highest" is float32, "default" what the device '
    "makes of float32 operands at full speed."
)


def report(machine: Mapping[str, str], records: Sequence[Record]) -> Section:
    """The section of a device."""
    wrong = [record for record in records if record.wrong]
    found = [f"Wrong, or failed ({len(wrong)}):", "", *(f"- {_wrong(record)}" for record in wrong)]
    parts = [_HOW, machine["description"], "\n".join(found) if wrong else "Nothing was wrong, and nothing failed."]
    for name, step in STEPS.items():
        if mine := [record for record in records if record.step == name]:
            parts += [f"### {step.title}", *_tables(mine)]
            if lines := [f"- {record.row}" for record in mine if not record.table]:
                parts.append("\n".join(lines))
    return Section(f"Accelerator: {machine['card']}", "\n\n".join(parts), {})


def _tables(records: Sequence[Record]) -> list[str]:
    """Each table once, with the rows that its processes found, those of one name side by side."""
    titles = dict.fromkeys(record.table for record in records if record.table)
    return [_table(title, [record for record in records if record.table == title]) for title in titles]


def _table(title: str, records: Sequence[Record]) -> str:
    rows: dict[str, dict[str, object]] = {}
    for record in records:
        rows.setdefault(record.row, {}).update(record.values)
    for name, values in rows.items():
        loop = rows.get(f"{_LOOP}, {name.rpartition(', ')[2]}", {}).get("ms")
        if isinstance(loop, float) and isinstance(values.get("ms"), float):
            values["times faster than the loop"] = loop / values["ms"]  # type: ignore[operator]
    columns = list(dict.fromkeys(column for values in rows.values() for column in values))
    text = [[name, *(_shown(values.get(column)) for column in columns)] for name, values in rows.items()]
    return section.table([title, *columns], text)


def _shown(value: object) -> str:
    """A cell; of what a check says its first line, the rest stands among what was wrong."""
    if value is None:
        return ""
    return number(value) if isinstance(value, int | float) else str(value).partition("\n")[0].replace("|", "\\|")


def _wrong(record: Record) -> str:
    said = "; ".join(str(value) for value in record.values.values() if isinstance(value, str))
    where = f"{record.table}, {record.row}" if record.table else record.row
    return f"{STEPS[record.step].title}, {record.part}: {where}{f': {said}' if said else ''}"
