"""An adopted module: a copy without arrays of its own, which computes with those that it is handed."""

import copy
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from weedout_core.backend import Adopted, Follows, Held
from weedout_core.errors import BackendError
from weedout_torch.adopt.failures import check_times, told, unnumbered
from weedout_torch.adopt.masked import lay
from weedout_torch.adopt.putting import put
from weedout_torch.adopt.spots import Spot, kept_entries
from weedout_torch.adopt.states import seeded
from weedout_torch.adopt.watching import Change, called
from weedout_torch.devices import Tensor
from weedout_torch.layers import selected

Tree = Mapping[str, np.ndarray]
#: How a module computes: as it is used after training; with the statistics of the batch; or as while it is trained,
#: with dropout and with running statistics that move.
Mode = Literal["running", "batch", "train"]
#: The layers that have running statistics.
NORMS = torch.nn.modules.batchnorm._NormBase

# A module that computes has the arrays of one call within it, and random numbers are of the whole process.
_ONE_AT_A_TIME = threading.RLock()


class Module:
    """A module of the user's, adopted.

    Args:
        given: the module. It is copied.
        spots: by the names of activations, where masks lie.
        moving: the buffers that are running statistics.
        times: how often each activation is called, by its name without its number.
    """

    def __init__(
        self, given: torch.nn.Module, spots: Mapping[str, Spot], moving: list[str], times: Mapping[str, int]
    ) -> None:
        self._given = copy.deepcopy(given)
        self._spots, self._moving = dict(spots), moving
        self.times = {name: times[name] for name in (unnumbered(spot) for spot in spots)}
        self.frozen = frozenset(path for path, value in given.named_parameters() if not value.requires_grad)
        self._buffers = dict(in_mode(given, "running").named_buffers())
        self._modes = {mode: in_mode(given, mode, "meta") for mode in ("running", "batch", "train")}

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
            return selected(made, mask, not torch.is_grad_enabled()) if mask.dtype == torch.bool else made * mask

        def read(path: str) -> Tensor:
            return kept_entries(reads[path], (masks or {})[reads[path].site])

        if mode == "train" and self.frozen.issuperset(params):
            raise BackendError(
                f"every parameter of {type(self._given).__name__} is frozen, so that there is nothing to train. Call "
                "requires_grad_(True) on what is to be trained, before it is adopted."
            )
        if mode == "train":
            params = {path: value.detach() if path in self.frozen else value for path, value in params.items()}
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
        found = torch.autograd.grad(combined, list(inputs.values()), allow_unused=True, materialize_grads=True)
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
        reading = None if read is None else lambda weight: read(paths[id(weight)])
        # What a module changes in place is a copy.
        moved = {path: value.to(x.device, copy=True) for path, value in {**self._buffers, **statistics}.items()}
        arrays = {**params, **moved}
        devices = [x.device] if x.device.type == "cuda" else []
        with _ONE_AT_A_TIME, seeded(seed, devices), told(self._given, f"for {len(x)} examples"):
            logits, times = called(self._modes[mode], arrays, x, change, read=reading)
        check_times(self._given, self.times, times, len(x))
        return logits, {path: arrays[path].detach() for path in self._moving}

    def rebuild(self, layer: Adopted, params: Tree, statistics: Tree, mask: Tree) -> torch.nn.Module:
        """The user's module again, in evaluation mode, with other weights and under a mask; or a smaller one."""
        module = copy.deepcopy(self._given)
        for path, value in {**params, **statistics}.items():
            put(module, path, torch.from_numpy(np.array(value)))
        if mask:
            masks = {site: torch.from_numpy(np.array(one)) for site, one in mask.items()}
            lay(module, self._spots, self.times, masks, layer.readers)
        return module.eval()


def in_mode(given: torch.nn.Module, mode: str, device: str = "cpu") -> torch.nn.Module:
    """A copy of a module that computes in one mode. Arrays that are one stay one, wherever they are put."""
    arrays = [*given.parameters(), *given.buffers()]
    copies = {} if device == "cpu" else {id(value): _placed(value, device) for value in arrays}
    module = copy.deepcopy(given, copies)
    module = module.cpu().float() if device == "cpu" else module
    module.train(mode == "train")
    for part in module.modules():
        if mode == "batch" and isinstance(part, NORMS):
            part.train()
    return module


def _placed(value: Tensor, device: str) -> Tensor:
    new = value.detach().to(device, torch.float32 if value.is_floating_point() else value.dtype)
    return torch.nn.Parameter(new, value.requires_grad) if isinstance(value, torch.nn.Parameter) else new


def _hosted(value: Tensor) -> np.ndarray:
    return value.detach().cpu().float().numpy().copy()


class _NormWithGradient(TorchFunctionMode):
    """Computes normalisation by given statistics as a formula: PyTorch's own has no gradient by them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in (F.batch_norm, F.instance_norm):
            return func(*args, **(kwargs or {}))
        bound = inspect.signature(func).bind(*args, **(kwargs or {}))
        bound.apply_defaults()
        x, mean, variance, weight, bias, of_inputs, _, eps = bound.args
        return func(*bound.args) if of_inputs else _normalised(x, mean, variance, weight, bias, eps)


def _normalised(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    def channels(value: Tensor) -> Tensor:
        return value.view(-1, *[1] * (x.ndim - 2))

    found = (x - channels(mean)) / channels(variance + eps).sqrt()
    found = found if weight is None else found * channels(weight)
    return found if bias is None else found + channels(bias)
