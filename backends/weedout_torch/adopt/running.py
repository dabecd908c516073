"""Adopted modules in the place of layers: the same axes, one network after the other."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch

from weedout_core.backend import Adopted
from weedout_torch.adopt.module import Module
from weedout_torch.devices import Tensor
from weedout_torch.layers import masked_weights


class Learning(NamedTuple):
    """Where batch normalisation takes its statistics in a step of training, and dropout its draws.

    Attributes:
        statistics: the running statistics before the step, {path: ``(1, *shape)``}.
        seed: of this step.
    """

    statistics: Mapping[str, Tensor]
    seed: int


def run_adopted(
    layer: Adopted, params: Mapping[str, Tensor], h: Tensor, masks: Mapping[str, Tensor] | None, source: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits ``(R, examples, classes)`` of R networks, as ``network.forward`` of layers.

    Args:
        params: {path: ``shape`` or ``(R, *shape)``}.
        h: inputs ``(R or 1, examples, *input_shape)``.
        masks: {site: bool or float ``(R, *shape)``}; None masks nothing.
        source: given statistics; a number for those of the batch; or :class:`Learning`.
    Returns:
        the logits and, of :class:`Learning`, the running statistics after the step, {path: ``(R, *shape)``}.
    """
    module, trees = cast(Module, layer.model), (masks or {}, _stacked(params, layer.params))
    weights = [held.path for held in layer.params if held.connections and masks is not None]
    trees[1].update((path, masked_weights(trees[1][path], trees[0][path])) for path in weights)
    given = source.statistics if isinstance(source, Learning) else source if isinstance(source, Mapping) else {}
    # Where the batch's own are taken, those of the module are not read: their shapes alone matter.
    taken_from = cast(Mapping[str, Tensor], given or module.first_statistics(layer.statistics))
    statistics = _stacked(taken_from, layer.statistics)
    networks = max(len(value) for value in (h, *trees[0].values(), *trees[1].values(), *statistics.values()))
    mode, seed = ("train", source.seed) if isinstance(source, Learning) else ("running" if given else "batch", None)
    if not layer.statistics and mode == "batch":
        mode = "running"  # there is nothing to take from the batch
    reads = layer.readers
    found = [
        module.forward(
            _nth(trees[1], r), _nth(statistics, r), None if masks is None else _nth(masks, r), h[min(r, len(h) - 1)],
            mode, seed, reads,
        )
        for r in range(networks)
    ]  # fmt: skip
    taken = {path: torch.stack([moved[path] for _, moved in found]) for path in found[0][1]}
    return torch.stack([logits for logits, _ in found]), taken if mode == "train" else {}


def _stacked(tree: Mapping[str, Tensor], held: Any) -> dict[str, Tensor]:
    """Arrays with a leading axis, of 1 where all networks share them."""
    ranks = {one.path: len(one.shape) for one in held}
    return {path: value if value.ndim > ranks[path] else value.unsqueeze(0) for path, value in tree.items()}


def _nth(tree: Mapping[str, Tensor], r: int) -> dict[str, Tensor]:
    return {path: value[min(r, len(value) - 1)] for path, value in tree.items()}
