"""An adopted module: a copy without arrays of its own, which computes with those that it is handed."""

import copy
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from weedout_torch.adopt.watching import Change, Watch, called, paths_followed
from weedout_torch.devices import Tensor

#: How a module computes: as it is used after training; with the statistics of the batch; or as while it is trained,
#: with dropout and with running statistics that move.
Mode = Literal["running", "batch", "train"]
#: The layers that have running statistics.
NORMS = torch.nn.modules.batchnorm._NormBase


class Spot(NamedTuple):
    """Where the mask of a site lies.

    Attributes:
        site: the name of the site.
        axis: the axis of the channels in the activation.
        granularity: "node" or "channel".
    """

    site: str
    axis: int
    granularity: str

    def laid(self, mask: Tensor, rank: int) -> Tensor:
        """A mask with its channels last, as it is multiplied with activations of some rank."""
        if self.granularity == "node":
            return mask.movedim(-1, self.axis - 1).unsqueeze(0)
        shape = [1] * rank
        shape[self.axis] = -1
        return mask.view(shape)


class Module:
    """A module of the user's, adopted.

    Args:
        given: the module. It is copied.
        spots: by the names of activations, where masks lie.
        moving: the buffers that are running statistics.
    """

    def __init__(self, given: torch.nn.Module, spots: Mapping[str, Spot], moving: list[str]) -> None:
        self._given = copy.deepcopy(given)
        self._spots, self._moving = dict(spots), moving
        self._buffers = dict(in_mode(given, "running").named_buffers())
        self._modes = {mode: in_mode(given, mode).to("meta") for mode in ("running", "batch", "train")}

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The weights when it was adopted."""
        return {path: _hosted(value) for path, value in self._given.named_parameters()}

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """The running statistics when it was adopted."""
        return {path: _hosted(self._buffers[path]) for path in self._moving}

    def forward(
        self,
        params: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None,
        x: Tensor,
        mode: Mode,
        seed: int | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits ``(examples, classes)``, and the running statistics after it, which "train" moves.

        Args:
            params, statistics: {path: ``shape``}.
            masks: {site: bool or float ``shape``}; None masks nothing.
            x: ``(examples, *input_shape)``.
            mode: how it computes.
            seed: what dropout draws from, in "train".
        """

        def change(name: str, made: Tensor) -> Tensor:
            spot = self._spots.get(name)
            if spot is None or masks is None or spot.site not in masks:
                return made
            mask = spot.laid(masks[spot.site], made.ndim)
            return torch.where(mask, made, 0.0) if mask.dtype == torch.bool else made * mask

        return self._computed(params, statistics, x, mode, seed, change)

    def poisoned(
        self, params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], x: Tensor, places: Mapping[str, int]
    ) -> Tensor:
        """The logits with NaN in activations, {name: the example that has it there}."""

        def change(name: str, made: Tensor) -> Tensor:
            if name not in places:
                return made
            here = torch.arange(len(made), device=made.device) == places[name]
            return torch.where(here.view(-1, *[1] * (made.ndim - 1)), torch.nan, made)

        with torch.no_grad():
            return self._computed(params, statistics, x, "running", None, change)[0]

    def _computed(
        self, params: Any, statistics: Any, x: Tensor, mode: Mode, seed: int | None, change: Change
    ) -> tuple[Tensor, dict[str, Tensor]]:
        # What a module changes in place is a copy.
        moved = {path: value.to(x.device, copy=True) for path, value in self._buffers.items()}
        moved |= {path: value.clone() for path, value in statistics.items()}
        with _seeded(seed, x.device):
            logits = called(self._modes[mode], {**params, **moved}, x, change)
        return logits, {path: moved[path] for path in self._moving}

    def rebuild(
        self, params: Mapping[str, np.ndarray], statistics: Mapping[str, np.ndarray], mask: Mapping[str, np.ndarray]
    ) -> torch.nn.Module:
        """The user's module again, in evaluation mode, with other weights and under a mask."""
        module = copy.deepcopy(self._given)
        arrays = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        with torch.no_grad():
            for path, value in {**params, **statistics}.items():
                arrays[path].copy_(torch.from_numpy(np.array(value)))
        if mask:
            _Masked(self._spots, {site: torch.from_numpy(np.array(one)) for site, one in mask.items()}).onto(module)
        return module.eval()


class _Masked:
    """Hooks by which a module masks its own activations, wherever it is called or copied."""

    def __init__(self, spots: Mapping[str, Spot], masks: Mapping[str, Tensor]) -> None:
        self.spots, self.masks = dict(spots), dict(masks)
        self.open: list[Any] = []

    def onto(self, module: torch.nn.Module) -> None:
        module.register_forward_pre_hook(self.entered)
        module.register_forward_hook(self.left, always_call=True)

    def entered(self, module: torch.nn.Module, _: Any) -> None:
        watch = Watch(self.change)
        followed = paths_followed(module, watch)
        followed.__enter__()
        watch.__enter__()
        self.open.append((watch, followed))

    def left(self, *_: Any) -> None:
        watch, followed = self.open.pop()
        watch.__exit__(None, None, None)
        followed.__exit__(None, None, None)

    def change(self, name: str, made: Tensor) -> Tensor:
        if name not in self.spots:
            return made
        spot = self.spots[name]
        return torch.where(spot.laid(self.masks[spot.site].to(made.device), made.ndim), made, 0.0)


def in_mode(given: torch.nn.Module, mode: str) -> torch.nn.Module:
    """A copy of a module on the CPU that computes in one mode."""
    module = copy.deepcopy(given).cpu().float()
    module.train(mode == "train")
    for part in module.modules():
        if mode == "batch" and isinstance(part, NORMS):
            part.train()
    return module


def _hosted(value: Tensor) -> np.ndarray:
    return value.detach().cpu().float().numpy().copy()


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Generator[None]:
    """Inside this context PyTorch draws from a seed; what the caller draws afterwards is not touched."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
