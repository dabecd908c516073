"""Which axes of an adopted model's arrays follow its sites: shown by gradients, and believed where the model runs.

A node that a mask removes gives 0, whatever comes to it. The gradient of the logits is then exactly 0 along all that
leads to this node alone and along all that reads it. With a random half of every site removed, one gradient shows for
every axis of every array which site it follows, if any.
"""

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from weedout_core._networks.layers import InputShape
from weedout_core._networks.models import Adopted, Follows, Held, Place
from weedout_core._networks.network import the_model

_DRAWS = 4  # a unit that is 0 for all examples looks like a removed one; in all draws at once, hardly
_ALIVE = 2  # of so many draws at least must an array have a gradient: one that has none follows everything
_EXAMPLES = 8  # the variance of a few is an accident of rounding
_NOISE = 0.1  # of an array that has one value alone
_SHIFT = 0.5  # of one that is all zeros

Tree = Mapping[str, np.ndarray]
Sites = tuple[str, ...]


class Draw(NamedTuple):
    """Weights, masks and inputs with which a model is tried.

    Attributes:
        params, statistics: {path: float32 ``shape``}. With its own weights a model may show nothing, as one whose head
            begins with zeros.
        masks: {site: bool ``shape``}.
        x: float32 ``(examples, *input_shape)``.
    """

    params: Tree
    statistics: Tree
    masks: Tree
    x: np.ndarray


#: Whether a model that is smaller by what its arrays follow computes the same.
Works = Callable[[Adopted], bool]
#: How many nodes a draw removes, of so many of the site with a number.
Removed = Callable[[int, int, np.random.Generator], int]


def trials(layer: Adopted, input_shape: InputShape) -> list[Draw]:
    """Draws under which a smaller model must compute the same, the one that shows the most at the end.

    A quarter of each site is removed, so that something is left where masks follow each other: the first nodes, which
    lie in one group if a layer has groups, or any. Then all nodes but one of every second site, and those of the
    others; and of every site another share. What looks at the zeros of an activation, or at its length, computes
    something else when there are none.
    """
    first, *others = (
        _drawn(layer, input_shape, _DRAWS + number, removed)
        for number, removed in enumerate((_quarter, _quarter, _all_but_one(0), _all_but_one(1), _any_share))
    )
    ordered = {site: np.sort(mask, axis=None).reshape(mask.shape) for site, mask in first.masks.items()}
    return [first._replace(masks=ordered), *others]


def _half(nodes: int, site: int, rng: np.random.Generator) -> int:
    return nodes // 2


def _quarter(nodes: int, site: int, rng: np.random.Generator) -> int:
    return nodes // 4


def _all_but_one(parity: int) -> Removed:
    return lambda nodes, site, rng: nodes - 1 if site % 2 == parity else 0


def _any_share(nodes: int, site: int, rng: np.random.Generator) -> int:
    return int(rng.integers(nodes))


def _drawn(layer: Adopted, input_shape: InputShape, seed: int, removed: Removed) -> Draw:
    """Draw weights, inputs, and masks that remove so many nodes of each site: one at least, if there are two.

    Arrays of zeros, as biases are at first, become positive, so that few nodes are 0 for all examples. Others keep
    their mean: scales that grow from layer to layer would make numbers that are mostly roundings.
    """
    rng, model = np.random.default_rng(seed), the_model(layer)

    def noise(value: np.ndarray) -> np.ndarray:
        scale = (value.std() if value.size else 0) or _NOISE
        return np.asarray(rng.standard_normal(value.shape, np.float32) * np.float32(scale))

    def weights(value: np.ndarray) -> np.ndarray:
        return np.asarray(value + noise(value) if value.any() else _SHIFT / _NOISE * np.abs(noise(value)))

    def mask(site: int, shape: tuple[int, ...]) -> np.ndarray:
        nodes = math.prod(shape)
        return (rng.permutation(nodes) >= max(removed(nodes, site, rng), min(1, nodes - 1))).reshape(shape)

    return Draw(
        {path: weights(value) for path, value in model.params.items()},
        {path: np.asarray(value + np.abs(noise(value))) for path, value in model.statistics.items()},  # variances: > 0
        {place.site: mask(number, place.shape) for number, place in enumerate(layer.places)},
        rng.standard_normal((_EXAMPLES, *input_shape), np.float32),
    )


def followed(layer: Adopted, input_shape: InputShape, works: Works) -> Adopted:
    """A model as it was adopted, with what its arrays follow.

    Of each site either all axes are believed, and its activation becomes smaller; or those alone that read it, and the
    activation stays whole; or none. The most sites are taken for which the smaller model computes the same.

    Args:
        layer: the model, of whose arrays nothing is known.
        input_shape: the shape of one input.
        works: tries a model.
    """
    masks: list[Tree] = []
    zeros: list[dict[str, list[np.ndarray]]] = []
    for seed in range(_DRAWS):
        draw = _drawn(layer, input_shape, seed, _half)
        masks.append(draw.masks)
        zeros.append({path: _zeros(value) for path, value in the_model(layer).gradient(*draw).items()})
    shown = {held.path: _shown([one[held.path] for one in zeros], masks) for held in (*layer.params, *layer.statistics)}
    leading = {one.site for some in shown.values() for one in some}
    sites = tuple(place.site for place in layer.places if place.site in leading)

    @cache
    def work(smaller: Sites, read: Sites) -> bool:
        return works(_following(layer, shown, smaller, read))

    smaller = _most(sites, lambda some: work(some, ()))
    read = _most(tuple(site for site in sites if site not in smaller), lambda some: work(smaller, some))
    return _following(layer, shown, smaller, read)


def _zeros(gradient: np.ndarray) -> list[np.ndarray]:
    """For each axis of an array, the last one first, along which of its entries all are 0: bool ``(length,)``."""
    axes, some = range(gradient.ndim), gradient != 0
    return [~some.any(axis=tuple(other for other in axes if other != axis)) for axis in reversed(axes)]


def _shown(zeros: Sequence[Sequence[np.ndarray]], masks: Sequence[Tree]) -> tuple[Follows, ...]:
    """Each axis of an array with each site that it may follow, from what was 0 under each of some masks."""
    found: list[Follows] = []
    for axis, removed in enumerate(zip(*zeros, strict=True)):
        if all(one.any() for one in removed) and sum(not one.all() for one in removed) >= _ALIVE:
            tried = (_as_site(-1 - axis, site, removed, [one[site] for one in masks]) for site in masks[0])
            found += [one for one in tried if one is not None]
    return tuple(found)


def _as_site(axis: int, site: str, removed: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> Follows | None:
    """How an axis follows a site; None if it does not."""
    times, rest = divmod(len(removed[0]), masks[0].size)
    if rest or masks[0].all():
        return None
    for each in (each for each in range(1, times + 1) if times % each == 0):
        gone = [np.tile(np.repeat(~mask.reshape(-1), each), times // each) for mask in masks]
        if all((zero | ~node).all() for zero, node in zip(removed, gone, strict=True)):
            return Follows(axis, site, times // each, each)
    return None


def _most(sites: Sites, work: Callable[[Sites], bool]) -> Sites:
    """The most sites that work together, nearly: a half is tried after the other, with what was found to work."""
    if not sites or work(sites):
        return sites
    if len(sites) == 1:
        return ()
    first = _most(sites[: len(sites) // 2], work)
    return first + _most(sites[len(sites) // 2 :], lambda more: work(first + more))


def _following(
    layer: Adopted, shown: Mapping[str, Sequence[Follows]], smaller: Sequence[str], read: Sequence[str]
) -> Adopted:
    """The model with all that is shown of some sites, and of others with the axes that read them."""
    axes, gone = _axes(shown), set(smaller)

    def of(held: Held) -> Held:
        some = [one for one in shown[held.path] if one.site in gone or (one.site in read and one.axis == held.reads)]
        first = {one.axis: one for one in reversed(some)}
        return held._replace(follows=tuple(first[axis] for axis in sorted(first)))

    return replace(
        layer,
        places=tuple(
            one._replace(whole=one.site not in gone, within=_around(one, layer.places, axes, gone))
            for one in layer.places
        ),
        params=tuple(map(of, layer.params)),
        statistics=tuple(map(of, layer.statistics)),
    )


def _around(place: Place, places: Sequence[Place], axes: Mapping[str, set[tuple[str, int]]], smaller: Set[str]) -> str:
    """The site that makes an activation smaller which is itself masked: an axis of some array follows both."""
    own = axes.get(place.site, set())
    around = (one for one in places if one.site in smaller and one.shape == place.shape[-1:] and axes[one.site] & own)
    return "" if place.site in smaller else next((one.site for one in around), "")


def _axes(shown: Mapping[str, Sequence[Follows]]) -> dict[str, set[tuple[str, int]]]:
    """{site: the axes that may follow it, as the path of an array and the number of the axis}."""
    found: dict[str, set[tuple[str, int]]] = {}
    for path, some in shown.items():
        for one in some:
            found.setdefault(one.site, set()).add((path, one.axis))
    return found
