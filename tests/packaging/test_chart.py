"""The README's bar chart shows what the results record."""

import struct
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from benchmarks.chart import charts, milliseconds
from benchmarks.section import number

FOLDER = Path(__file__).parents[2] / "benchmarks"
RECORDED = (FOLDER / "RESULTS.md").read_text(encoding="utf-8")
NAMES = ("search-mlp-bars.png", "search-mlp-bars-dark.png")


def description(png: bytes) -> str:
    """The text that a PNG carries under "Description"."""
    at = 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        content = png[at + 8 : at + 8 + length]
        if kind in (b"tEXt", b"iTXt") and content.startswith(b"Description\0"):
            return content.split(b"\0")[-1].decode()
        at += 12 + length
    raise AssertionError("the image has no description")


@pytest.mark.parametrize("name", NAMES)
def test_the_chart_in_the_tree_is_of_the_recorded_figures(name: str) -> None:
    wanted = "; ".join(f"{who}: {number(took)}" for who, took in milliseconds(RECORDED).items())
    assert description((FOLDER / name).read_bytes()) == wanted, "run python -m benchmarks.chart"


def test_every_competitor_of_the_table_is_read_and_the_limit_is_not() -> None:
    table = """\
Milliseconds a candidate:

|  | η = 0.5 | η = 0.8 |
| --- | ---: | ---: |
| PyTorch loop | 21.8 | 1,021.4 |
| weedout jax | 3.73 | 0.761 |
| arithmetic limit | 3.10 | 0.564 |

How many times faster, and how many times the limit's time:
"""
    assert list(milliseconds(table).items()) == [("weedout jax", 0.761), ("PyTorch loop", 1021.4)]
    assert {name: description(image) for name, image in charts(table).items()} == dict.fromkeys(
        NAMES, "weedout jax: 0.761; PyTorch loop: 1,021"
    )


def test_results_without_the_table_are_refused() -> None:
    with pytest.raises(ValueError, match="Run python -m benchmarks search-mlp"):
        milliseconds("# What it costs\n")
