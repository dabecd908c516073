"""Every backend that is here does what the reference does: the kit, check by check."""

import os

import pytest

from weedout_core import Backend, BackendNotInstalledError, load_backend
from weedout_core.testing import CHECKS

BACKENDS = ("numpy", "jax", "torch", "torch_xla")
REQUIRED = [name for name in os.environ.get("WEEDOUT_REQUIRE", "").split(",") if name]


def connected(name: str) -> Backend:
    """The backend, or a skip that says why it is not here; a failure where WEEDOUT_REQUIRE names it."""
    try:
        return load_backend(name)
    except BackendNotInstalledError as error:
        if name in REQUIRED:
            pytest.fail(f"WEEDOUT_REQUIRE names {name!r}, but {error}")
        pytest.skip(str(error))


def test_required_backends_are_known() -> None:
    assert set(REQUIRED) <= set(BACKENDS), f"WEEDOUT_REQUIRE={','.join(REQUIRED)} names a backend no test knows"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", BACKENDS)
def test_conforms(name: str, check: str) -> None:
    CHECKS[check](connected(name), load_backend("numpy"))
