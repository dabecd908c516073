"""Every backend that is here does what the reference does: the kit, check by check."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import settings

from tests.conformance.connected import REQUIRED, connected
from weedout_core import load_backend
from weedout_core.testing import CHECKS
from weedout_core.testing.tolerances import CHECKED, DEVIATIONS, TOLERANCES

BACKENDS = ("numpy", "jax", "torch", "torch_xla")


#: Of the kit on backends that compile, the checks that are not slow: one of each kind, with few programs.
QUICK = {
    ("jax", "random_bits"), ("jax", "apply_agrees"), ("jax", "predict_compacted"), ("jax", "bfloat16_step_agrees"),
    ("torch_xla", "signatures"), ("torch_xla", "apply_agrees"),
}  # fmt: skip


#: What is tried at a release alone (RELEASING.md): PyTorch/XLA compiles dozens of programs for each of these, of code
#: that PyTorch runs in the same checks.
AT_A_RELEASE = {("torch_xla", "coinciding_sizes"), ("torch_xla", "large_epochs")}


def test_required_backends_are_known() -> None:
    assert set(REQUIRED) <= set(BACKENDS), f"WEEDOUT_REQUIRE={','.join(REQUIRED)} names a backend no test knows"


def cases(deviations: Mapping[tuple[str, str], str]) -> list[Any]:
    """Every backend with every check; those that are known to be different must fail."""
    found: list[Any] = []
    for name, check in (case for case in product(BACKENDS, CHECKS) if case not in AT_A_RELEASE):
        marks = [pytest.mark.quick] if (name, check) in QUICK else []
        if (name, check) in deviations:
            marks.append(pytest.mark.xfail(reason=deviations[name, check], strict=True))
        found.append(pytest.param(name, check, marks=marks))
    return found


def test_a_deviation_must_fail() -> None:
    marked = [(case, mark) for case in cases({("jax", "pure"): "why"}) for mark in case.marks if mark.name != "quick"]
    assert [(case.values, mark.name, mark.kwargs) for case, mark in marked] == [
        (("jax", "pure"), "xfail", {"reason": "why", "strict": True})
    ]


def test_deviations_are_of_known_backends_and_checks() -> None:
    assert {case.values for case in cases({})} >= set(DEVIATIONS), f"{dict(DEVIATIONS)}"


def test_every_check_has_its_bounds_in_the_table() -> None:
    assert set(CHECKED) == set(CHECKS)
    assert {entry for entries in CHECKED.values() for entry in entries} == set(TOLERANCES)


@pytest.fixture
def _examples(name: str) -> Iterator[None]:
    """PyTorch/XLA runs the code of PyTorch, where each two options meet: on it, each comes once, until a release."""
    before = settings.get_current_profile_name()
    if name == "torch_xla":
        settings.register_profile("few", settings.get_profile(before), max_examples=10)
        settings.load_profile("few")
    yield
    settings.load_profile(before)


@pytest.mark.parametrize(("name", "check"), cases(DEVIATIONS))
@pytest.mark.usefixtures("_examples")
def test_conforms(name: str, check: str) -> None:
    CHECKS[check](connected(name), load_backend("numpy"))
