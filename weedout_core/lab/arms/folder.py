"""Masks that were made elsewhere: an arm that reads them from a folder of safetensors files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from weedout_core import key, masks_from_scores
from weedout_core.backend import MaskPlan
from weedout_core.errors import ConfigError, MaskError
from weedout_core.lab.arms.starts import are_scores, check_masks, start_of
from weedout_core.lab.experiment.arms import Arm, Start, Task
from weedout_core.lab.experiment.names import named
from weedout_core.lab.files import read_file, sha256


def from_folder(folder: Path, plans: Mapping[float, MaskPlan], repeats: int) -> Arm:
    """The arm of a folder with a file for each sparsity and repeat, ``sparsity-0.8-repeat-0.safetensors``.

    A file holds masks {site: bool ``shape``}, or scores {site: float ``shape``}. The arm is called as the folder is.

    Args:
        folder: the folder.
        plans: how many nodes each site keeps, for each sparsity.
        repeats: how many there are; they are counted from 0.
    Raises:
        ConfigError: a file is missing, or is not a safetensors file.
        MaskError: a file does not fit the network or the sparsity; it is named.
    """
    cells = [(sparsity, repeat) for sparsity in plans for repeat in range(repeats)]
    files = {cell: folder / f"sparsity-{named(cell[0])}-repeat-{cell[1]}.safetensors" for cell in cells}
    if missing := [path for path in files.values() if not path.is_file()]:
        raise ConfigError(
            f"masks must have a file for each sparsity and each of the {repeats} repeats; {len(missing)} of "
            f"{len(files)} are missing, first {missing[0]}. Write it, or ask for fewer --repeats."
        )
    contents = {cell: read_file(path) for cell, path in files.items()}
    arrays = {cell: _read(contents[cell], files[cell], plans[cell[0]]) for cell in cells}

    def choose(task: Task) -> Start:
        return start_of(arrays[task.sparsity, task.repeat], task)

    return Arm(folder.resolve().name, choose, source=sha256(*contents.values()))


def _read(content: bytes, path: Path, plan: MaskPlan) -> Mapping[str, np.ndarray]:
    """The arrays of a file, which fit a plan."""
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} must be a safetensors file of masks or scores ({error}).") from error
    try:
        if are_scores(arrays):
            masks_from_scores(arrays, plan, key(0))
        else:
            check_masks(arrays, plan)
    except MaskError as error:
        raise MaskError(f"{path}: {error}") from error
    return arrays
