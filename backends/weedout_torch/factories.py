"""The user's function that gives an optimizer of ``torch.optim`` over some weights: what it gives, or a refusal."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from weedout_core import Network
from weedout_core.errors import BackendError
from weedout_core.nn import parameter_shapes
from weedout_torch.devices import Tensor

Parameters = Mapping[str, Tensor]
Factory = Callable[[list[Tensor]], Any]


def weights_of(net: Network, params: Parameters) -> dict[str, Tensor]:
    """One network's weights as it has them alone, in its own order: copies without the leading axis."""
    return {
        path: torch.nn.Parameter(params[path].detach().squeeze(0).clone(memory_format=torch.contiguous_format))
        for path in parameter_shapes(net)
    }


def made(factory: Any, weights: Parameters) -> Any:
    """The user's optimizer over these weights, or BackendError where it cannot train them."""
    before = {path: weight.detach().clone() for path, weight in weights.items()}
    if not callable(factory):
        raise BackendError(f"{_NEEDED}; got {factory!r}.")
    try:
        optimizer: Any = factory(list(weights.values()))
    except Exception as error:
        raise BackendError(f"{_NEEDED}; the function given fails: {said(error)}.") from error
    if not all(hasattr(optimizer, name) for name in _OF_OPTIMIZERS):
        raise BackendError(f"{_NEEDED}; the function given gives {optimizer!r}.")
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not trained or not {*map(id, trained)} <= {*map(id, weights.values())}:
        raise BackendError(f"{_NEEDED}; the {named(optimizer)} that the function gives is over other tensors.")
    if any(getattr(weight, name) for weight in weights.values() for name in _WEIGHTS_HOOKS):
        raise BackendError(
            "optimizer must leave the gradients of its weights alone: hooks of a weight are not called here. Change "
            "gradients in a hook of the optimizer, register_step_pre_hook."
        )
    _check_step(optimizer)
    if any(not torch.equal(_bits(weight), _bits(before[path])) for path, weight in weights.items()):
        raise BackendError("optimizer must be a function that leaves the weights it is handed as they are.")
    return optimizer


_OF_OPTIMIZERS = ("zero_grad", "step", "state_dict", "load_state_dict", "param_groups")
_WEIGHTS_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")

_NEEDED = (
    "the torch backends train with an optimizer that a function of the weights gives, such as lambda weights: "
    "torch.optim.Adam(weights)"
)


def _check_step(optimizer: Any) -> None:
    """Raise BackendError where a step needs more than the gradient of each weight, as a dense tensor."""
    step = inspect.signature(getattr(type(optimizer), "step", lambda self: None))  # an instance's own is a wrapper's
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = [one for one in step.parameters.values() if one.kind not in rest]
    needed = [one.name for one in parameters[1:] if one.default is one.empty]
    if needed:
        raise BackendError(
            f"the step of {named(optimizer)} needs {', '.join(needed)}, and training has gradients alone to give. "
            "Take an optimizer whose step() needs nothing."
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise BackendError("SparseAdam takes sparse gradients alone, and those here are dense. Take torch.optim.Adam.")
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise BackendError("differentiable=True is for gradients of the training itself, which nobody takes here.")


def options_of(optimizer: Any, weights: Parameters) -> str:
    """The options of each group, its weights by their places, in words: what changes later does not show in them."""
    places = {id(weight): f"weight {place}" for place, weight in enumerate(weights.values())}
    return repr(mapped(optimizer.param_groups, lambda tensor: places.get(id(tensor), tensor.tolist())))


def mapped(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """A tree of mappings and lists, its tensors changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: mapped(value, change) for name, value in tree.items()}
    return [mapped(value, change) for value in tree] if isinstance(tree, list | tuple) else tree


def _bits(weight: Tensor) -> Tensor:
    return weight.detach().view(torch.int32)


def named(optimizer: Any) -> str:
    """What an error calls an optimizer."""
    return type(optimizer).__name__


def said(error: Exception) -> str:
    """What an error says, as a part of a sentence."""
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
