"""Adopted models in the place of layers: the same axes."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax

from weedout_core.backend import Adopted
from weedout_jax.adopt.model import Model
from weedout_jax.adopt.pure import Mode
from weedout_jax.layers import Arithmetic, masked_weights


class Learning(NamedTuple):
    """What an adopted model needs in a step of training.

    Attributes:
        statistics: the running statistics before the step, {path: ``shape``}.
        word: what dropout draws from in this step, uint32.
    """

    statistics: Mapping[str, Any]
    word: Any


def run_adopted(
    layer: Adopted, params: Mapping[str, Any], h: jax.Array, masks: Mapping[str, Any] | None, source: Any,
    how: Arithmetic,
) -> tuple[jax.Array, dict[str, jax.Array]]:  # fmt: skip
    """The logits ``(classes, examples)`` of one network, as ``network.run_layers`` of layers.

    Args:
        params: {path: ``shape``}.
        h: inputs, flat ones with the nodes first.
        masks: {site: bool or float ``shape``}; None masks nothing.
        source: given statistics; a number for those of the batch; or :class:`Learning`.
    Returns:
        the logits and, of :class:`Learning`, the running statistics after the step, {path: ``shape``}.
    """
    model = cast(Model, layer.model)
    learning = isinstance(source, Learning)
    given = source.statistics if learning else source if isinstance(source, Mapping) else {}
    # Where the batch's own are taken, those of the model are not read: their shapes alone matter.
    statistics: Mapping[str, Any] = given or {
        held.path: model.statistics[held.path][tuple(map(slice, held.shape))] for held in layer.statistics
    }
    mode: Mode = "train" if learning else "running" if given or not layer.statistics else "batch"
    weights = [held.path for held in layer.params if held.connections and masks is not None]
    params = dict(params) | {path: masked_weights(params[path], (masks or {})[path]) for path in weights}
    x = h.T if h.ndim == 2 else h
    logits, after = model.forward(
        params, statistics, masks, x, mode, source.word if learning else 0, how.precision, reads=layer.readers
    )
    return logits.T, {path: value.astype(statistics[path].dtype) for path, value in after.items()} if learning else {}
