"""The reference is a text: it has one order, every file has its place in it, and Algorithm 1 comes first."""

import ast
import inspect
import re
from pathlib import Path

import weedout_numpy
from weedout_numpy import algorithm1

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(weedout_numpy.__file__).parent


def listed_in_the_package() -> list[str]:
    """The files of the numbered list in the docstring of the package."""
    items: list[tuple[str, str]] = re.findall(
        r"^ *(\d+)\. +``(\w+)``", inspect.getdoc(weedout_numpy) or "", re.MULTILINE
    )
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1)), "numbered in order"
    return [name for _, name in items]


def listed_in_the_readme() -> list[str]:
    """The files in the second column of the table of its section."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, section = readme.split("## Algorithm 1 and the reference\n")
    section, *_ = section.split("\n## ")
    columns = re.findall(r"^\|[^|]*\|([^|]*)\|", section, re.MULTILINE)
    return [name for column in columns for name in re.findall(r"`(\w+)\.py`", column)]


def test_the_readme_and_the_package_list_the_same_files_in_the_same_order() -> None:
    assert listed_in_the_readme() == listed_in_the_package()


def test_every_file_has_its_place_and_algorithm_1_comes_first() -> None:
    order = listed_in_the_package()
    assert order[0] == "algorithm1"
    assert sorted(order) == sorted({path.stem for path in FOLDER.glob("*.py")} - {"__init__"})


def test_the_loop_and_its_comments_are_at_most_60_lines() -> None:
    lines, _ = inspect.getsourcelines(algorithm1.weedout)
    assert len(lines) <= 60


def test_the_lines_of_the_paper_stand_beside_the_loop_in_their_order() -> None:
    """Lines 3, 8 and 10 are the ends of its loops."""
    source = inspect.getsource(algorithm1.weedout)
    numbers = [int(number) for number in re.findall(r"^ *# (\d+) ", source, re.MULTILINE)]
    assert numbers == [1, 2, 4, 5, 6, 7, 9, 11, 12, 13]


def test_the_files_of_the_paper_come_before_those_that_it_does_not_have() -> None:
    """A file says so in its first paragraphs: it names a line of Algorithm 1, a section, or what it adds."""
    order = listed_in_the_package()
    beyond = order.index("choices")
    for place, name in enumerate(order):
        doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))) or ""
        added = "Not in the paper" in doc or "Algorithm 1 does not need this file" in doc
        assert added == (place >= beyond), f"{name}.py stands in the wrong part"
