"""Masks that were made elsewhere: an arm that reads them from a folder of safetensors files."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
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
from weedout_core.lab.files import read_file, real, sha256

_SUFFIX = ".safetensors"


def from_folder(folder: Path, plans: Mapping[float, MaskPlan], repeats: int) -> Arm:
    """The arm of a folder with a file for each sparsity and repeat, ``sparsity-0.8-repeat-0.safetensors``.

    A file holds masks {site: bool ``shape``}, or scores {site: float ``shape``}. Files of other sparsities and repeats
    are left alone, and so is what has another suffix.

    Args:
        folder: the folder. The arm is called as it is, with an underscore for each character that a name of Python
            cannot have, and before a digit at the beginning.
        plans: how many nodes each site keeps, for each sparsity.
        repeats: how many there are; they are counted from 0.
    Raises:
        ConfigError: there is no such folder, a file is missing, has another name, or is not a safetensors file.
        MaskError: a file does not fit the network or the sparsity; it is named.
    """
    cells = [(sparsity, repeat) for sparsity in plans for repeat in range(repeats)]
    files = {cell: folder / _named(*cell) for cell in cells}
    _check_files(folder, files.values(), repeats)
    contents = {cell: read_file(path) for cell, path in files.items()}
    arrays = {cell: _read(contents[cell], files[cell], plans[cell[0]]) for cell in cells}

    name = "".join(one if f"_{one}".isidentifier() else "_" for one in real(folder).name)
    choose, digest = partial(_chosen_from, arrays), sha256(*contents.values())
    return Arm(name if name.isidentifier() else f"_{name}", choose, source=digest, files=True)


def _chosen_from(arrays: Mapping[tuple[float, int], Mapping[str, np.ndarray]], task: Task) -> Start:
    return start_of(arrays[task.sparsity, task.repeat], task)


def _named(sparsity: float, repeat: int) -> str:
    return f"sparsity-{named(sparsity)}-repeat-{repeat}{_SUFFIX}"


def _check_files(folder: Path, wanted: Iterable[Path], repeats: int) -> None:
    """Raise ConfigError unless a folder has the files that are wanted, and no file of masks under another name."""
    try:
        found = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    except OSError as error:
        raise ConfigError(
            f"masks must be in a folder; {folder} cannot be read: {error.strerror}. Name the folder that has a file "
            "for each sparsity and repeat."
        ) from error
    needed = [path.name for path in wanted]
    for name in found:
        if name.lower().endswith(_SUFFIX) and name != (right := _right(name) or needed[0]):
            raise ConfigError(
                f"files of masks must be named by sparsity and repeat, such as {right}; {folder} has {name}. Rename "
                "it, or move it to another folder."
            )
    if missing := [name for name in needed if name not in found]:
        others = [name for name in found if name not in needed]
        raise ConfigError(
            f"masks must have a file for each sparsity and each of the {repeats} repeats; {len(missing)} of "
            f"{len(needed)} {'is' if len(missing) == 1 else 'are'} missing, first {folder / missing[0]}"
            f"{f', and the folder has {others[0]}' if others else ''}. Write it, or ask for fewer --repeats."
        )


def _right(name: str) -> str | None:
    """The name that a file should have by the sparsity and the repeat in its own; None if it has none."""
    if (parts := re.fullmatch(r"sparsity-(\d*\.?\d+(?:e-?\d+)?)-repeat-(\d+)\.\w+", name, re.IGNORECASE)) is None:
        return None
    return _named(float(parts[1]), int(parts[2]))


def _read(content: bytes, path: Path, plan: MaskPlan) -> Mapping[str, np.ndarray]:
    """The arrays of a file, which fit a plan."""
    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} must be a safetensors file of masks or scores ({error.args[0]}). Write it again with "
            "safetensors.numpy.save_file, masks as booleans and scores as float32."
        ) from error
    try:
        if are_scores(arrays):
            masks_from_scores(arrays, plan, key(0))
        else:
            check_masks(arrays, plan)
    except MaskError as error:
        raise MaskError(f"{path}: {error}") from error
    return arrays
