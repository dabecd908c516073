"""What a module calls in a forward pass: its activations by name, and its weight layers.

Forward hooks see modules alone. A function mode of PyTorch sees every call of a function of PyTorch, so that a module
that is used twice, and a function that is called without a module, are seen too.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.modules import activation
from torch.overrides import TorchFunctionMode

from weedout_torch.adopt.states import as_before
from weedout_torch.devices import Tensor

_NAMES = (
    "relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish",
    "hardsigmoid", "hardtanh", "softplus", "softsign", "sigmoid", "logsigmoid", "tanh", "threshold", "tanhshrink",
    "hardshrink", "softshrink", "clamp_min",
)  # fmt: skip
_OWNERS: tuple[Any, ...] = (F, torch, torch.Tensor)
#: The functions that are activations, with their names; the second table has those that change their argument.
ACTIVATIONS = {getattr(owner, name): name for owner in _OWNERS for name in _NAMES if hasattr(owner, name)}
IN_PLACE = {getattr(owner, f"{name}_"): name for owner in _OWNERS for name in _NAMES if hasattr(owner, f"{name}_")}
CONVOLUTIONS = {getattr(torch, f"conv{kind}{n}d") for kind in ("", "_transpose") for n in (1, 2, 3)}
_PRODUCTS = {
    F.linear, F.bilinear, F.multi_head_attention_forward, torch.matmul, torch.mm, torch.bmm, torch.addmm,
    torch.einsum, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.mm,
}  # fmt: skip

#: Called with the name of an activation and its value, gives the value that takes its place. It keeps none of them, and
#: may change the value where no gradient is wanted: it is new, or one that the module itself changes.
Change = Callable[[str, Tensor], Tensor]
#: Called with the path of the module that multiplies, the function, the weights, and the output; gives the output.
Multiplied = Callable[[str, Any, Sequence[Tensor], Tensor], Tensor]

#: Called with weights that have fewer inputs than they are given, gives which they read, int ``(n,)``.
Read = Callable[[Tensor], Tensor]
#: The weight layers that can be made smaller, with the axis of inputs and of weights along which they multiply. A
#: convolution has the axis of its channels before as many as its windows have, which are as many in both.
READING = {F.linear: -1} | {getattr(torch, f"conv{n}d"): 1 for n in (1, 2, 3)}


class Watch(TorchFunctionMode):
    """Sees the activations and the weight layers of a module whose paths are followed by :func:`paths_followed`.

    An activation is named after the module in which it is called, with the name of the function if that module is not
    an activation alone. The second one of a name has "#2" added, and so on.
    """

    def __init__(self, change: Change, multiplied: Multiplied | None = None, read: Read | None = None) -> None:
        super().__init__()
        self.path: list[str] = [""]
        self.kinds: list[type] = [torch.nn.Module]
        self.times: Counter[str] = Counter()
        self._change, self._multiplied, self._read = change, multiplied, read

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in ACTIVATIONS or func in IN_PLACE:
            return self._activated(func, args, kwargs)
        if self._read is not None and func in READING:
            args = _fitting(func, args, self._read)
        made = func(*args, **kwargs)
        if self._multiplied is not None and (func in CONVOLUTIONS or func in _PRODUCTS):
            weights = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.nn.Parameter)]
            if weights and isinstance(made, tuple):
                return self._multiplied(self.path[-1], func, weights, made[0]), *made[1:]
            return self._multiplied(self.path[-1], func, weights, made) if weights else made
        return made

    def _activated(self, func: Any, args: Any, kwargs: Any) -> Any:
        whole = (ACTIVATIONS | IN_PLACE)[func]
        alone = self.kinds[-1].__module__ == activation.__name__
        name = ".".join(part for part in (self.path[-1], "" if alone else whole) if part)
        self.times[name] += 1
        name += f"#{self.times[name]}" if self.times[name] > 1 else ""
        plain, given, options, in_place = _out_of_place(func, args, kwargs)
        if in_place and torch.is_grad_enabled():
            # A gradient may need what an activation was given or has made, so that neither may be what is changed.
            return given[0].copy_(self._change(name, plain(given[0].clone(), *given[1:], **options)))
        made = func(*args, **kwargs)
        changed = self._change(name, made)
        return made.copy_(changed) if in_place and changed is not made else changed


def _fitting(func: Any, args: Any, read: Read) -> Any:
    """The arguments of a weight layer, the inputs being those that its weights read, and groups as many as fit them."""
    if len(args) < 2:
        return args
    x, weight = args[:2]
    axis = READING[func]
    if func in CONVOLUTIONS and len(args) > 6 and args[6] > 1:
        return *args[:6], x.shape[axis] // weight.shape[1], *args[7:]
    return args if x.shape[axis] == weight.shape[axis] else (x.index_select(axis, read(weight)), *args[1:])


def _out_of_place(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any, bool]:
    """The same call of a function that leaves its argument as it is, and whether this one would not."""
    if func in IN_PLACE:
        name = IN_PLACE[func]
        return next(getattr(owner, name) for owner in _OWNERS if hasattr(owner, name)), args, kwargs, True
    if (place := _place_of_in_place(func)) is None:
        return func, args, kwargs, False
    in_place = bool(kwargs.get("inplace", args[place] if len(args) > place else False))
    rest = {name: value for name, value in kwargs.items() if name != "inplace"}
    return func, args[:place] + (False,) * (len(args) > place) + args[place + 1 :], rest, in_place


@cache
def _place_of_in_place(func: Any) -> int | None:
    try:
        names = list(inspect.signature(func).parameters)
    except (TypeError, ValueError):  # a function of C
        return None
    return names.index("inplace") if "inplace" in names else None


@contextmanager
def paths_followed(module: torch.nn.Module, watch: Watch) -> Generator[None]:
    """Inside this context a watch knows in which part of a module it is. The hooks for it are removed at its end."""
    handles: list[Any] = []
    for path, part in list(module.named_modules())[1:]:  # without itself, in which it begins

        def entered(part: Any, _: Any, path: str = path) -> None:
            watch.path.append(path)
            watch.kinds.append(type(part))

        def left(*_: Any) -> None:
            watch.path.pop()
            watch.kinds.pop()

        handles += [part.register_forward_pre_hook(entered), part.register_forward_hook(left, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def called(
    module: torch.nn.Module,
    arrays: dict[str, Tensor],
    x: Tensor,
    change: Change,
    multiplied: Multiplied | None = None,
    read: Read | None = None,
) -> tuple[Any, Counter[str]]:
    """What a module gives for inputs with other parameters and buffers, its activations changed; and how often each
    activation was called, by its name.

    Buffers that the module assigns take their places in ``arrays``; all else that it remembers is forgotten.
    """
    watch = Watch(change, multiplied, read)
    with paths_followed(module, watch), as_before(module), watch:
        return torch.func.functional_call(module, arrays, (x,)), watch.times
