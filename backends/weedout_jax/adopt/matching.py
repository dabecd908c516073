"""The activations of one trace of a model, found again in another: all of them, in their order, and no others.

They are told apart by their functions, their shapes, and the parameters of which they are computed.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeVar

from weedout_core.errors import BackendError
from weedout_jax.adopt.choosing import Activation
from weedout_jax.adopt.finding import Activated, Event, Product
from weedout_jax.adopt.pure import SAID, Mode

_T = TypeVar("_T")
_Other = TypeVar("_Other")


def same_for_more(few: Sequence[Event], more: Sequence[Event], counts: tuple[int, int], said: str) -> None:
    """Raise BackendError unless a model calls the same for another number of examples, as ``said`` names it."""

    def alike(one: Event, other: Event) -> bool:
        kinds = [_kind(event) for event in (one, other)]
        return kinds[0] == kinds[1] and one.params == other.params and len(one.shape) == len(other.shape)

    _no_difference(few, more, alike, f"{said} must compute the same for {counts[0]} as for {counts[1]} examples; then")


def same_in_training(calls: Mapping[Mode, Sequence[Activation]], model: str) -> None:
    """Raise BackendError unless a model has the same activations in every mode."""
    found: dict[Mode, list[Activation]] = {mode: [one for one in some if one.name] for mode, some in calls.items()}
    required = f"{model} must have the same activations in training and after it;"
    for mode in ("train", "batch"):
        _no_difference(found["running"], found[mode], _alike, f"{required} {SAID[mode]}")


def numbers_of(
    events: Sequence[Event], calls: Sequence[Activation], examples: int, smaller: bool, said: str
) -> dict[str, int]:
    """The equation of each activation in another trace, {name: its number}.

    Args:
        events: the trace.
        calls: what was called when the model was adopted, in the mode of the trace.
        examples: the number of examples of the trace.
        smaller: whether weights have fewer nodes: activations may then have fewer channels.
        said: the model and the mode.
    Raises:
        BackendError: the model calls something else.
    """
    now = [event for event in events if isinstance(event, Activated)]

    def fits(call: Activation, event: Activated) -> bool:
        alike = (call.kind, call.params, call.inside) == (event.kind, event.params, event.inside)
        return alike and (not call.name or _fits(event.shape, call, examples, smaller))

    _no_difference(
        calls, now, fits, f"{said}, must have the same activations for any number of examples; with {examples} of them"
    )
    return {call.name: event.number for call, event in zip(calls, now, strict=True) if call.name}


def _alike(one: Activation, other: Activation) -> bool:
    first, second = ((it.kind, it.params, it.shape, it.examples, it.inside) for it in (one, other))
    return first == second


def _fits(shape: tuple[int, ...], call: Activation, examples: int, smaller: bool) -> bool:
    whole = (*call.shape[: call.examples], examples, *call.shape[call.examples :])
    if len(shape) != len(whole):
        return False
    return all(
        own == length or (smaller and axis == call.channels and own < length)
        for axis, (own, length) in enumerate(zip(shape, whole, strict=True))
    )


def _no_difference(
    wanted: Sequence[_T], got: Sequence[_Other], alike: Callable[[_T, _Other], bool], required: str
) -> None:
    for place, (one, other) in enumerate(zip_longest(wanted, got)):
        if one is None or other is None or not alike(one, other):
            raise BackendError(f"{required} call {place + 1} is {_said(other)}, and not {_said(one)}.")


def _said(call: Any) -> str:
    if call is None:
        return "none"
    some = sorted(call.params)
    of = ", ".join(some[:3]) + ("" if len(some) <= 3 else f" and {len(some) - 3} more")
    each = " for each example" if isinstance(call, Activation) and call.name else ""
    return f"{_kind(call)} of the shape {call.shape}{each}, computed of {of or 'no weights'}"


def _kind(event: Any) -> str:
    return "a product" if isinstance(event, Product) else event.kind
