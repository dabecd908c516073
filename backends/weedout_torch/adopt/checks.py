"""No site is taken on trust: what was adopted must compute what the user's module does, and every site must count."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from weedout_core.errors import BackendError
from weedout_torch.adopt.failures import said
from weedout_torch.adopt.finding import Activation
from weedout_torch.adopt.module import NORMS, Module, Spot
from weedout_torch.devices import Tensor

_AT_ONCE = 16  # sites that are tried in one batch


def check_module(given: Any) -> None:
    """Raise BackendError for what is no module whose functions can be seen."""
    if not isinstance(given, torch.nn.Module):
        raise BackendError(f"the torch backend adopts an nn.Module; got {type(given).__name__}.")
    name = type(given).__name__
    if isinstance(given, torch.jit.ScriptModule):
        raise BackendError(f"{name} is a compiled script, whose activations cannot be seen. Adopt the module itself.")
    if hasattr(given, "_orig_mod"):
        raise BackendError("a compiled module hides its activations. Adopt the module that torch.compile was given.")
    if isinstance(given, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        raise BackendError(f"{name} spreads another module over devices. Adopt that one, its .module.")
    for path, value in [*given.named_parameters(), *given.named_buffers()]:
        if isinstance(value, torch.nn.UninitializedParameter | torch.nn.UninitializedBuffer):
            raise BackendError(f"{path!r} of {name} has no shape yet. Run the module once, and adopt it then.")
        if isinstance(value, torch.nn.Parameter) and not value.is_floating_point():
            raise BackendError(f"parameters must be floats; {path!r} of {name} is {value.dtype}.")
    for path, part in given.named_modules():
        if isinstance(part, NORMS) and part.track_running_stats and part.momentum is None:
            raise BackendError(
                f"{path!r} of {name} has running statistics that are means over all batches, momentum=None, which "
                "depend on more than the last ones. Give it a momentum."
            )


def check_gradients(sites: Sequence[tuple[str, Activation]], name: str) -> None:
    """Raise BackendError for a site within a function that computes its gradient itself, where a mask has no part."""
    if hidden := [one.name for _, one in sites if one.hidden]:
        raise BackendError(
            f"the activation {hidden[0]!r} of {name} is within a torch.autograd.Function, which computes its gradient "
            "itself, as if nothing were masked. Take PyTorch's own activation, such as F.silu, or other sites by "
            "sites=."
        )


def check_logits(logits: Any, examples: int, name: str) -> None:
    """Raise BackendError unless a module gives logits (examples, classes)."""
    fits = isinstance(logits, torch.Tensor) and logits.ndim == 2 and len(logits) == examples and logits.shape[1] > 1
    if not fits:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise BackendError(
            f"{name} must give logits (examples, classes), of two classes or more; for {examples} examples it gives "
            f"{got}. Adopt a module that returns the logits alone."
        )


def same_logits(given: torch.nn.Module, logits: Tensor, module: Module, x: Tensor, sites: dict[str, Tensor]) -> None:
    """Raise BackendError unless masks that keep all change no logit of the user's module, in evaluation mode."""
    with torch.no_grad():
        own = copy.deepcopy(given).eval()(x)
        kept, _ = module.forward(*_held(module), sites, x, "running")
    # Kernels that fuse several layers round their float32 sums in another order: some thousand roundings at most.
    bound = 1e-4 * max(1.0, float(own.abs().max()))
    for other in (logits, kept):
        if not torch.allclose(own, other, rtol=0, atol=bound, equal_nan=True):
            raise BackendError(
                f"{type(given).__name__} gives other logits when its activations are seen: it does not compute the "
                "same each time, or changes with its functions. It cannot be adopted."
            )


def sites_count(module: Module, spots: Sequence[tuple[str, Spot]], x: Tensor, name: str) -> None:
    """Raise BackendError unless a NaN in any site reaches the logits.

    Each of a batch of examples has its NaN in another site.
    """
    for start in range(0, len(spots), _AT_ONCE):
        some = spots[start : start + _AT_ONCE]
        places = {activation: example for example, (activation, _) in enumerate(some)}
        inputs = x[torch.arange(max(len(some), len(x))) % len(x)]
        logits = module.poisoned(*_held(module), inputs, places)
        reached = logits.isnan().any(dim=1).tolist()[: len(some)]
        if lost := [spot.site for (_, spot), one in zip(some, reached, strict=True) if not one]:
            raise BackendError(
                f"the site {lost[0]!r} of {name} decides no logit: a NaN in it does not reach them. Leave it out, by "
                "naming others with sites=."
            )


def has_gradient(module: Module, x: Tensor, sites: dict[str, Tensor], name: str) -> None:
    """Raise BackendError unless a step of training can be computed."""
    params, statistics = _held(module)
    if module.frozen.issuperset(params):
        return
    for value in params.values():
        value.requires_grad_()
    with torch.enable_grad():
        logits, _ = module.forward(params, statistics, sites, x, "train", seed=0)
        try:
            torch.autograd.grad(logits.sum(), list(params.values()), allow_unused=True)
        except RuntimeError as error:
            raise BackendError(
                f"no gradient of {name} can be computed under masks: {said(error)}. Adopt it without checkpointing and "
                "without functions that change their arguments."
            ) from error


def _held(module: Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    tensors = [
        {path: torch.from_numpy(value) for path, value in tree.items()} for tree in (module.params, module.statistics)
    ]
    return tensors[0], tensors[1]
