"""The sites of a model: which of its activations are masked, and where their axes are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from weedout_core.errors import BackendError, ConfigError
from weedout_core.nn import Units
from weedout_jax.adopt.activations import CLAMP, TAG
from weedout_jax.adopt.finding import Activated, Event, Product


class Activation(NamedTuple):
    """What a model calls, and may be an activation.

    Attributes:
        name: its name; "" for what has no value for each example, or is only the maximum of a variance and 0.
        kind: the name of its function, or its tag.
        params: the parameters of which it is computed.
        shape: of its value for one example.
        examples, channels: the axes of examples and of channels; -1 for what has no name.
        after, before: the parameters that were last multiplied before it, and next after it; "" if there are none.
        whole: whether it has a value for everything that the weight layer before it has computed.
        inside: the loop or the like that hides it; None for one that can be masked.
        certain: whether the axis of channels is known, and not only likely.
    """

    name: str
    kind: str
    params: frozenset[str]
    shape: tuple[int, ...]
    examples: int
    channels: int
    after: str
    before: str
    whole: bool
    inside: str | None
    certain: bool


def calls_of(few: Sequence[Event], more: Sequence[Event], counts: tuple[int, int]) -> list[Activation]:
    """All that a model calls, in its order, of a trace with few examples and one with more.

    The axis of examples is the one that tells them apart, wherever a ``vmap`` has put it.
    """
    found: list[Activation] = []
    last: Product | None = None
    of_last: int | None = None
    times: Counter[str] = Counter()
    for event, other in zip(few, more, strict=True):
        place = _axis(event.shape, other.shape, counts)
        if isinstance(event, Product):
            path = "+".join(event.params)
            found[:] = [one._replace(before=one.before or path) if one.after else one for one in found]
            last, of_last = event, place
            continue
        call = _call(event, place, last, of_last)
        if call.examples >= 0 and (call.whole or call.kind != CLAMP):
            label = "relu" if call.kind == CLAMP else call.kind.removeprefix(TAG)
            times[label] += 1
            call = call._replace(name=label + (f"#{times[label]}" if times[label] > 1 else ""))
        found.append(call)
    return found


def _call(event: Activated, place: int | None, last: Product | None, of_last: int | None) -> Activation:
    after = "" if last is None else "+".join(last.params)
    call = Activation("", event.kind, event.params, event.shape, -1, -1, after, "", False, event.inside, False)
    if place is None or len(event.shape) < 2:
        return call
    whole = last is not None and _is_whole(event, place, last, of_last)
    channels, certain = _channels(event, place, last)
    return call._replace(
        shape=_without(event.shape, place), examples=place, channels=channels, whole=whole, certain=certain
    )


def _axis(one: tuple[int, ...], other: tuple[int, ...], counts: tuple[int, int]) -> int | None:
    differ = [axis for axis, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]]
    return differ[0] if len(differ) == 1 and (one[differ[0]], other[differ[0]]) == counts else None


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _channels(event: Activated, examples: int, last: Product | None) -> tuple[int, bool]:
    """The axis of channels, with whether it is certain: that of the features of the weight layer before it.

    Where these are lost, as in what attention computes, it is likely the one that is as long, or else the last one.
    """
    axes = [axis for axis in range(len(event.shape)) if axis != examples]
    if event.features in axes:
        return event.features, True
    size = 0 if last is None else last.shape[last.features]
    return next((axis for axis in reversed(axes) if event.shape[axis] == size), axes[-1]), len(axes) == 1


def _is_whole(event: Activated, examples: int, last: Product, of_last: int | None) -> bool:
    """Whether an activation has the axes of the weight layer before it, of which none was summed away."""
    if len(event.shape) != len(last.shape):
        return False
    made, output = _without(event.shape, examples), _without(last.shape, examples if of_last is None else of_last)
    return all(own > 1 or whole == 1 for own, whole in zip(made, output, strict=True))


def chosen(
    found: Sequence[Activation],
    sites: tuple[str, ...] | None,
    names: Mapping[str, str],
    model: str,
    granularity: Units,
) -> list[tuple[str, Activation]]:
    """The activations that are masked, each with the name of its site: those that are tagged, if any are.

    Raises:
        ConfigError: a pattern or a name matches nothing, or nothing is left.
        BackendError: an activation is hidden in a loop, or has channels that are to be masked and cannot be found.
    """
    listed = f"The activations of the model are {', '.join(one.name for one in found) or 'none'}."
    tagged = [one for one in found if one.kind.startswith(TAG)]
    some = tagged or [one for one in found if one.whole and one.before]
    if sites is not None:
        for pattern in sites:
            if not any(fnmatchcase(one.name, pattern) for one in found):
                raise ConfigError(f"sites must be activations of the model; none is called {pattern!r}. {listed}")
        some = [one for one in found if any(fnmatchcase(one.name, pattern) for pattern in sites)]
    for one in some:
        if one.inside is not None:
            raise BackendError(
                f"the activation {one.name!r} of {model} is inside {one.inside}, where one mask would be laid on every "
                "turn. Write the loop out, or name other activations by sites=."
            )
        if granularity == "channel" and not one.certain:
            raise BackendError(
                f"the axis of channels of {one.name!r} in {model} must be known for granularity='channel'; it is lost "
                f"among those of {one.shape}. Take granularity='node', or name other activations by sites=."
            )
    if not some and sites != ():
        raise ConfigError(
            "the model must have an activation between its first and its last weight layer; got none. Name those that "
            'are to be masked by sites=, or tag them by jax.ad_checkpoint.checkpoint_name(h, "weedout:h"). '
            f"{listed}"
        )
    if unknown := set(names) - {one.name for one in some}:
        raise ConfigError(f"names must be those of sites; {min(unknown)!r} is none. {listed}")
    return [(names.get(one.name, one.name), one) for one in some]
