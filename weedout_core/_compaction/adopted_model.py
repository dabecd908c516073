"""How an adopted model becomes smaller under masks: by the axes of its arrays that follow sites.

Where an activation stays whole, those axes belong to weights that read it, and the model takes the nodes that they keep
by itself.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from weedout_core._compaction.kept import Counts, Kept, Shrunk
from weedout_core._networks.models import Adopted, Held, Place


def shrink_model(layer: Adopted, counts: Counts) -> Shrunk:
    """Make an adopted model smaller."""
    nodes = {place.site: math.prod(place.shape) for place in layer.places}
    fewer = {site: count for site, count in counts.kept.items() if count < nodes.get(site, 0)}
    arrays = {held.path: _kept(held, nodes, fewer) for held in (*layer.params, *layer.statistics)}
    left = [one for one in layer.places if one.site not in counts.kept or (one.whole and one.site in fewer)]
    masks = {one.site: (Kept(-1, (one.within,)),) if one.within in fewer else () for one in left}
    params = tuple(one._replace(connections=one.connections and not _keeps_all(one, counts)) for one in layer.params)
    masks |= {held.path: arrays[held.path] for held in params if held.connections}
    small = replace(
        layer,
        places=tuple(_inside(one, fewer) for one in left),
        params=_smaller(params, arrays, fewer),
        statistics=_smaller(layer.statistics, arrays, fewer),
    )
    return Shrunk((small,), {path: kept for path, kept in arrays.items() if kept}, masks, {}, None)


def _keeps_all(held: Held, counts: Counts) -> bool:
    return counts.keeps_all(held.path, held.shape)


def _inside(place: Place, fewer: Mapping[str, int]) -> Place:
    if place.within not in fewer:
        return place
    return place._replace(shape=(*place.shape[:-1], fewer[place.within]), within="")


def _kept(held: Held, nodes: Mapping[str, int], fewer: Mapping[str, int]) -> tuple[Kept, ...]:
    """What the axes of an array keep. One that is short belongs to a model that was made smaller before, and stays."""
    return tuple(
        Kept(axis, (site,), repeats, each)
        for axis, site, repeats, each in held.follows
        if site in fewer and held.shape[axis] == repeats * nodes[site] * each
    )


def _smaller(
    every: Iterable[Held], arrays: Mapping[str, tuple[Kept, ...]], fewer: Mapping[str, int]
) -> tuple[Held, ...]:
    found: list[Held] = []
    for held in every:
        shape = list(held.shape)
        for axis, (site,), positions, each in arrays[held.path]:
            shape[axis] = positions * fewer[site] * each
        macs = held.macs * math.prod(shape) // max(1, math.prod(held.shape))
        found.append(held._replace(shape=tuple(shape), macs=macs))
    return tuple(found)
