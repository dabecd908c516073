"""A network's layers, interpreted. Activations, weights and masks may have a leading axis of networks R."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from weedout_core import Dense, Flatten, Mask, Network, Relu
from weedout_torch.devices import Place, Tensor

Layer = Dense | Relu | Flatten | Mask
_CHUNK = 4096  # examples in flight while predicting: bounds the memory of activations


def forward(
    layers: Sequence[Layer], params: Mapping[str, Tensor], h: Tensor, masks: Mapping[str, Tensor] | None
) -> Tensor:
    """Run layers on activations ``(R, examples, *shape)``; R may be 1 where weights and masks have it.

    Weights ``(inputs, units)`` are shared by all networks, ``(R, inputs, units)`` are each one's own; masks are
    ``(R, *shape)``, None leaves every node in. A removed node is absent, whatever its activation was: zero is
    selected, not multiplied in.
    """
    for layer in layers:
        match layer:
            case Dense(name):
                h = h @ params[f"{name}/kernel"] + params[f"{name}/bias"].unsqueeze(-2)
            case Relu():
                h = torch.relu(h)
            case Flatten():
                h = h.reshape(*h.shape[:2], -1)
            case Mask(site, rescale):
                if masks is not None:
                    mask = masks[site].unsqueeze(1)
                    h = torch.where(mask, h, torch.zeros((), device=h.device))
                    h = h * _inverse_kept(mask) if rescale else h
    return h


def _inverse_kept(mask: Tensor) -> Tensor:
    """One over the fraction kept, for each network; for no node kept, the number of nodes."""
    axes = tuple(range(1, mask.ndim))
    kept = mask.sum(dim=axes, keepdim=True, dtype=torch.int32)
    return math.prod(mask.shape[1:]) / kept.clamp(min=1)


def predict(place: Place, net: Network, params: Any, statistics: Any, masks: Any, x: Tensor) -> Tensor:
    """The logits ``(R, examples, classes)`` of R networks, a chunk of examples at a time."""
    del statistics  # no layer has any yet
    with torch.no_grad(), precise("highest"):
        logits = [forward(net.layers, params, chunk.unsqueeze(0), masks) for chunk in x.split(_CHUNK)]
        result = torch.cat(logits, dim=1)
    place.sync()
    return result


@contextmanager
def precise(precision: str) -> Iterator[None]:
    """Matrix products in full float32 for "highest", whatever the user's setting, which is put back."""
    before = _precision()
    if precision == "highest":
        _set_precision(["ieee"] * len(before) if _SETTINGS else ["highest"])
    try:
        yield
    finally:
        _set_precision(before)


# From PyTorch 2.9 on there is a setting for each kind of device; reading the older, single one gives a warning there.
_SETTINGS: list[Any] = [
    setting
    for setting in (torch.backends.cuda.matmul, getattr(torch.backends.mkldnn, "matmul", None))
    if hasattr(setting, "fp32_precision")
]


def _precision() -> list[str]:
    return [setting.fp32_precision for setting in _SETTINGS] or [torch.get_float32_matmul_precision()]


def _set_precision(values: list[str]) -> None:
    if not _SETTINGS:
        torch.set_float32_matmul_precision(values[0])
    for setting, value in zip(_SETTINGS, values, strict=False):
        setting.fp32_precision = value
