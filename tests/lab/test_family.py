"""Every value of every option of a search, in a whole run by ``weedout paper`` and ``weedout judge``."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.lab.family import FAMILY, Member
from tests.lab.family_runs import run

pytestmark = pytest.mark.filterwarnings("ignore::weedout_core.errors.WeedoutWarning")  # of a run so small


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def runs() -> Iterator[Any]:
    """Each member by both commands on both backends. Two of the four are quick, in which both of either are met."""
    for command, backend, member in product(("paper", "judge"), ("numpy", "torch"), FAMILY):
        quick = (command, backend) in {("paper", "numpy"), ("judge", "torch")}
        if (backend, member.field) != ("numpy", "precision"):  # the reference rounds nothing, and refuses it
            yield pytest.param(command, backend, member, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("command", "backend", "member"), [*runs()], ids=str)
def test_a_run_is_whole(command: str, backend: str, member: Member) -> None:
    run(command, backend, member)


@pytest.mark.parametrize("member", FAMILY, ids=str)
@pytest.mark.parametrize("backend", ["jax"])
def test_a_judgement_by_compiled_programs_is_whole(backend: str, member: Member) -> None:
    """A judgement searches, draws, trains and measures: what ``paper`` does beside that no backend computes."""
    pytest.importorskip("jax")
    run("judge", backend, member)
