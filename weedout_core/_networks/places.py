"""The table of a network's sites: what is masked, and between which layers it lies."""

from collections.abc import Sequence
from typing import Any

from weedout_core._networks.layers import Conv, Dense, Layer, Mask, Shape
from weedout_core._networks.mask_shapes import kernel_shape, mask_shape
from weedout_core._networks.models import Adopted, Place

_HEAD = ("site", "shape", "after", "before")


class Sites(tuple[Place, ...]):
    """The sites of a network, in order. Its text is a table."""

    def __repr__(self) -> str:
        rows = [_HEAD, *((one.site, " × ".join(map(str, one.shape)), one.after, one.before) for one in self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def places(walked: Sequence[tuple[Layer, Shape]]) -> Sites:
    """The sites of layers, each with the shape of its input, in order."""
    found: list[Place] = []
    weights = [(place, layer.name) for place, (layer, _) in enumerate(walked) if isinstance(layer, Dense | Conv)]
    for number, (layer, shape) in enumerate(walked):
        if isinstance(layer, Adopted):
            found += layer.places
            found += [Place(held.path, held.shape, "weights", "") for held in layer.params if held.connections]
        elif isinstance(layer, Dense | Conv) and layer.connections:
            found.append(Place(f"{layer.name}/kernel", kernel_shape(layer, shape), "weights", ""))
        elif isinstance(layer, Mask):
            after = [name for place, name in weights if place < number]
            before = [name for place, name in weights if place > number]
            found.append(Place(layer.site, mask_shape(layer, shape), *_between(after, before)))
    return Sites(found)


def _between(after: Sequence[Any], before: Sequence[Any]) -> tuple[str, str]:
    return (after[-1] if after else "inputs"), before[0]
