"""The functions in a backend's record: their arguments are checked, and they run inside the backend's fence."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache, update_wrapper
from types import MappingProxyType
from typing import Any

from weedout_core._contract import calls, optional_calls
from weedout_core._contract.fence import Fence, our_numpy
from weedout_core._contract.fitting import FITTING
from weedout_core._guard.guarded import converter

#: The functions of the record by name, each with the Protocol that specifies it.
CALLS: Mapping[str, type[Any]] = MappingProxyType(
    {
        "asarray": calls.AsArray,
        "to_numpy": calls.ToNumpy,
        "random_bits": calls.RandomBits,
        "keep_smallest": calls.KeepSmallest,
        "masks_from_keys": calls.MasksFromKeys,
        "draw_parameters": calls.DrawParameters,
        "score_population": calls.ScorePopulation,
        "predict": calls.Predict,
        "train_init": calls.TrainInit,
        "train_epoch": calls.TrainEpoch,
        "mask_gradient": optional_calls.MaskGradient,
        "adopt": optional_calls.Adopt,
        "compiled_memory": optional_calls.CompiledMemory,
        "score_trained": optional_calls.ScoreTrained,
    }
)


#: Functions that take any value, and raise errors of their own for what they cannot read.
_OF_ANYTHING = ("asarray", "to_numpy")


class CheckedCall:
    """A function of a backend that refuses arguments outside its contract. Equal if function and fence are equal."""

    def __init__(self, name: str, function: Callable[..., Any], fence: Fence) -> None:
        update_wrapper(self, function)  # its signature
        self._name = name
        self._made = (function, fence)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function, fence = self._made
        if self._name not in _OF_ANYTHING:
            names, converted, fitting = _contract(self._name)
            args, kwargs = converted(args, kwargs)
            fitting(**dict(zip(names, args, strict=False)), **kwargs)
        with fence(), our_numpy():
            return function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckedCall) and self._made == other._made

    def __hash__(self) -> int:
        return hash(self._made)

    def inside(self, fence: Fence) -> bool:
        """Whether it runs its function in this fence."""
        return self._made[1] == fence


def checked_call(name: str, function: Callable[..., Any], fence: Fence) -> Callable[..., Any]:
    """Wrap a function for the record. One that runs in this fence already is returned as it is."""
    there = isinstance(function, CheckedCall) and function.inside(fence)
    return function if there else CheckedCall(name, function, fence)


@cache
def _contract(name: str) -> tuple[list[str], Callable[..., Any], Callable[..., None]]:
    """The parameters of a function, the converter of its arguments, and the check that these fit each other."""
    like = CALLS[name].__call__
    return list(inspect.signature(like).parameters)[1:], converter(like, first=1), FITTING.get(name, _fits)


def _fits(**given: Any) -> None:
    """No check: the arguments of this function do not depend on each other."""
