"""The body of mutants is whole, and each of them is wrong."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.connected import connected
from tests.mutants.body import GROUPS
from tests.mutants.everyone import MUTANTS
from tests.mutants.page import page
from tests.mutants.tried import is_wrong, processes
from weedout_core.testing import CHECKS

ALL = [mutant for group in GROUPS for mutant in group.mutants]


def test_names_are_unique_and_every_cause_has_mutants() -> None:
    assert [name for name, times in Counter(mutant.name for mutant in ALL).items() if times > 1] == []
    assert len(MUTANTS) >= 150
    assert all(mutant.reason for mutant in ALL)


def test_the_edited_lines_are_still_those_of_the_backends() -> None:
    for mutant in ALL:
        mutant.check_edits()


def test_the_signatures_are_not_what_is_wrong() -> None:
    for mutant in ALL:
        if mutant.backend == "numpy" and not mutant.edits:
            CHECKS["signatures"](mutant.make(), mutant.right())


def _cases() -> Iterator[Any]:
    """Those of NumPy by name; slow but for two of each group."""
    for group in GROUPS:
        for number, mutant in enumerate(group.mutants):
            if mutant.backend == "numpy":
                yield pytest.param(mutant.name, marks=[] if number < 2 else pytest.mark.slow)


@pytest.mark.parametrize("name", list(_cases()))
def test_each_mutant_is_wrong(name: str) -> None:
    assert is_wrong(name)


@pytest.mark.slow
def test_mutants_of_jax_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth, in processes of their own, which see eight devices."""
    connected("jax")
    monkeypatch.setenv("XLA_FLAGS", "")
    names = [mutant.name for mutant in ALL if mutant.backend == "jax"][::5]
    with processes(2) as pool:
        assert [name for name, wrong in zip(names, pool.map(is_wrong, names), strict=True) if not wrong] == []


def test_the_page_names_what_is_missed_and_what_was_not_run() -> None:
    one, two, three = ALL[:3]
    failed = {one.name: {"failed": {"a": "", "b": "", "c": "", "d": ""}}, two.name: {"failed": {}}}
    text = page([one, two, three], failed)
    assert f"1 of 2 are caught. Missed: `{two.name}`." in text
    assert "1 more were not run." in text
    assert f"| {one.group} | 1 of 2 |" in text
    assert f"| {one.function} | 1 of 2 |" in text
    assert f"| {one.name} |" in text
    assert f"| {three.name} |" not in text
    assert "| a, b, c and 1 more |" in text
