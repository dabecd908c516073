"""Of which weight layers and activations the values of a forward pass are computed: the order of calls is another one,
where a model has branches.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from weedout_core.errors import BackendError
from weedout_torch.devices import Tensor


class Origin(NamedTuple):
    """What a value is computed of.

    Attributes:
        layer: the number of the last weight layer; -1 if there is none.
        open: the numbers of the activations after which there is no weight layer yet.
    """

    layer: int = -1
    open: frozenset[int] = frozenset()


class Origins(TorchFunctionMode):
    """Follows the origins of values through all functions of PyTorch.

    A value whose making is not seen, as in a compiled script, is taken to be computed of all before it.

    Args:
        given: the values that are computed of nothing, such as the inputs.
        copied: the module of which that is a copy whose values are followed.
    """

    def __init__(self, given: Iterable[Tensor], copied: torch.nn.Module) -> None:
        super().__init__()
        self._known: Any = WeakTensorKeyDictionary()
        self._all = Origin()
        self._foreign = {id(value): path for path, value in copied.named_parameters()}
        for value in given:
            self._known[value] = Origin()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in _tensors(args):
            if id(value) in self._foreign:
                raise BackendError(
                    f"{self._foreign[id(value)]!r} is read by a function that a copy of the module keeps, such as a "
                    "lambda made in __init__, which belongs to the module that was copied. Make it a method."
                )
        made, origin = func(*args, **(kwargs or {})), self._of(args, kwargs)
        for value in _tensors(made):
            self._known[value] = origin
        return made

    def activated(self, made: Tensor, number: int) -> Origin:
        """The origin of what an activation made, which from now on is one of those after which there is no layer."""
        origin = self._of(made)
        self._known[made] = origin._replace(open=origin.open | {number})
        self._all = self._all._replace(open=self._all.open | {number})
        return origin

    def multiplied(self, made: Tensor, layer: int) -> Origin:
        """The origin of what a weight layer made, which from now on is of this layer."""
        origin = self._of(made)
        self._known[made] = Origin(layer)
        self._all = self._all._replace(layer=layer)
        return origin

    def _of(self, *values: Any) -> Origin:
        """The origin of what is computed of values, tensors or trees of them."""
        from_ = [self._known.get(value, self._all) for value in _tensors(values)]
        layers, opened = [one.layer for one in from_], [one.open for one in from_]
        return Origin(max(layers, default=-1), frozenset[int]().union(*opened))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _tensors(one)
