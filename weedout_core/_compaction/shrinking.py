"""How layers become smaller under masks: what each array and each activation keeps.

What is kept travels backwards through layers that treat each channel by itself (batch normalisation, ReLU, pooling)
to the weights that lead to the nodes, and forwards to the weights that read them. An activation that several layers
read, such as the stream of a residual network, keeps all that they read, if their parts together have fewer nodes than
the activation has channels. Otherwise it stays whole. Either way each reader gathers its part.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from weedout_core._compaction.adopted_model import shrink_model
from weedout_core._compaction.kept import Counts, Kept, Part, Shrunk, Sites, joined
from weedout_core._networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gather,
    GlobalAveragePool,
    Layer,
    Mask,
    MaxPool,
    Relu,
    Residual,
    Scale,
    Shape,
    output_shape,
)
from weedout_core._networks.mask_shapes import kernel_shape, mask_shape
from weedout_core._networks.models import Adopted


def shrink(
    layers: Sequence[Layer], shape: Shape, counts: Counts, carried: Kept | None = None, wanted: Sites | None = None
) -> Shrunk:
    """Make layers smaller, one after the other.

    Args:
        layers, shape: layers of the parent, and the shape of their input in the parent.
        counts: how many nodes masks keep.
        carried: what their input keeps; None is all of it.
        wanted: the sites whose kept nodes are what their output is to keep; None is all of it.
    """
    parts, rest = [Shrunk((), {}, {}, {}, carried)], tuple(layers)
    asked = _asked(rest, shape, counts, wanted)
    while True:
        if parts[-1].carried is None and _selects_after_flatten(rest, counts):
            rest = (rest[1], rest[0], *rest[2:])
            asked = _asked(rest, shape, counts, wanted)
        parts.append(_entrance(parts[-1].carried, asked[-len(rest) - 1], shape[-1], counts))
        if not rest:
            return joined(parts)
        layer, rest = rest[0], rest[1:]
        parts.append(_shrunk(layer, shape, counts, parts[-1].carried, asked[-len(rest) - 1]))
        shape = output_shape(layer, shape)


def _entrance(carried: Kept | None, asked: Sites | None, nodes: int, counts: Counts) -> Shrunk:
    """The Gather, if one is needed, by which layers take their part of an activation from what it keeps."""
    within = carried.sites if carried else ()
    # A site that is asked for and not kept belongs to a mask that follows another mask, with no weights between them.
    if asked is None or set(within) == set(asked) or (within and not set(asked) <= set(within)):
        return Shrunk((), {}, {}, {}, carried)
    name = "+".join(asked) + (f" of {'+'.join(within)}" if within else "")
    name = f"room of {name}" if counts.padded else name  # the mask of a site, which stays, has the site's name
    gather = Gather(name, counts.of(asked))
    return Shrunk((gather,), {}, {}, {name: Part(asked, within, nodes)}, _carried(asked))


def _shrunk(layer: Layer, shape: Shape, counts: Counts, carried: Kept | None, wanted: Sites | None) -> Shrunk:
    """Make one layer smaller, whose input keeps ``carried`` and whose output is to keep ``wanted``."""
    leaving = None if wanted is None else _carried(wanted)
    match layer:
        case Dense(name) | Conv(name) if layer.connections and counts.keeps_all(
            f"{name}/kernel", kernel_shape(layer, shape)
        ):
            return _shrunk(replace(layer, connections=False), shape, counts, carried, wanted)
        case Dense(name, units):
            small = replace(layer, units=units if wanted is None else counts.of(wanted))
            kernel = {f"{name}/kernel": _on(-2, carried) + _on(-1, leaving)}
            masks = kernel if layer.connections else {}
            return Shrunk((small,), kernel | {f"{name}/bias": _on(-1, leaving)}, masks, {}, leaving)
        case Conv(name, features):
            small = replace(layer, features=features if wanted is None else counts.of(wanted))
            kernel = {f"{name}/kernel": _on(-2, carried) + _on(-1, leaving)}
            return Shrunk((small,), kernel, kernel if layer.connections else {}, {}, leaving)
        case Residual(main, shortcut):
            one, other = (shrink(branch, shape, counts, carried, wanted) for branch in (main, shortcut))
            return joined((one, other))._replace(layers=(Residual(one.layers, other.layers),), carried=leaving)
        case Mask(site) if counts.keeps_all(site, mask_shape(layer, shape)):
            return Shrunk((), {}, {}, {}, carried)
        case Mask(site) if counts.padded or site not in counts.kept:
            return Shrunk((layer,), {}, {site: _on(-1, carried)}, {}, carried)
        case Mask(site, rescale):
            scale = (Scale(math.prod(mask_shape(layer, shape)) / counts.kept[site]),) if rescale else ()
            if carried is not None and site in carried.sites:
                return Shrunk(scale, {}, {}, {}, carried)
            return Shrunk((replace(layer, rescale=False), *scale), {}, {site: _on(-1, carried)}, {}, carried)
        case BatchNorm(name):
            arrays = {f"{name}/{array}": _on(-1, carried) for array in ("scale", "bias", "mean", "variance")}
            return Shrunk((layer,), arrays, {}, {}, carried)
        case Adopted():
            return shrink_model(layer, Counts({}) if counts.padded else counts)
        case Flatten() if carried is not None:
            return Shrunk((layer,), {}, {}, {}, carried._replace(positions=math.prod(shape[:-1])))
        case _:
            return Shrunk((layer,), {}, {}, {}, carried)


def _carried(sites: Sites) -> Kept:
    return Kept(-1, sites)


def _on(axis: int, kept: Kept | None) -> tuple[Kept, ...]:
    return () if kept is None else (kept._replace(axis=axis),)


def _asked(layers: Sequence[Layer], shape: Shape, counts: Counts, wanted: Sites | None) -> list[Sites | None]:
    """The sites whose kept nodes or channels are all that each layer and those after it read; None: they read all.

    In the order of the layers, and last for the output. The time that it takes is in proportion to the depth.

    Args:
        shape: the shape of their input.
        wanted: the sites whose kept nodes are what their output is to keep.
    """
    shapes = list(accumulate(layers, lambda before, layer: output_shape(layer, before), initial=shape))
    asked = [wanted]
    for place in reversed(range(len(layers))):
        layer, before, after = layers[place], shapes[place], asked[-1]
        match layer:
            case Mask(site, _, granularity) if not counts.keeps_all(site, mask_shape(layer, before)):
                selects = site in counts.kept and (len(before) == 1 or granularity == "channel")
                asked.append((site,) if selects and _only_weights_read(layers[place + 1 :]) else None)
            case Dense() | Conv() | Flatten() | Gather() | Adopted():
                asked.append(None)
            case Residual(main, shortcut):
                one, other = (_asked(branch, before, counts, after)[0] for branch in (main, shortcut))
                asked.append(_both(one, other, before, counts))
            case Mask() | BatchNorm() | Relu() | MaxPool() | GlobalAveragePool() | Scale():
                asked.append(after)
    return asked[::-1]


def _both(one: Sites | None, other: Sites | None, shape: Shape, counts: Counts) -> Sites | None:
    """What both branches of a residual read of its input."""
    if one == other or one is None or other is None:
        return one if one == other else None
    both = tuple(dict.fromkeys(one + other))
    return both if counts.of(both) < shape[-1] else None


def _only_weights_read(layers: Sequence[Layer]) -> bool:
    """Whether the zeros of a mask are read by weight layers alone, which compute the same without these inputs.

    They may not reach the sum of a residual, which needs a value for every node, nor batch normalisation, which does
    not leave a zero 0.
    """
    for layer in layers:
        match layer:
            case Dense() | Conv():
                return True
            case Residual(main, shortcut):
                return _only_weights_read(main) and _only_weights_read(shortcut)
            case BatchNorm() | Gather() | Adopted():
                return False
            case Relu() | Scale() | Mask() | Flatten() | MaxPool() | GlobalAveragePool():
                pass
    return False


def _selects_after_flatten(layers: Sequence[Layer], counts: Counts) -> bool:
    """Whether a mask of single nodes comes first that selects inputs of a dense layer if it comes after the Flatten."""
    match layers:
        case (Mask(site, _, "node"), Flatten(), *rest):
            # A mask that stays has the shape of the image, and not that of what is flattened.
            return site in counts.kept and not counts.padded and _only_weights_read(rest)
        case _:
            return False
