"""The user's optimizer in place of SGD: a function of the weights that gives one of ``torch.optim``.

An epoch is a function of its state, so an optimizer lives for an epoch, over one network's weights of their own shapes,
and what it remembers from one epoch to the next is its ``state_dict``. What it keeps elsewhere would be lost, and is
refused.
"""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from weedout_core import Network
from weedout_core.errors import BackendError
from weedout_core.nn import parameter_shapes
from weedout_torch.alike import alike
from weedout_torch.devices import Tensor

Parameters = Mapping[str, Tensor]
Factory = Callable[[list[Tensor]], Any]

#: One step: from weights, the optimizer's state, the gradient and SGD's rate to new weights and a new state.
Update = Callable[[Parameters, Any, Parameters, float], tuple[dict[str, Tensor], Any]]


class Memory(NamedTuple):
    """What one network's optimizer is between two epochs: the options it was made with, and its ``state_dict``."""

    options: str
    state: Any


def first_memory(factory: Any, net: Network, params: Parameters) -> Memory:
    """What the user's optimizer remembers before its first step. Raises BackendError where it cannot train."""
    weights = _weights(net, params)
    optimizer = _made(factory, weights)
    return Memory(_options(optimizer, weights), copy.deepcopy(optimizer.state_dict()))


def check_memories(memories: Any, networks: int) -> None:
    """Raise BackendError unless there is a memory of an optimizer for each network."""
    given = isinstance(memories, list) and len(memories) == networks
    if not given or not all(isinstance(one, Memory) for one in memories):
        raise BackendError("the state must be one that train_init gave for this plan; its optimizer is another.")


class Learner:
    """One network's optimizer for an epoch. Nothing handed in is changed."""

    def __init__(self, factory: Factory, net: Network, params: Parameters, memory: Memory) -> None:
        self._factory, self._net, self._options = factory, net, memory.options
        self._shapes = parameter_shapes(net)
        self._weights, self._optimizer = self._again(params, memory.state)

    @property
    def params(self) -> dict[str, Tensor]:
        """The weights, with their leading axis."""
        return {path: weight.detach().unsqueeze(0) for path, weight in self._weights.items()}

    def update(self, _params: Parameters, state: Any, gradient: Parameters, _rate: float) -> Any:
        """A step, at the optimizer's own rate."""
        try:
            self._optimizer.zero_grad()
            for path, weight in self._weights.items():
                if weight.requires_grad:  # else the user has frozen it
                    weight.grad = _laid_out_as(weight, gradient[path].squeeze(0))
            self._optimizer.step()
        except Exception as error:
            raise BackendError(f"{_named(self._optimizer)} cannot take a step: {_said(error)}.") from error
        for path, weight in self._weights.items():
            weight.grad = None
            if weight.dtype != torch.float32 or weight.shape != self._shapes[path]:
                raise BackendError(
                    f"optimizer must leave a weight its shape and type; {_named(self._optimizer)} makes {path} one of "
                    f"{weight.dtype} {tuple(weight.shape)}."
                )
        return self.params, state

    def memory(self) -> Memory:
        """What is remembered. Raises BackendError where the optimizer keeps something else."""
        self._check_own_memory()
        state = copy.deepcopy(self._optimizer.state_dict())
        weights, again = self._again(self.params, state)
        kinds = zip(type(self._optimizer).__mro__, type(again).__mro__, strict=False)
        known = [(self._optimizer, again), *zip(self._weights.values(), weights.values(), strict=True), *kinds]
        kept, found = _kept(self._optimizer, self._weights), _kept(again, weights)
        if lost := [name for name in {**kept, **found} if not alike(kept.get(name), found.get(name), known)]:
            raise BackendError(
                f"{_named(self._optimizer)} keeps something in {', '.join(lost)} that is not in its state_dict(), and "
                "would be lost from epoch to epoch (a scheduler, a counter, what a hook remembers). Keep it in the "
                "optimizer's state or param_groups."
            )
        return Memory(self._options, state)

    def _check_own_memory(self) -> None:
        """Raise BackendError where the state holds the weights themselves: those of the next epoch are copies."""
        lent = {_address(weight) for weight in self._weights.values()}
        remembered: list[Tensor] = []
        _mapped(self._optimizer.state_dict(), remembered.append)
        if lent & {*map(_address, remembered)}:
            raise BackendError(
                f"{_named(self._optimizer)} keeps a weight's own memory in its state, and would not follow it from "
                "epoch to epoch. Keep a clone()."
            )

    def _again(self, params: Parameters, state: Any) -> tuple[dict[str, Tensor], Any]:
        """The optimizer as it remembers itself, over copies of the weights."""
        weights = _weights(self._net, params)
        optimizer = _made(self._factory, weights)
        if _options(optimizer, weights) != self._options:
            raise BackendError(
                f"optimizer must be a function that gives the same optimizer each time; the options of "
                f"{_named(optimizer)} have changed since training began. Change them in its param_groups."
            )
        try:
            optimizer.load_state_dict(copy.deepcopy(state))
        except Exception as error:
            raise BackendError(
                f"a new {_named(optimizer)} cannot take the state_dict() of the one before it: {_said(error)}."
            ) from error
        return weights, optimizer


def _weights(net: Network, params: Parameters) -> dict[str, Tensor]:
    """One network's weights as it has them alone, in its own order: copies without the leading axis."""
    return {
        path: torch.nn.Parameter(params[path].detach().squeeze(0).clone(memory_format=torch.contiguous_format))
        for path in parameter_shapes(net)
    }


def _made(factory: Any, weights: Parameters) -> Any:
    """The user's optimizer over these weights, or BackendError where it cannot train them."""
    before = {path: weight.detach().clone() for path, weight in weights.items()}
    if not callable(factory):
        raise BackendError(f"{_NEEDED}; got {factory!r}.")
    try:
        optimizer: Any = factory(list(weights.values()))
    except Exception as error:
        raise BackendError(f"{_NEEDED}; the function given fails: {_said(error)}.") from error
    if not all(hasattr(optimizer, name) for name in _OF_OPTIMIZERS):
        raise BackendError(f"{_NEEDED}; the function given gives {optimizer!r}.")
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not trained or not {*map(id, trained)} <= {*map(id, weights.values())}:
        raise BackendError(f"{_NEEDED}; the {_named(optimizer)} that the function gives is over other tensors.")
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
            f"the step of {_named(optimizer)} needs {', '.join(needed)}, and training has gradients alone to give. "
            "Take an optimizer whose step() needs nothing."
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise BackendError("SparseAdam takes sparse gradients alone, and those here are dense. Take torch.optim.Adam.")
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise BackendError("differentiable=True is for gradients of the training itself, which nobody takes here.")


def _options(optimizer: Any, weights: Parameters) -> str:
    """The options of each group, its weights by their places, in words: what changes later does not show in them."""
    places = {id(weight): f"weight {place}" for place, weight in enumerate(weights.values())}
    return repr(_mapped(optimizer.param_groups, lambda tensor: places.get(id(tensor), tensor.tolist())))


def _kept(optimizer: Any, weights: Parameters) -> dict[str, Any]:
    """All that an optimizer holds, by attribute, and what it has hung on its weights.

    Of its state the kinds alone, as ``state_dict`` has the numbers.
    """
    torchs = _names_of_torch(type(optimizer))
    attributes = {name: value for name, value in vars(optimizer).items() if name not in torchs}
    # One that the user's function makes has variables of its own each time.
    classes = {
        f"class {kind.__name__}": {name: value for name, value in vars(kind).items() if not name.startswith("__")}
        for kind in type(optimizer).__mro__
        if not kind.__module__.startswith(("torch.", "builtins"))
    }
    # Hooks have other numbers each time.
    hooks = {name: list(value.values()) for name, value in vars(optimizer).items() if name.endswith("_hooks")}
    hung = {f"weight {place}": vars(weight) for place, weight in enumerate(weights.values())}
    return {**attributes, **classes, **hooks, **hung, "state": _mapped(vars(optimizer).get("state"), _kind)}


def _kind(tensor: Tensor) -> Any:
    """The type of a tensor in its place; a weight stays."""
    whole = isinstance(tensor, torch.nn.Parameter)
    return tensor if whole else (str(tensor.dtype), tuple(tensor.shape), str(tensor.device))


def _mapped(tree: Any, change: Callable[[Tensor], Any]) -> Any:
    """A tree of mappings and lists, its tensors changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: _mapped(value, change) for name, value in tree.items()}
    return [_mapped(value, change) for value in tree] if isinstance(tree, list | tuple) else tree


def _names_of_torch(kind: type) -> set[str]:
    """What PyTorch's own code calls the private attributes in which it counts for itself, such as what it warned of."""
    functions = [
        inspect.unwrap(one)
        for base in kind.__mro__
        if base.__module__.startswith("torch.")
        for one in vars(base).values()
        if callable(one)
    ]
    names = {name for one in functions if hasattr(one, "__code__") for name in one.__code__.co_names}
    return {name for name in names if name.startswith("_")}


def _laid_out_as(weight: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with the strides of its weight: fused kernels take both as they lie in memory."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight, requires_grad=False).copy_(gradient)


def _address(tensor: Tensor) -> int:
    """Of the memory behind it; 0 where there is none."""
    return tensor.untyped_storage().data_ptr()


def _bits(weight: Tensor) -> Tensor:
    return weight.detach().view(torch.int32)


def _named(optimizer: Any) -> str:
    return type(optimizer).__name__


def _said(error: Exception) -> str:
    """What an error says, as a part of a sentence."""
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
