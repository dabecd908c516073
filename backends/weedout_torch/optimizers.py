"""The user's optimizer in place of SGD: a function of the weights that makes an optimizer of ``torch.optim``.

An epoch is a pure function of its state. So an optimizer is made for each epoch and each network, over copies of the
network's weights, and only its ``state_dict`` passes from one epoch to the next. Anything that it keeps elsewhere would
be lost, and is refused.
"""

import copy
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from weedout_core import Network
from weedout_core.errors import BackendError
from weedout_core.nn import parameter_shapes
from weedout_torch.alike import alike
from weedout_torch.devices import Tensor
from weedout_torch.factories import Factory, Parameters, made, mapped, named, options_of, said, weights_of

#: One step: (weights, optimizer state, gradient, SGD's learning rate) → (new weights, new state).
Update = Callable[[Parameters, Any, Parameters, float], tuple[dict[str, Tensor], Any]]


class Memory(NamedTuple):
    """One network's optimizer between two epochs: the options it was made with, and its ``state_dict``."""

    options: str
    state: Any


def first_memory(factory: Any, net: Network, params: Parameters) -> Memory:
    """The memory of the user's optimizer before its first step. Raises BackendError if it cannot train."""
    weights = weights_of(net, params)
    optimizer = made(factory, weights)
    return Memory(options_of(optimizer, weights), copy.deepcopy(optimizer.state_dict()))


def check_memories(memories: Any, networks: int) -> None:
    """Raise BackendError unless the state holds one ``Memory`` for each network."""
    given = isinstance(memories, list) and len(memories) == networks
    if not given or not all(isinstance(one, Memory) for one in memories):
        raise BackendError("the state must be one that train_init gave for this plan; its optimizer is another.")


class Learner:
    """One network's optimizer during an epoch. It does not change its arguments."""

    def __init__(self, factory: Factory, net: Network, params: Parameters, memory: Memory) -> None:
        self._factory, self._net, self._options = factory, net, memory.options
        self._shapes = parameter_shapes(net)
        self._weights, self._optimizer = self._again(params, memory.state)

    @property
    def params(self) -> dict[str, Tensor]:
        """The weights, with their leading axis."""
        return {path: weight.detach().unsqueeze(0) for path, weight in self._weights.items()}

    def update(self, _params: Parameters, state: Any, gradient: Parameters, _rate: float) -> Any:
        """A step with the optimizer's own learning rate; the rate of the schedule is ignored."""
        try:
            self._optimizer.zero_grad()
            for path, weight in self._weights.items():
                if weight.requires_grad:  # otherwise the user has frozen this weight
                    weight.grad = _laid_out_as(weight, gradient[path].squeeze(0))
            self._optimizer.step()
        except Exception as error:
            raise BackendError(f"{named(self._optimizer)} cannot take a step: {said(error)}.") from error
        for path, weight in self._weights.items():
            weight.grad = None
            if weight.dtype != torch.float32 or weight.shape != self._shapes[path]:
                raise BackendError(
                    f"optimizer must keep the shape and the type of a weight; {named(self._optimizer)} changes {path} "
                    f"to {weight.dtype} {tuple(weight.shape)}."
                )
        return self.params, state

    def memory(self) -> Memory:
        """What passes to the next epoch. Raises BackendError if the optimizer keeps something elsewhere."""
        self._check_own_memory()
        state = copy.deepcopy(self._optimizer.state_dict())
        weights, again = self._again(self.params, state)
        kinds = zip(type(self._optimizer).__mro__, type(again).__mro__, strict=False)
        known = [(self._optimizer, again), *zip(self._weights.values(), weights.values(), strict=True), *kinds]
        kept, found = _kept(self._optimizer, self._weights), _kept(again, weights)
        if lost := [name for name in {**kept, **found} if not alike(kept.get(name), found.get(name), known)]:
            raise BackendError(
                f"{named(self._optimizer)} keeps something in {', '.join(lost)} that is not in its state_dict(), and "
                "would be lost from epoch to epoch (a scheduler, a counter, what a hook remembers). Keep it in the "
                "optimizer's state or param_groups."
            )
        return Memory(self._options, state)

    def _check_own_memory(self) -> None:
        """Raise BackendError if the state shares memory with the weights: those of the next epoch are copies."""
        remembered: list[Tensor] = []
        mapped(self._optimizer.state_dict(), remembered.append)
        alias: Any = torch._C._is_alias_of  # pyright: ignore[reportAttributeAccessIssue]
        if any(alias(weight, one) for weight in self._weights.values() for one in remembered):
            raise BackendError(
                f"{named(self._optimizer)} keeps a weight's own memory in its state, which would not follow the weight "
                "from epoch to epoch. Keep a clone()."
            )

    def _again(self, params: Parameters, state: Any) -> tuple[dict[str, Tensor], Any]:
        """The optimizer made again over copies of the weights, with its state."""
        weights = weights_of(self._net, params)
        optimizer = made(self._factory, weights)
        if options_of(optimizer, weights) != self._options:
            raise BackendError(
                f"optimizer must be a function that gives the same optimizer each time; the options of "
                f"{named(optimizer)} have changed since training began. Change them in its param_groups."
            )
        try:
            optimizer.load_state_dict(copy.deepcopy(state))
            if isinstance(optimizer, torch.optim.Optimizer):
                _as_it_was(optimizer, state)
        except Exception as error:
            raise BackendError(
                f"a new {named(optimizer)} cannot take the state_dict() of the one before it: {said(error)}."
            ) from error
        return weights, optimizer


def _as_it_was(optimizer: Any, saved: Any) -> None:
    """Restore the dtype and device of tensors in the state, which PyTorch has changed to those of the weights."""
    for group, before in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        for weight, place in zip(group["params"], before["params"], strict=True):
            for name, value in saved["state"].get(place, {}).items():
                if isinstance(value, Tensor) and _kind(optimizer.state[weight][name]) != _kind(value):
                    optimizer.state[weight][name] = value.clone()


def _kept(optimizer: Any, weights: Parameters) -> dict[str, Any]:
    """Everything that an optimizer holds, by attribute, and the attributes that it has set on its weights.

    Of its state only dtypes, shapes and devices are included, because ``state_dict`` holds the numbers.
    """
    torchs = _names_of_torch(type(optimizer))
    attributes = {name: value for name, value in vars(optimizer).items() if name not in torchs}
    # A class that the user's function defines has its own variables each time.
    classes = {
        f"class {kind.__name__}": {name: value for name, value in vars(kind).items() if not name.startswith("__")}
        for kind in type(optimizer).__mro__
        if not kind.__module__.startswith(("torch.", "builtins"))
    }
    # The numbers of hooks differ each time, so only the hooks themselves are compared.
    hooks = {name: list(value.values()) for name, value in vars(optimizer).items() if name.endswith("_hooks")}
    hung = {f"weight {place}": vars(weight) for place, weight in enumerate(weights.values())}
    return {**attributes, **classes, **hooks, **hung, "state": mapped(vars(optimizer).get("state"), _kind)}


def _kind(tensor: Tensor) -> Any:
    """The dtype, shape and device of a tensor, in its place; a weight is returned as it is."""
    whole = isinstance(tensor, torch.nn.Parameter)
    return tensor if whole else (str(tensor.dtype), tuple(tensor.shape), str(tensor.device))


def _names_of_torch(kind: type) -> set[str]:
    """The private attributes that PyTorch's own code uses for itself, such as whether it has given a warning."""
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
    """The gradient with the strides of its weight, because fused kernels read both in the order of memory."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight, requires_grad=False).copy_(gradient)
