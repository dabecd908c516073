"""Whatever is handed in to whatever is public gives a result, or one WeedoutError that names what was wrong."""

import traceback
from pathlib import Path
from random import Random
from typing import Any

import pytest

import weedout_core as wc
from tests.conformance import fuzzed
from tests.conformance.connected import connected
from weedout_core._guard.showing import shown

BACKENDS = ("numpy", "jax", "torch")
FACES = {"wc": wc, **{name: getattr(wc, name) for name in ("nn", "random", "ask_tell", "backend", "scores")}}


def calls(name: str) -> dict[str, fuzzed.Call]:
    backend = connected(name)
    return fuzzed.library(backend) | {f"Backend.{method}": call for method, call in fuzzed.methods(backend).items()}


def test_every_public_function_is_called() -> None:
    named = {f"{face}.{name}" for face, module in FACES.items() for name in fuzzed.functions(module)}
    assert set(fuzzed.library(wc.load_backend("numpy"))) == named


def test_every_method_of_a_backend_is_called() -> None:
    given = {name for name in dir(wc.backend.Backend) if not name.startswith("_")}
    callables = {name for name in given if callable(getattr(wc.backend.Backend, name))}
    backend = wc.load_backend("jax")
    callables |= {name for name in vars(backend) if callable(getattr(backend, name))}
    assert set(fuzzed.methods(backend)) == callables - {"adopt", "compile_seconds", "compiled_memory", "fence"}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.usefixtures("unchecked")
def test_the_calls_work_as_they_are(name: str) -> None:
    for call in calls(name).values():
        call.function(**call.given)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.usefixtures("unchecked")
def test_anything_handed_in_gives_a_result_or_one_error(name: str, request: pytest.FixtureRequest) -> None:
    every = [(which, argument) for which, call in calls(name).items() for argument in call.given]
    made, values = calls(name), fuzzed.values()
    found: dict[str, str] = {}
    for number in range((request.config.option.fuzz or 500) // len(BACKENDS)):
        random = Random(f"{name} {number}")
        (which, argument), other = random.choice(every), random.choice(values)
        if fault := fault_of(made[which], argument, other, random):
            found.setdefault(f"{which}({argument}) with {shown(other)}", f"{fault} (number {number})")
    assert not found, f"{len(found)}:\n" + "\n".join(f"{call}: {fault}" for call, fault in found.items())


def fault_of(call: fuzzed.Call, argument: str, other: Any, random: Random) -> str | None:
    """What a call with another value in it raises beside errors of this library, or None."""
    try:
        call.function(**{**call.given, argument: fuzzed.spoilt(call.given[argument], other, random)})
    except wc.WeedoutError as error:
        return None if str(error) else f"{type(error).__name__} says nothing"
    except wc.WeedoutWarning:
        return None
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {str(error)[:150]}"
    return None
