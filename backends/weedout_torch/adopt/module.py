"""An adopted module: a copy without arrays of its own, which computes with those that it is handed."""

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from weedout_core.backend import Adopted, Follows, Held
from weedout_torch.adopt.masked import Masked
from weedout_torch.adopt.putting import put
from weedout_torch.adopt.spots import Spot, kept_entries
from weedout_torch.adopt.watching import Change, called
from weedout_torch.devices import Tensor

Tree = Mapping[str, np.ndarray]
#: How a module computes: as it is used after training; with the statistics of the batch; or as while it is trained,
#: with dropout and with running statistics that move.
Mode = Literal["running", "batch", "train"]
#: The layers that have running statistics.
NORMS = torch.nn.modules.batchnorm._NormBase


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

    def first_statistics(self, held: Sequence[Held]) -> dict[str, Tensor]:
        """As much of the running statistics when it was adopted as some arrays hold."""
        return {one.path: self._buffers[one.path][tuple(map(slice, one.shape))] for one in held}

    def forward(
        self,
        params: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        masks: Mapping[str, Tensor] | None,
        x: Tensor,
        mode: Mode,
        seed: int | None = None,
        reads: Mapping[str, Follows] = {},
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits ``(examples, classes)``, and the running statistics after it, which "train" moves.

        Args:
            params, statistics: {path: ``shape``}.
            masks: {site: bool or float ``shape``}; None masks nothing.
            x: ``(examples, *input_shape)``.
            mode: how it computes.
            seed: what dropout draws from, in "train".
            reads: {path of weights: which nodes of a whole activation they read, if they are too few for all}.
        """

        def change(name: str, made: Tensor) -> Tensor:
            spot = self._spots.get(name)
            if spot is None or masks is None or spot.site not in masks:
                return made
            mask = spot.laid(masks[spot.site], made)
            return torch.where(mask, made, 0.0) if mask.dtype == torch.bool else made * mask

        def read(path: str) -> Tensor:
            return kept_entries(reads[path], (masks or {})[reads[path].site])

        return self._computed(params, statistics, x, mode, seed, change, read)

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

    def gradient(self, params: Tree, statistics: Tree, masks: Tree, x: np.ndarray) -> dict[str, np.ndarray]:
        """The gradient of some combination of all logits by weights and running statistics, {path: ``shape``}."""
        inputs = {path: torch.tensor(value, requires_grad=True) for path, value in {**params, **statistics}.items()}
        on = {site: torch.tensor(mask) for site, mask in masks.items()}
        with torch.enable_grad(), _NormWithGradient():
            logits, _ = self.forward(
                {path: inputs[path] for path in params}, {path: inputs[path] for path in statistics}, on,
                torch.tensor(x), "running",
            )  # fmt: skip
            factors = torch.linspace(1, 2, logits.numel()).view(logits.shape)
            combined = (factors * logits).sum()
        found = torch.autograd.grad(combined, list(inputs.values()), materialize_grads=True)
        return {path: value.numpy() for path, value in zip(inputs, found, strict=True)}

    def _computed(
        self,
        params: Any,
        statistics: Any,
        x: Tensor,
        mode: Mode,
        seed: int | None,
        change: Change,
        read: Callable[[str], Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        paths = {id(value): path for path, value in params.items()}
        # What a module changes in place is a copy.
        moved = {path: value.to(x.device, copy=True) for path, value in {**self._buffers, **statistics}.items()}
        with _seeded(seed, x.device):
            reading = None if read is None else lambda weight: read(paths[id(weight)])
            logits = called(self._modes[mode], {**params, **moved}, x, change, read=reading)
        return logits, {path: moved[path] for path in self._moving}

    def rebuild(self, layer: Adopted, params: Tree, statistics: Tree, mask: Tree) -> torch.nn.Module:
        """The user's module again, in evaluation mode, with other weights and under a mask; or a smaller one."""
        module = copy.deepcopy(self._given)
        for path, value in {**params, **statistics}.items():
            put(module, path, torch.from_numpy(np.array(value)))
        if mask:
            masks = {site: torch.from_numpy(np.array(one)) for site, one in mask.items()}
            module.forward = Masked(module, self._spots, masks, layer.readers)
        return module.eval()


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


class _NormWithGradient(TorchFunctionMode):
    """Computes batch normalisation by given statistics as a formula: PyTorch's own has no gradient by them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_normalised if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _normalised(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    def channels(value: Tensor) -> Tensor:
        return value.view(-1, *[1] * (input.ndim - 2))

    if training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    found = (input - channels(running_mean)) / channels(running_var + eps).sqrt()
    found = found if weight is None else found * channels(weight)
    return found if bias is None else found + channels(bias)
