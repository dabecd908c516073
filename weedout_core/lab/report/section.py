"""The parts of a report: sections with paragraphs, figures, tables, and the files that hold the same numbers."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from weedout_core.lab.report.drawing import Drawing


class Table(NamedTuple):
    """A table of texts. The first column heads its row; ``left`` names the other columns that hold words."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()


class Section(NamedTuple):
    """A section of a report.

    Attributes:
        anchor, title: of its heading.
        text: its paragraphs.
        items: a list of sentences below the paragraphs.
        drawings, tables: below that, in order.
        files: the content of CSV files by name, which the section links to.
        own: the names of tables of the run that the section links to.
        links: to other pages, the address of each by its text.
    """

    anchor: str
    title: str
    text: Sequence[str] = ()
    items: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()
    files: Mapping[str, bytes] = {}
    own: Sequence[str] = ()
    links: Mapping[str, str] = {}


def as_csv(rows: Sequence[Any]) -> bytes:
    """Named tuples of one kind, at least one, as CSV with a header. What is None or NaN is an empty field."""
    return csv_of(rows[0]._fields, rows)


def csv_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Rows as CSV with a header. What is None or NaN is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow("" if isinstance(value, float) and math.isnan(value) else value for value in row)
    return text.getvalue().encode(errors="backslashreplace")
