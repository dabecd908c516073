"""The reference as a backend: its record, its arrays, its errors, and its independence from the core."""

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import UnionType

import numpy as np
import pytest

import weedout_core
import weedout_numpy
from weedout_core import load_backend
from weedout_core._contract import record as contract
from weedout_core.errors import BackendError
from weedout_numpy import connect

FUNCTIONS = {
    "random_bits": contract.RandomBits,
    "keep_smallest": contract.KeepSmallest,
    "masks_from_keys": contract.MasksFromKeys,
    "draw_parameters": contract.DrawParameters,
    "score_population": contract.ScorePopulation,
    "predict": contract.Predict,
    "train_init": contract.TrainInit,
    "train_epoch": contract.TrainEpoch,
}


def test_load_backend_finds_the_reference() -> None:
    backend = load_backend("numpy")
    assert (backend.name, backend.device, backend.devices) == ("numpy", "cpu", 1)
    assert connect(device="cpu").device == "cpu"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_are_those_of_the_contract(name: str) -> None:
    wanted = list(inspect.signature(FUNCTIONS[name].__call__).parameters)[1:]
    assert list(inspect.signature(getattr(connect(), name)).parameters) == wanted, f"{name} must take {wanted}"


@pytest.mark.parametrize("device", ["gpu", "tpu", ""])
def test_another_device_is_refused(device: str) -> None:
    with pytest.raises(BackendError, match=rf'runs on device "cpu" only; got {device!r}\. Use device=None'):
        connect(device=device)


@pytest.mark.parametrize("devices", [0, 2])
def test_more_devices_are_refused(devices: int) -> None:
    with pytest.raises(BackendError, match=rf"runs on 1 device; got devices={devices}\. Use devices=1"):
        connect(devices=devices)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float32, np.float64),
        (np.float64, np.float64),
        (np.int64, np.int32),
        (np.uint8, np.int32),
        (np.int32, np.int32),
        (np.uint32, np.uint32),
        (np.bool_, np.bool_),
    ],
)
def test_arrays_take_the_dtypes_of_the_reference(given: type, expected: type) -> None:
    backend = connect()
    array = np.ones(3, dtype=given)
    array.setflags(write=False)
    assert backend.asarray(array).dtype == expected
    np.testing.assert_array_equal(backend.to_numpy(backend.asarray(array)), array, "there and back")


def test_words_of_the_stream_come_back_as_uint32() -> None:
    backend = connect()
    assert backend.to_numpy(backend.random_bits(weedout_core.key(0), 3)).dtype == np.uint32


#: What reads the arrays that are handed in, of any framework; and what tells how a function of the user's failed.
READERS = {"host_array", "host_view", "own_failure", "shown"}


def test_only_data_types_are_taken_from_the_core() -> None:
    """Agreement with the core means something only if nothing of its mathematics is called here."""
    for file in Path(weedout_numpy.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("weedout_core") for name in node.names), file.name
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("weedout_core"):
                public = ["weedout_core", *(f"weedout_core.{name}" for name in ("nn", "random", "backend", "errors"))]
                assert node.module in public, f"{file.name} reaches into {node.module}"
                for name in node.names:
                    taken = getattr(import_module(str(node.module)), name.name)
                    harmless = isinstance(taken, type | UnionType) or name.name in READERS
                    assert harmless, f"{file.name} takes {name.name}, which is no data type"
