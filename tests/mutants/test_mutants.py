"""The body of mutants is whole, and each of them is wrong."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.mutants.body import GROUPS, Mutant
from tests.mutants.everyone import MUTANTS
from tests.mutants.page import page
from tests.mutants.witnesses import differ

ALL = [mutant for group in GROUPS for mutant in group.mutants]


def test_names_are_unique_and_every_cause_has_mutants() -> None:
    assert [name for name, times in Counter(mutant.name for mutant in ALL).items() if times > 1] == []
    assert len(MUTANTS) >= 130
    assert all(mutant.reason for mutant in ALL)


def test_the_edited_lines_are_still_those_of_the_backends() -> None:
    for mutant in ALL:
        mutant.check_edits()


def _cases() -> Iterator[Any]:
    """All by name; slow but for two of each group, unless their backend compiles."""
    for group in GROUPS:
        for number, mutant in enumerate(group.mutants):
            quick = number < 2 and group.backend == "numpy"
            yield pytest.param(mutant, id=mutant.name, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize("mutant", list(_cases()))
def test_each_mutant_is_wrong(mutant: Mutant) -> None:
    """It answers its witness otherwise than the backend that it is made of, or not at all."""
    right = mutant.right()
    wanted = mutant.witness(right)
    try:
        given = mutant.witness(mutant.make())
    except Exception:  # whatever it is: the right one answers
        return
    assert differ(right, given, wanted)


def test_the_page_names_what_is_missed_and_what_was_not_run() -> None:
    one, two, three = ALL[:3]
    failed = {one.name: {"failed": {"a": "", "b": "", "c": "", "d": ""}}, two.name: {"failed": {}}}
    text = page([one, two, three], failed)
    assert f"1 of 2 are caught. Missed: `{two.name}`." in text
    assert "1 more were not run." in text
    assert f"| {one.name} |" in text
    assert "| a, b, c and 1 more |" in text
