"""Masks: the core's definition on int32 order keys."""

from typing import Any

import torch

from weedout_core import ConfigError, MaskPlan
from weedout_torch.devices import Place, Tensor
from weedout_torch.randomness import bits, fold_in, signed

_TOP = -(2**31)  # the highest bit, as int32


def keep_smallest(place: Place, bits: Any, k: int) -> Tensor:
    """Keep the k nodes with the smallest (bits, index): words ``(n,)`` → bool ``(n,)``."""
    if not 1 <= k <= bits.shape[-1]:
        raise ConfigError(f"keep_smallest needs 1 ≤ k ≤ {bits.shape[-1]}, the number of nodes; got {k}.")
    mask = kept(place.words(bits), k)
    place.sync()
    return mask


def masks_from_keys(place: Place, keys: Any, plan: MaskPlan) -> dict[str, Tensor]:
    """Draw the masks of candidates: uint32 ``(m, 2)`` → {site: bool ``(m, *shape)``}."""
    drawn = draw_masks(place.keys(keys, slice(0, place.padded(len(keys)))), plan)
    masks = {site: mask[: len(keys)] for site, mask in drawn.items()}
    place.sync()
    return masks


def draw_masks(keys: Tensor, plan: MaskPlan) -> dict[str, Tensor]:
    """``masks_from_keys`` inside a program: int32 keys ``(*batch, 2)``."""
    masks: dict[str, Tensor] = {}
    for site in plan.sites:
        words = bits(fold_in(keys, site.code), site.nodes)
        mask = kept(words, site.kept)
        if site.bound is not None:
            mask = (words ^ _TOP <= signed(site.bound ^ 2**31)) | kept(words, 1)
        masks[site.site] = mask.reshape(*mask.shape[:-1], *site.shape)
    return masks


def kept(words: Tensor, k: int) -> Tensor:
    """``keep_smallest`` inside a program: int32 words ``(*batch, n)`` → bool."""
    order = words ^ _TOP
    threshold = _kth_smallest(order, k, lowest=_TOP, bits=32)
    below, equal = order < threshold, order == threshold
    # Of the words equal to the threshold the first ones fill up to k: the same search, on their indices.
    n = words.shape[-1]
    index = torch.where(equal, torch.arange(n, dtype=torch.int32, device=words.device), n)
    missing = k - below.sum(dim=-1, keepdim=True, dtype=torch.int32)
    return below | (equal & (index <= _kth_smallest(index, missing, lowest=0, bits=n.bit_length())))


def _kth_smallest(values: Tensor, k: int | Tensor, lowest: int, bits: int) -> Tensor:
    """The k-th smallest of int32 in [lowest, lowest + 2^bits) along the last axis, by counting.

    The threshold grows digit by digit from the highest: it is raised as long as fewer than k values are below.
    Where operations run at once a digit is a bit, and memory is passed over 32 times; where they are recorded it
    is four bits, for a graph a quarter as long, in which comparing and counting are one pass.
    """
    width = 4 if values.device.type == "xla" else 1
    threshold = torch.full_like(values[..., :1], lowest)
    for shift in reversed(range(0, bits, width)):
        digits = torch.arange(1, 2**width, dtype=torch.int32, device=values.device)
        raised = threshold + (digits << shift)  # (*batch, 2^width − 1)
        fewer = (values.unsqueeze(-2) < raised.unsqueeze(-1)).sum(dim=-1, dtype=torch.int32) < k
        threshold = threshold + (fewer.sum(dim=-1, keepdim=True, dtype=torch.int32) << shift)
    return threshold
