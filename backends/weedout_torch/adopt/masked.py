"""A module that masks its own activations: an ordinary module again, for a loop of the user's."""

from collections.abc import Mapping
from typing import Any

import torch

from weedout_core.backend import Follows
from weedout_torch.adopt.failures import check_times
from weedout_torch.adopt.spots import Spot, kept_entries
from weedout_torch.adopt.watching import Watch, paths_followed
from weedout_torch.devices import Tensor


class Masked:
    """The forward of a module that masks its own activations, wherever it is called or copied.

    It takes the place of the module's own, and is no hook: PyTorch runs none after a KeyboardInterrupt.

    Args:
        module: the module.
        spots: by the names of activations, where masks lie.
        times: how often each activation is called, by its name without its number.
        masks: {site: bool ``shape``}.
        reads: {path of weights: what they read of a whole activation}, of a smaller module.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        spots: Mapping[str, Spot],
        times: Mapping[str, int],
        masks: Mapping[str, Tensor],
        reads: Mapping[str, Follows],
    ) -> None:
        self.module, self.__wrapped__ = module, module.forward  # whose signature it has
        self.spots = {name: spot for name, spot in spots.items() if spot.site in masks}
        self.times, self.masks = dict(times), dict(masks)
        self.entries = {path: kept_entries(one, masks[one.site]) for path, one in reads.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        paths = {id(value): path for path, value in self.module.named_parameters()}
        watch = Watch(self.change, read=lambda weight: self.entries[paths[id(weight)]].to(weight.device))
        with paths_followed(self.module, watch), watch:
            made = self.__wrapped__(*args, **kwargs)
        check_times(self.module, self.times, watch.times, len(made) if isinstance(made, torch.Tensor) else 1)
        return made

    def change(self, name: str, made: Tensor) -> Tensor:
        if name not in self.spots:
            return made
        spot = self.spots[name]
        return torch.where(spot.laid(self.masks[spot.site].to(made.device), made), made, 0.0)
