"""Backends for the tests: what is not installed is skipped and says so, and what is required must be there."""

import os
from typing import Any

import pytest

from weedout_core import load_backend
from weedout_core.backend import Backend
from weedout_core.errors import BackendNotInstalledError

REQUIRED = [name for name in os.environ.get("WEEDOUT_REQUIRE", "").split(",") if name]


def imported(package: str, backend: str) -> Any:
    """A package, or a skip that says why it is not here; a failure where WEEDOUT_REQUIRE names its backend."""
    try:
        return pytest.importorskip(package, reason=f"{package} is not installed: pip install 'weedout-core[{backend}]'")
    except pytest.skip.Exception as absent:
        if backend in REQUIRED:
            pytest.fail(f"WEEDOUT_REQUIRE names {backend!r}, but {absent}")
        raise


def connected(name: str, **options: Any) -> Backend:
    """The backend, or a skip that says why it is not here; a failure where WEEDOUT_REQUIRE names it."""
    try:
        return load_backend(name, **options)
    except BackendNotInstalledError as error:
        if name in REQUIRED:
            pytest.fail(f"WEEDOUT_REQUIRE names {name!r}, but {error}")
        pytest.skip(str(error))
