"""``import weedout_core``: exactly the public names, all documented, no framework, and quickly."""

import inspect
import json
import statistics
from pathlib import Path

import pytest

import weedout_core as wc
from tests.processes import run_python

ROOT = Path(__file__).parents[2]
#: What importing the core must not import, although all of it may be installed.
HEAVY = ["array_api_strict", "beartype", "filelock", "hypothesis", "jax", "jaxlib", "jaxtyping", "matplotlib", "optax"]
HEAVY += [
    "pytest",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "tyro",
    "weedout_jax",
    "weedout_numpy",
    "weedout_torch",
]


def python(code: str) -> str:
    return run_python("-c", code)


#: The library and its namespaces.
FACES = {"wc": wc, **{name: getattr(wc, name) for name in ("nn", "random", "ask_tell", "backend", "scores", "errors")}}


@pytest.mark.parametrize("face", FACES)
def test_all_is_exactly_the_public_names(face: str) -> None:
    module = FACES[face]
    inside = [name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)]
    assert sorted(module.__all__) == sorted(inside + [name for name in FACES if face == "wc" and name != "wc"])
    assert len(set(module.__all__)) == len(module.__all__), "no name twice"
    assert sorted(dir(module)) == sorted(module.__all__), "what a user sees who lists the names"


def test_the_names_that_a_user_meets_first_are_few() -> None:
    assert len(wc.__all__) <= 45


def test_namespaces_can_be_imported() -> None:
    names = ", ".join(f"weedout_core.{name}" for name in FACES if name != "wc")
    assert python(f"import {names}; print(weedout_core.nn.Dense.__name__)") == "Dense\n"


#: Data and types, which cannot have a docstring: a comment stands where each is defined.
CONSTANTS = {"CROP_MARGIN", "FITNESS", "SAMPLER_VERSION"}
CONSTANTS |= {"Array", "Granularity", "Key", "Keys", "Layer", "Masks", "Parameters", "Precision", "Products", "Units"}
CONSTANTS |= {"Sampling", "Shape", "Space", "Sparsity", "Specs", "Strategy"}


@pytest.mark.parametrize(
    ("face", "name"),
    [(face, name) for face, module in FACES.items() for name in sorted({*module.__all__} - CONSTANTS)],
)
def test_every_public_name_has_a_docstring(face: str, name: str) -> None:
    doc = inspect.getdoc(getattr(FACES[face], name)) or ""
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(f"{name}("), f"{name} has only the signature that dataclasses and NamedTuples write"
    assert doc.split("\n")[0].rstrip().endswith((".", ":")), f"{name}: the first line must be a sentence"


#: Public functions that look at what is handed in themselves: all they take is of any kind.
OWN_CHECKS = {"backend_names", "choices", "host_array", "host_view", "shown"}


def test_every_public_function_is_guarded() -> None:
    """In an interpreter without the tests' hooks, which wrap functions too."""
    code = f"""
import json, types, weedout_core as wc
faces = [wc, *(getattr(wc, name) for name in {[name for name in FACES if name != "wc"]})]
functions = [getattr(face, name) for face in faces for name in face.__all__]
functions = [one for one in functions if isinstance(one, types.FunctionType)]
print(json.dumps([one.__name__ for one in functions if not hasattr(one, "__wrapped__")]))
"""
    assert set(json.loads(python(code))) == OWN_CHECKS


def test_importing_the_core_imports_no_framework() -> None:
    code = f"""
import json, sys
from weedout_core import *
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    assert json.loads(python(code)) == []


def test_importing_the_core_takes_at_most_0_15_s_beyond_numpy() -> None:
    # Of the processor: what else runs on the machine is counted little. An import reads files that are in memory, and
    # bytecode, as on a user's machine, where it is written at the first import.
    code = """
import numpy, time
start = time.process_time()
from weedout_core import *
print(time.process_time() - start)
"""
    python(code)  # writes the bytecode
    seconds = statistics.median(float(python(code)) for _ in range(7))
    assert seconds <= 0.15, (
        f"importing weedout_core took {seconds:.3f} s; see python -X importtime -c 'import weedout_core'"
    )


def test_the_core_checks_shapes_where_jaxtyping_is_there_and_costs_nothing_where_it_is_not() -> None:
    key = "from weedout_core._random.annotations import Key; key = Key.__origin__"
    assert python(f"import jaxtyping; {key}; print(issubclass(key, jaxtyping.AbstractArray))") == "True\n"
    assert python(f"import numpy; {key}; print(key is numpy.ndarray)") == "True\n"
