"""A network and its arrays in a safetensors file, with the network as JSON in its header: the only file of the core."""

import json
import os
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

from weedout_core._networks.as_json import network_from_json, network_to_json
from weedout_core._networks.network import Network
from weedout_core._phases.digests import digest
from weedout_core.errors import ConfigError, RunError

Tree = Mapping[str, np.ndarray]

_FORMAT = "weedout subnetwork 1"


def write(path: Path, net: Network, trees: Mapping[str, Tree]) -> None:
    """Write a network and trees of arrays, by their names. The file is written whole or not at all.

    Raises:
        RunError: the file cannot be written.
    """
    with _needed():
        from safetensors.numpy import save  # here and below: nothing else of the core needs it

    # The format needs arrays row by row. ascontiguousarray would give an array without axes one.
    arrays = {
        f"{name}/{key}": np.asarray(value, order="C") for name, tree in trees.items() for key, value in tree.items()
    }
    facts = {"network": network_to_json(net), "trees": list(trees), "sha256": digest(arrays)}
    _write(path, save(arrays, {"format": _FORMAT, "subnetwork": json.dumps(facts)}))


def read(path: Path) -> tuple[Network, dict[str, Tree]]:
    """Read what :func:`write` wrote; nothing is unpickled.

    Raises:
        RunError: the file cannot be read, or is not what was written.
    """
    header, arrays = _read(path)
    if header.get("format") != _FORMAT:
        raise RunError(f'{path} must hold a subnetwork of the format "{_FORMAT}"; got {header.get("format")!r}.')
    try:
        facts = json.loads(header["subnetwork"])
        net, names, expected = network_from_json(facts["network"]), list(facts["trees"]), facts["sha256"]
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged: its header describes no subnetwork ({error}).") from error
    if expected != digest(arrays):
        raise RunError(f"{path} is damaged: its arrays are not those that were written.")
    return net, {name: _tree(arrays, name) for name in names}


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    with _needed():
        from safetensors import SafetensorError, safe_open

    opened = cast(Any, safe_open)
    try:
        with opened(path, framework="numpy") as file:
            return dict(file.metadata() or {}), {key: file.get_tensor(key) for key in list(file.keys())}
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read as a subnetwork: {error}.") from error


@contextmanager
def _needed() -> Generator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise RunError(
            f"saving and loading networks needs {error.name}: pip install safetensors, or 'weedout-core[lab]'."
        ) from error


def _tree(arrays: Tree, name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}


def _write(path: Path, content: bytes) -> None:
    partial = path.parent / f"{path.name}.{uuid.uuid4().hex}.partial"  # another process may be writing to path too
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RunError(f"{path} cannot be written: {error.strerror}.") from error
