"""A module that masks its own activations: an ordinary module again, for a loop of the user's."""

from collections.abc import Mapping
from typing import Any

import torch

from weedout_core.backend import Follows
from weedout_torch.adopt.spots import Spot, kept_entries
from weedout_torch.adopt.watching import Watch, paths_followed
from weedout_torch.devices import Tensor


class Masked:
    """The forward of a module that masks its own activations, wherever it is called or copied.

    It takes the place of the module's own, and is no hook: PyTorch runs none after a KeyboardInterrupt.

    Args:
        module: the module.
        spots: by the names of activations, where masks lie.
        masks: {site: bool ``shape``}.
        reads: {path of weights: what they read of a whole activation}, of a smaller module.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        spots: Mapping[str, Spot],
        masks: Mapping[str, Tensor],
        reads: Mapping[str, Follows],
    ) -> None:
        self.module, self.__wrapped__ = module, module.forward  # whose signature it has
        self.spots = {name: spot for name, spot in spots.items() if spot.site in masks}
        self.masks = dict(masks)
        self.entries = {path: kept_entries(one, masks[one.site]) for path, one in reads.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        paths = {id(value): path for path, value in self.module.named_parameters()}
        watch = Watch(self.change, read=lambda weight: self.entries[paths[id(weight)]].to(weight.device))
        with paths_followed(self.module, watch), watch:
            return self.__wrapped__(*args, **kwargs)

    def change(self, name: str, made: Tensor) -> Tensor:
        if name not in self.spots:
            return made
        spot = self.spots[name]
        return torch.where(spot.laid(self.masks[spot.site].to(made.device), made), made, 0.0)


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
