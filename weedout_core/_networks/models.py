"""A model of another library as the one layer of a network: what the core must know of it, as data.

An adopted model computes its logits by itself; between its first and its last weight layer are the sites where a mask
is applied. Parameters and statistics have the names that its own library gives them. The core never runs it: the
backend that adopted it does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Name, NonNegative, Positive

_Sized = tuple[Positive, ...]
_Tree = Mapping[str, np.ndarray]


class Place(NamedTuple):
    """A site of an adopted model.

    Attributes:
        site: its name, by which its mask is drawn and handed in.
        shape: the shape of its mask, channels last: all of the activation but the examples, or its channels alone.
        after: what computes the activation that is masked, with the weight layer before it.
        before: the weight layer that comes next.
        whole: whether a smaller model computes the activation whole and under its mask, so that arrays which follow the
            site only leave out what they read of it; otherwise it computes the kept nodes alone.
        within: the site whose kept nodes are all the channels that the activation has in a smaller model, where masks
            follow each other with no weights between channels; "" for none.
    """

    site: Name
    shape: _Sized
    after: str
    before: str
    whole: bool = True
    within: str = ""


class Follows(NamedTuple):
    """An axis of an array whose every part belongs to one node of a site: a removed node leaves its part without use.

    Attributes:
        axis: the axis, counted from the end, below 0.
        site: the site. The axis has the parts of its nodes one after another, in their order.
        repeats: how often they come one after another, as where the channels of an image were flattened last.
        each: how many entries in a row belong to one node, as where the channels of an image were flattened first.
    """

    axis: int
    site: Name
    repeats: Positive = 1
    each: Positive = 1


class Held(NamedTuple):
    """A parameter or a running statistic.

    Attributes:
        path: the name that its library gives it.
        shape: its shape.
        macs: the multiply-adds of the weight layers in which it takes part, for one example.
        reads: the axis, counted from the end, along which it is multiplied with an activation, if the backend can take
            the kept nodes of a whole activation for it; 0 for none.
        follows: the axes that follow a site, each at most one.
        frozen: whether a training leaves it as it is, as its library marks it.
        connections: whether it is a site itself, by its path: it is multiplied by a mask of its own shape.
    """

    path: Name
    shape: tuple[NonNegative, ...]
    macs: NonNegative = 0
    reads: int = 0
    follows: tuple[Follows, ...] = ()
    frozen: bool = False
    connections: bool = False


@runtime_checkable
class Model(Protocol):
    """The model itself, as the backend that adopted it holds it. It is never changed.

    Attributes:
        params, statistics: its weights and running statistics when it was adopted, {path: float32 ``shape``}.
    """

    @property
    def params(self) -> Mapping[str, np.ndarray]: ...

    @property
    def statistics(self) -> Mapping[str, np.ndarray]: ...

    def gradient(self, params: _Tree, statistics: _Tree, masks: _Tree, x: np.ndarray) -> _Tree:
        """The gradient of some combination of all logits, with the running statistics: {path: ``shape``}.

        Args:
            params, statistics: {path: float32 ``shape``}.
            masks: {site: bool ``shape``}.
            x: float32 ``(examples, *input_shape)``.
        Returns:
            it with respect to every parameter and every running statistic.
        """
        ...

    def rebuild(self, layer: "Adopted", params: _Tree, statistics: _Tree, mask: _Tree) -> Any:
        """The model of its own library again, with these weights and statistics; {} masks nothing.

        Args:
            layer: what the arrays fit: itself as it was adopted, or a smaller one.
            params, statistics, mask: {path: ``shape``}, {site: bool ``shape``}.
        """
        ...


@dataclass(frozen=True)
class Adopted:
    """A model of another library: one layer, from the inputs to the logits. Compared and hashed without the model.

    Attributes:
        name: what it is called, such as "ResNet".
        backends: the names of the backends that compute it.
        classes: the number of logits, ≥ 2.
        places: its sites, in the order in which they are computed.
        params, statistics: its parameters and running statistics.
        digest: the SHA-256 of what it computes, with its weights and statistics when it was adopted, in hexadecimal.
        trained_whole: whether a training computes it whole, under its masks, because a smaller one would be trained in
            another way, as where dropout would draw other numbers.
        model: the model; None in a network that was read from a file.
    Raises:
        ConfigError: a field has a wrong type, or is out of its range.
    """

    name: Name
    backends: tuple[Name, ...]
    classes: Positive
    places: tuple[Place, ...]
    params: tuple[Held, ...]
    statistics: tuple[Held, ...]
    digest: Name
    trained_whole: bool = False
    model: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        convert_fields(self, " of Adopted")

    @property
    def readers(self) -> dict[str, Follows]:
        """{path of weights: what they read of a site whose activation stays whole in a smaller model}."""
        whole = {place.site for place in self.places if place.whole}
        return {
            held.path: one
            for held in self.params
            for one in held.follows
            if one.axis == held.reads and one.site in whole
        }


def from_plain(places: Sequence[Any], params: Sequence[Any], statistics: Sequence[Any], **others: Any) -> Adopted:
    """An adopted model from its fields, whose records are plain tuples, as JSON gives them."""
    return Adopted(
        places=tuple(Place(*one) for one in places),
        params=tuple(map(_held, params)),
        statistics=tuple(map(_held, statistics)),
        **others,
    )


def _held(fields: Sequence[Any]) -> Held:
    path, shape, macs, reads, follows, *marks = fields
    return Held(path, shape, macs, reads, tuple(Follows(*one) for one in follows), *marks)
