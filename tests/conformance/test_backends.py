"""Every backend that is here does what the reference does: the kit, check by check."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance.connected import REQUIRED, connected
from weedout_core import load_backend
from weedout_core.testing import CHECKS
from weedout_core.testing.tolerances import CHECKED, DEVIATIONS, TOLERANCES

BACKENDS = ("numpy", "jax", "torch", "torch_xla")


def test_required_backends_are_known() -> None:
    assert set(REQUIRED) <= set(BACKENDS), f"WEEDOUT_REQUIRE={','.join(REQUIRED)} names a backend no test knows"


def cases(deviations: Mapping[tuple[str, str], str]) -> list[Any]:
    """Every backend with every check; those that are known to be different must fail."""
    return [
        pytest.param(name, check, marks=[pytest.mark.xfail(reason=deviations[name, check], strict=True)])
        if (name, check) in deviations
        else pytest.param(name, check)
        for name in BACKENDS
        for check in CHECKS
    ]


def test_a_deviation_must_fail() -> None:
    (marked,) = [case for case in cases({("jax", "pure"): "why"}) if case.marks]
    assert marked.values == ("jax", "pure")
    assert [(mark.name, mark.kwargs) for mark in marked.marks] == [("xfail", {"reason": "why", "strict": True})]


def test_deviations_are_of_known_backends_and_checks() -> None:
    assert {case.values for case in cases({})} >= set(DEVIATIONS), f"{dict(DEVIATIONS)}"


def test_every_check_has_its_bounds_in_the_table() -> None:
    assert set(CHECKED) == set(CHECKS)
    assert {entry for entries in CHECKED.values() for entry in entries} == set(TOLERANCES)


@pytest.mark.parametrize(("name", "check"), cases(DEVIATIONS))
def test_conforms(name: str, check: str) -> None:
    CHECKS[check](connected(name), load_backend("numpy"))
