"""Putting arrays into a module, which becomes smaller if they are."""

from typing import Any

import torch

from weedout_torch.devices import Tensor


def put(module: torch.nn.Module, path: str, value: Tensor) -> None:
    """Put a parameter or buffer into a module: into the one that it has if that has its shape, as a new one if not.

    Modules that say how many inputs and outputs they have then say how many they have now.
    """
    old = _get(module, path)
    if old.shape == value.shape:
        with torch.no_grad():
            old.copy_(value)
        return
    new = value.to(old)
    new = torch.nn.Parameter(new, old.requires_grad) if isinstance(old, torch.nn.Parameter) else new
    everywhere = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    for place in [place for place, one in everywhere if one is old]:
        owner, _, name = place.rpartition(".")
        setattr(module.get_submodule(owner), name, new)
        if name == "weight":
            _resize(module.get_submodule(owner), new.shape)


def _get(module: torch.nn.Module, path: str) -> Tensor:
    owner, _, name = path.rpartition(".")
    return getattr(module.get_submodule(owner), name)


def _resize(owner: Any, shape: torch.Size) -> None:
    match owner:
        case torch.nn.Linear():
            owner.out_features, owner.in_features = shape
        case torch.nn.Conv1d() | torch.nn.Conv2d() | torch.nn.Conv3d():
            if owner.groups > 1:  # a group has as many outputs as before
                owner.groups = shape[0] // (owner.out_channels // owner.groups)
            owner.out_channels, owner.in_channels = shape[0], shape[1] * owner.groups
        case torch.nn.modules.batchnorm._NormBase():
            owner.num_features = shape[0]
        case _:
            pass
