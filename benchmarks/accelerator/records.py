"""What the processes of the steps find, as lines of JSON in a file: whatever cuts a process loses no line."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Record:
    """One thing that was found.

    Attributes:
        step, part: who found it.
        table: the table in which it is a row; empty: a line of text.
        row: the row's name, or the line.
        values: {column: number or text}; a column named "ms" is a time, against which others are held.
        wrong: whether it is an answer that should have been another.
    """

    step: str
    part: str
    table: str
    row: str
    values: Mapping[str, Any] = field(default_factory=dict)
    wrong: bool = False


class Notebook:
    """Where a process writes what it finds, a line a record, each on the disk before the next thing is begun."""

    def __init__(self, path: Path, step: str, part: str) -> None:
        self._path, self._step, self._part = path, step, part

    def row(self, table: str, row: str, values: Mapping[str, Any], wrong: bool = False) -> None:
        """A row of a table."""
        self._write(Record(self._step, self._part, table, row, values, wrong))

    def line(self, text: str, wrong: bool = False) -> None:
        """A line of text."""
        self._write(Record(self._step, self._part, "", text, {}, wrong))

    def _write(self, record: Record) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record)) + "\n")


def read(path: Path) -> list[Record]:
    """The records of a file; a line that was cut off is left out, and a file that is not there has none."""
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [Record(**json.loads(line)) for line in whole.splitlines()]


def save(path: Path, machine: Mapping[str, str], records: Sequence[Record]) -> None:
    """All of it as one JSON, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    content = {"machine": dict(machine), "records": [asdict(record) for record in records]}
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


def load(path: Path) -> tuple[dict[str, str], list[Record]]:
    """The machine and the records that ``save`` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["machine"], [Record(**record) for record in content["records"]]
