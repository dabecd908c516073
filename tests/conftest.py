"""What every test shares: the platform, run-time type checks, Hypothesis profiles."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Before anything imports JAX: the tests are about the numbers, which are the same on every device.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("PJRT_DEVICE", "CPU")  # PyTorch/XLA's word for it
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process that a test starts would compile the library anew
# What XLA's newer emitters make of a fusion of operations takes LLVM six times as long to compile.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
if "PYTEST_XDIST_WORKER" in os.environ:  # PyTorch's threads of several workers would wait for one another, spinning
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # PyTorch/XLA keeps its programs, of each of which Linux counts mappings of memory (see _few_programs).
    os.environ.setdefault("XLA_COMPILATION_CACHE_SIZE", "200")
    # XLA cuts a program into parts for as many threads to compile, which takes longer where there are no idle ones.
    os.environ["XLA_FLAGS"] += " --xla_cpu_parallel_codegen_split_count=1"

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

from tests.annotations import check_annotations

check_annotations("weedout_core")  # shapes and dtypes included

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

# The default: the same examples every time, so that a failure is the change's fault and not the draw's.
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=50, database=None, suppress_health_check=_SLOW_IS_FINE
)
# pytest --hypothesis-profile=large: more examples, drawn anew.
settings.register_profile("large", deadline=None, max_examples=1000, suppress_health_check=_SLOW_IS_FINE)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz", type=int, help="wrong calls of public functions, and wrong command lines, instead of some hundreds"
    )
    parser.addoption("--judgements", type=int, default=2, help="judgements of random masks in disguise")


def pytest_configure(config: pytest.Config) -> None:
    """JAX keeps its compiled programs in pytest's cache folder: a second run compiles few. --cache-clear removes them.

    Of the environment, so that the processes that tests start have them too. Small programs are kept as well: those
    that JAX makes of single operations are the same in many tests, and together take longer than the large ones.
    """
    if config.pluginmanager.hasplugin("cacheprovider"):
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax-programs")))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


_SOON = "JAX_DISABLE_MOST_OPTIMIZATIONS"

#: Backends each of whose programs takes XLA a second to compile.
COMPILED = frozenset({"jax", "torch_xla"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of a backend that compiles is slow, unless it is marked quick."""
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {}).values()
        compiles = any(isinstance(value, str) and value in COMPILED for value in given)
        if compiles and item.get_closest_marker("quick") is None:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """JAX optimises the programs of tests that are marked so: elsewhere it takes longer than to run them as they are.

    It holds for the processes that tests start, too. What was compiled in the other way is forgotten.
    """
    soon = item.get_closest_marker("optimised") is None
    if soon == (os.environ.get(_SOON) == "1"):
        return
    os.environ[_SOON] = str(int(soon))
    if "jax" in sys.modules:
        sys.modules["jax"].config.update(_SOON.lower(), soon)
        sys.modules["jax"].clear_caches()


@pytest.fixture
def unchecked() -> Iterator[None]:
    """For tests that hand in what only users without a type checker hand in: annotations are not checked."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


_MAPS, _MANY = Path("/proc/self/maps"), 40_000


@pytest.fixture(autouse=True)
def _few_programs() -> Iterator[None]:
    """Forget JAX's programs in time: each keeps mappings of memory, of which Linux gives a process 65,530.

    With one more the compiler aborts the process, whichever test it is at.
    """
    yield
    if "jax" in sys.modules and _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY:
        sys.modules["jax"].clear_caches()
