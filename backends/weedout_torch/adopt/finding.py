"""The sites of a module: the activations of one forward pass, and which of them are masked."""

import itertools
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import FrameType
from typing import Any, NamedTuple

import torch

from weedout_core.errors import ConfigError
from weedout_torch.adopt.origins import Origins
from weedout_torch.adopt.watching import CONVOLUTIONS, READING, called
from weedout_torch.devices import Tensor

_APPLY: Any = torch.autograd.Function.apply.__func__.__code__  # pyright: ignore[reportFunctionMemberAccess]


class Activation(NamedTuple):
    """An activation of a module.

    Attributes:
        name: its name.
        shape: of its value, with the axis of examples.
        axis: the axis of its channels.
        after, before: the paths of the modules whose weights were last multiplied for it, and first with it; "" if
            there is none.
        whole: whether it has a value for everything that the weight layer before it has computed.
        hidden: whether it is called within a function that computes its gradient itself.
    """

    name: str
    shape: tuple[int, ...]
    axis: int
    after: str
    before: str
    whole: bool
    hidden: bool = False


class Found(NamedTuple):
    """What was seen in a forward pass.

    Attributes:
        logits: what the module gave.
        activations: in the order in which they were computed.
        macs: {path of a parameter: the multiply-adds for one example in which it takes part}.
        reads: {path of a parameter: the axis, below 0, along which it is multiplied with an activation}.
        times: how often each activation was called, by its name without its number.
    """

    logits: Tensor
    activations: list[Activation]
    macs: dict[str, int]
    reads: dict[str, int]
    times: Mapping[str, int]


class _Layer(NamedTuple):
    """A weight layer.

    Attributes:
        number: of its call, from 0.
        path: of its module.
        shape: of its output.
        features: the axis of that which has its features.
    """

    number: int
    path: str
    shape: tuple[int, ...]
    features: int


class _Made(NamedTuple):
    """What an activation made: its name, its shape, the weight layer before it, and whether its gradient is hidden."""

    name: str
    shape: tuple[int, ...]
    after: _Layer | None
    hidden: bool


def find(module: torch.nn.Module, x: Tensor, given: torch.nn.Module) -> Found:
    """Run a copy of a module on inputs, and see what it calls.

    Raises:
        BackendError: it computes with the weights of the module of which it is a copy.
    """
    names = {id(value): path for path, value in module.named_parameters()}
    made: list[_Made] = []
    layers: list[_Layer] = []
    before: dict[int, _Layer] = {}
    macs: dict[str, int] = {}
    reads: dict[str, int] = {}
    arrays = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    origins = Origins([x, *arrays.values()], given)

    def activated(name: str, value: Tensor) -> Tensor:
        layer = origins.activated(value, len(made)).layer
        made.append(_Made(name, tuple(value.shape), layers[layer] if layer >= 0 else None, _gradient_is_hidden()))
        return value

    def multiplied(path: str, func: Any, weights: Sequence[Tensor], output: Tensor) -> Tensor:
        layer = _Layer(len(layers), path, tuple(output.shape), _features(func, output))
        for number in origins.multiplied(output, len(layers)).open:
            before.setdefault(number, layer)
        layers.append(layer)
        for weight in weights:
            if weight.ndim > 1 and id(weight) in names:
                times = output.numel() // len(x) // max(1, output.shape[layer.features])
                macs[names[id(weight)]] = macs.get(names[id(weight)], 0) + weight.numel() * times
                if func in READING:
                    reads[names[id(weight)]] = READING[func] - weight.ndim * (READING[func] > 0)
        return output

    with torch.no_grad(), origins:
        logits, times = called(module, arrays, x, activated, multiplied)
    found = [_activation(one, before.get(number)) for number, one in enumerate(made)]
    found = [
        one._replace(axis=_probed(module, x, one, of.after)) if of.after and one.shape.count(one.shape[one.axis]) > 1
        else one
        for one, of in zip(found, made, strict=True)
    ]  # fmt: skip
    return Found(logits, found, macs, reads, times)


def _features(func: Any, output: Tensor) -> int:
    return 1 if func in CONVOLUTIONS else output.ndim - 1


def _gradient_is_hidden() -> bool:
    """Whether a ``torch.autograd.Function`` is being applied."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not _APPLY:
        frame = frame.f_back
    return frame is not None


def _probed(module: torch.nn.Module, x: Tensor, one: Activation, after: _Layer) -> int:
    """The axis of an activation along which a NaN in one feature of the weight layer before it lies at one place.

    That which its shape says, if the NaN does not show one.
    """
    arrays, seen, calls = {**dict(module.named_parameters()), **dict(module.named_buffers())}, [], itertools.count()

    def activated(name: str, value: Tensor) -> Tensor:
        seen.extend([value.isnan()] * (name == one.name))
        return value

    def multiplied(path: str, func: Any, weights: Sequence[Tensor], output: Tensor) -> Tensor:
        if next(calls) != after.number:
            return output
        here = torch.arange(output.shape[after.features]) == 0
        return output.masked_fill(here.view(-1, *[1] * (output.ndim - 1 - after.features)), torch.nan)

    with torch.no_grad():
        called(module, arrays, x, activated, multiplied)
    lost = seen[0].movedim(0, -1)  # the examples last
    axes = [axis for axis in range(1, len(one.shape)) if _one_place(lost.movedim(axis - 1, 0).flatten(1))]
    return axes[0] if len(axes) == 1 else one.axis


def _one_place(lost: Tensor) -> bool:
    return int(lost.all(1).sum()) == 1 and int(lost.any(1).sum()) == 1


def _activation(made: _Made, before: _Layer | None) -> Activation:
    name, shape, after, hidden = made
    around = [layer for layer in (after, before) if layer is not None and len(layer.shape) == len(shape)]
    # That of the layer before it, if it has as many features; else, as after a concatenation, of the layer after it.
    axes = [
        layer.features for layer in around if layer is before or shape[layer.features] == layer.shape[layer.features]
    ]
    axes += [layer.features for layer in around] + [len(shape) - 1]
    whole = after is not None and _is_whole(shape, after.shape)
    paths = (after.path if after else "", before.path if after and before else "")
    return Activation(name, shape, axes[0], *paths, whole, hidden)


def _is_whole(made: tuple[int, ...], output: tuple[int, ...]) -> bool:
    """Whether an activation has the axes of the weight layer before it, of which none was summed away."""
    same = len(made) == len(output) and len(made) > 1
    return same and all(own > 1 or whole == 1 for own, whole in zip(made[1:], output[1:], strict=True))


def chosen(
    found: Found, more: Found, sites: tuple[str, ...] | None, names: Mapping[str, str]
) -> list[tuple[str, Activation]]:
    """The activations that are masked, each with the name of its site.

    Args:
        found, more: what was seen of a few examples, and of another number: an axis may be as long by chance.
        sites, names: as in ``wc.adopt``.
    Raises:
        ConfigError: a pattern or a name matches nothing, nothing is left, examples are no first axis, or two sites
            would have one name.
    """
    listed = f"The activations of the model are {', '.join(one.name for one in found.activations) or 'none'}."
    few, many = len(found.logits), len(more.logits)
    shapes = {one.name: (many, *one.shape[1:]) for one in found.activations}
    seen = shapes | {one.name: one.shape for one in more.activations}
    can = [
        one for one in found.activations
        if len(one.shape) > 1 and one.shape[0] == few and seen[one.name] == shapes[one.name]
    ]  # fmt: skip
    some = [one for one in can if one.whole and one.before]
    if not some and sites != () and (elsewhere := [one for one in found.activations if one.whole and one.before]):
        raise ConfigError(
            f"activations must have the examples first; {elsewhere[0].name!r} has the shape {elsewhere[0].shape} for "
            f"{few} examples and {seen[elsewhere[0].name]} for {many}. Let the model compute with batches first, such "
            "as by batch_first=True."
        )
    if sites is not None:
        for pattern in sites:
            if not any(fnmatchcase(one.name, pattern) for one in can):
                raise ConfigError(f"sites must be activations of the model; none is called {pattern!r}. {listed}")
        some = [one for one in can if any(fnmatchcase(one.name, pattern) for pattern in sites)]
    if not some and sites != ():
        raise ConfigError(
            "the model must have an activation between its first and its last weight layer; got none. Name those that "
            f"are to be masked by sites=. {listed}"
        )
    if unknown := set(names) - {one.name for one in some}:
        raise ConfigError(f"names must be those of sites; {min(unknown)!r} is none. {listed}")
    called = [names.get(one.name, one.name) for one in some]
    if twice := [site for site in called if called.count(site) > 1]:
        raise ConfigError(f"sites must have names of their own; got {twice[0]!r} twice. Take other names=.")
    return list(zip(called, some, strict=True))
