"""Calling the user's function that makes an optimizer of ``torch.optim`` for some weights, and checking its result."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from weedout_core import Network
from weedout_core.backend import adopted, shown
from weedout_core.errors import BackendError
from weedout_core.nn import parameter_shapes
from weedout_torch.devices import Tensor

Parameters = Mapping[str, Tensor]
Factory = Callable[[list[Tensor]], Any]


def weights_of(net: Network, params: Parameters) -> dict[str, Tensor]:
    """Copies of one network's weights without the leading axis, in the order of its layers; frozen ones are so."""
    layer = adopted(net)
    frozen = () if layer is None else [one.path for one in layer.params if one.frozen]
    copies = {
        path: params[path].detach().squeeze(0).clone(memory_format=torch.contiguous_format)
        for path in parameter_shapes(net)
    }
    return {path: torch.nn.Parameter(value, path not in frozen) for path, value in copies.items()}


def made(factory: Any, weights: Parameters) -> Any:
    """The user's optimizer for these weights. Raises BackendError if it cannot train them."""
    before = {path: weight.detach().clone() for path, weight in weights.items()}
    if not callable(factory):
        raise BackendError(f"{_NEEDED}; got {shown(factory)}.")
    try:
        optimizer: Any = factory(list(weights.values()))
    except Exception as error:
        raise BackendError(f"{_NEEDED}; the function given fails: {said(error)}.") from error
    if not all(hasattr(optimizer, name) for name in _OF_OPTIMIZERS):
        raise BackendError(f"{_NEEDED}; the function given gives {shown(optimizer)}.")
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not trained or not {*map(id, trained)} <= {*map(id, weights.values())}:
        raise BackendError(f"{_NEEDED}; the {named(optimizer)} that the function gives is over other tensors.")
    if any(getattr(weight, name) for weight in weights.values() for name in _WEIGHTS_HOOKS):
        raise BackendError(
            "optimizer must leave the gradients of its weights alone: hooks of a weight are not called here. To change "
            "gradients, use a hook of the optimizer, register_step_pre_hook."
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
    """Raise BackendError if a step needs more than the gradient of each weight as a dense tensor."""
    step = inspect.signature(getattr(type(optimizer), "step", lambda self: None))  # an instance may have a wrapper
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = [one for one in step.parameters.values() if one.kind not in rest]
    needed = [one.name for one in parameters[1:] if one.default is one.empty]
    if needed:
        raise BackendError(
            f"the step of {named(optimizer)} needs {', '.join(needed)}, and training gives it only gradients. "
            "Take an optimizer whose step() needs no argument."
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise BackendError("SparseAdam takes only sparse gradients; those here are dense. Take torch.optim.Adam.")
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise BackendError("differentiable=True has no use: training itself is not differentiated. Leave it out.")


def options_of(optimizer: Any, weights: Parameters) -> str:
    """The options of each parameter group as a text, in which weights are given by position. It is a snapshot."""
    places = {id(weight): f"weight {place}" for place, weight in enumerate(weights.values())}
    return repr(mapped(optimizer.param_groups, lambda tensor: places.get(id(tensor), tensor.tolist())))


def mapped(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """A copy of a tree of mappings and lists, with ``change`` applied to its tensors."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: mapped(value, change) for name, value in tree.items()}
    return [mapped(value, change) for value in tree] if isinstance(tree, list | tuple) else tree


def _bits(weight: Tensor) -> Tensor:
    return weight.detach().view(torch.int32)


def named(optimizer: Any) -> str:
    """The name of an optimizer in an error."""
    return type(optimizer).__name__


def said(error: Exception) -> str:
    """The first line of an error, as a part of a sentence."""
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
