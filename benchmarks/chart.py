"""``python -m benchmarks.chart``: the README's bar chart, drawn from the figures that RESULTS.md records.

A run of the search benchmark draws it too, from the section it has just written.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import bars

_SPARSITY = "η = 0.8"
_TITLE = "Milliseconds to score one candidate (less is better)"
_TABLE = re.compile(r"^Milliseconds a candidate:\n\n\|(.*)\|\n\|.*\|\n((?:\|.*\|\n?)+)", re.MULTILINE)
_LIMIT = "arithmetic limit"


def milliseconds(text: str) -> dict[str, float]:
    """What each competitor takes for a candidate at η = 0.8, fastest first, read out of the section "Search, MLP"."""
    table = _TABLE.search(text)
    if table is None:
        raise ValueError('the results have no table "Milliseconds a candidate:". Run python -m benchmarks search-mlp.')
    column = [cell.strip() for cell in table[1].split("|")].index(_SPARSITY)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2].splitlines()]
    found = {row[0]: float(row[column].replace(",", "")) for row in rows if row[0] != _LIMIT}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def charts(text: str) -> Mapping[str, bytes]:
    """The chart for a light page and for a dark one, {file name: PNG}."""
    values = milliseconds(text)
    return {
        f"search-mlp-bars{'-dark' if dark else ''}.png": bars(_TITLE, values, ours="weedout ", dark=dark)
        for dark in (False, True)
    }


def main() -> None:
    folder = Path(__file__).parent
    for name, image in charts((folder / "RESULTS.md").read_text(encoding="utf-8")).items():
        (folder / name).write_bytes(image)
        print(folder / name)


if __name__ == "__main__":
    main()
