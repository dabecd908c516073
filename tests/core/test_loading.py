"""How a backend is found, and what its absence says."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

import weedout_core as wc


def announce(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Pretend that an installed package announces a backend."""
    point = importlib.metadata.EntryPoint(name, value, "weedout_core.backends")
    points = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **params: points.select(**params))


def test_the_built_in_backends_are_known() -> None:
    assert {"numpy", "jax"} <= set(wc.backend_names())
    assert wc.backend_names() == sorted(wc.backend_names())


def test_a_backend_gets_its_own_options_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(wc.errors.BackendError, match=r"^the numpy backend takes no option 'engine'\. Leave it out\.$"):
        wc.load_backend("numpy", engine="map")
    numpy = sys.modules["weedout_numpy"]
    told: list[str] = []
    connect = numpy.connect

    def with_engine(device: str | None = None, devices: int = 1, engine: str = "") -> wc.backend.Backend:
        told.append(engine)
        return connect(device, devices)

    monkeypatch.setattr(numpy, "connect", with_engine)
    assert wc.load_backend("numpy", engine="loop").name == "numpy"
    assert told == ["loop"]


def test_an_unknown_backend_is_an_error_that_lists_the_known() -> None:
    known = ", ".join(wc.backend_names())
    with pytest.raises(wc.errors.BackendError) as caught:
        wc.load_backend("numpi")
    assert str(caught.value) == f"unknown backend 'numpi'; known are {known}."


def test_a_backend_that_cannot_be_imported_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weedout_jax", None)
    with pytest.raises(wc.errors.BackendNotInstalledError) as caught:
        wc.load_backend("jax")
    message = str(caught.value)
    assert message.startswith("backend 'jax' cannot be imported (")
    assert message.endswith("): pip install 'weedout-core[jax]'.")
    assert isinstance(caught.value, ImportError), "who catches ImportError catches this one"
    assert isinstance(caught.value.__cause__, ImportError), "the first cause stays visible"


def test_what_a_backend_imports_while_connecting_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "late", "weedout_numpy:no_such_module")
    monkeypatch.setattr("weedout_numpy.no_such_module", connect_without_its_framework, raising=False)
    with pytest.raises(
        wc.errors.BackendNotInstalledError, match=r"backend 'late' cannot be imported \(.*\): install what is missing\."
    ):
        wc.load_backend("late")


class Ending(BaseException):
    """No Exception, such as an interrupt of the user's: not for a library to report."""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            OSError("libcudart.so.12: cannot open shared object file"),
            "OSError: libcudart.so.12: cannot open shared .* f",
        ),
        (RuntimeError("first line.\nsecond line"), r"RuntimeError: first line\. "),
        (AttributeError("module 'numpy' has no attribute 'float_'"), "AttributeError: module 'numpy' has no attribute"),
        (AssertionError(), "AssertionError"),
        (SyntaxError("invalid syntax"), "SyntaxError: invalid syntax"),
        (TypeError("connect() got an unexpected keyword argument"), "TypeError: connect.. got an unexpected keyword"),
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.parametrize("when", ["imported", "connecting"])
def test_whatever_a_backend_raises_is_one_error(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, said: str, when: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    announce(monkeypatch, "mine", "weedout_numpy:failing")
    monkeypatch.setattr("weedout_numpy.failing", fail, raising=False)
    if when == "imported":
        monkeypatch.setattr(importlib.metadata.EntryPoint, "load", fail)
    with pytest.raises(wc.errors.BackendError, match=rf"^backend 'mine' cannot connect: {said}") as caught:
        wc.load_backend("mine")
    assert str(caught.value).endswith(". weedout doctor says which backends and devices there are.")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is raised, "the first cause stays visible"


def test_an_interrupt_while_a_backend_connects_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise Ending

    announce(monkeypatch, "mine", "weedout_numpy:failing")
    monkeypatch.setattr("weedout_numpy.failing", interrupt, raising=False)
    with pytest.raises(Ending):
        wc.load_backend("mine")


def test_what_connects_to_no_backend_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "mine", "builtins:dict")
    said = r"^the entry point of backend 'mine' must return a Backend; it returned \{'device': None, 'devices': 1\}\.$"
    with pytest.raises(wc.errors.BackendError, match=said):
        wc.load_backend("mine")


def connect_without_its_framework(device: str | None, devices: int) -> wc.backend.Backend:
    raise ImportError(f"no framework for {devices} of {device}")


def test_a_third_party_announces_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "mine", "weedout_numpy:connect")
    assert "mine" in wc.backend_names()
    assert wc.load_backend("mine").name == "numpy", "the entry point's function connects"


def test_a_third_party_cannot_take_the_place_of_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(monkeypatch, "numpy", "weedout_jax:connect")
    assert wc.load_backend("numpy").name == "numpy"


def test_a_backend_is_passed_through() -> None:
    backend = wc.load_backend("numpy")
    assert wc.load_backend(backend) is backend


@pytest.mark.slow
@pytest.mark.parametrize(("platforms", "device"), [("cuda", None), ("nonsense", None), ("nonsense", "cpu")])
def test_platforms_of_jax_that_are_not_here_are_named(platforms: str, device: str | None) -> None:
    load = f"import weedout_core as wc\ntry: wc.load_backend('jax', {device!r})\n"
    code = f"{load}except wc.errors.BackendError as error: print(error)"
    env = {**os.environ, "JAX_PLATFORMS": platforms, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"JAX has no device{' ' * bool(device)}{repr(device) * bool(device)} here (")
    assert ran.stdout.endswith(
        f"); JAX_PLATFORMS is {platforms!r}: unset it, or name a platform that is here, such as cpu.\n"
    )
