"""Putting arrays into a module, which becomes smaller if they are."""

from typing import Any

import torch

from weedout_torch.devices import Tensor


def put(module: torch.nn.Module, path: str, value: Tensor) -> None:
    """Put a parameter or buffer into a module: into the one that it has if that has its shape, as a new one if not.

    A module that says how many inputs and outputs it has then says how many it has now.
    """
    owner_path, _, name = path.rpartition(".")
    owner = module.get_submodule(owner_path)
    old: Tensor = getattr(owner, name)
    if old.shape == value.shape:
        with torch.no_grad():
            old.copy_(value)
        return
    new = value.to(old)
    setattr(owner, name, torch.nn.Parameter(new, old.requires_grad) if isinstance(old, torch.nn.Parameter) else new)
    if name == "weight":
        _resize(owner, new.shape)


def _resize(owner: Any, shape: torch.Size) -> None:
    match owner:
        case torch.nn.Linear():
            owner.out_features, owner.in_features = shape
        case torch.nn.Conv1d() | torch.nn.Conv2d() | torch.nn.Conv3d():
            if shape[1] == 1:  # of each channel by itself: a group has as many outputs as before
                owner.groups = shape[0] // (owner.out_channels // owner.groups)
            owner.out_channels, owner.in_channels = shape[0], shape[1] * owner.groups
        case torch.nn.modules.batchnorm._NormBase():
            owner.num_features = shape[0]
        case _:
            pass
