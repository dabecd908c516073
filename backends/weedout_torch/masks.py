"""Masks: the core's definition on int32 order keys."""

from typing import Any

import torch

from weedout_core import ConfigError, MaskPlan, SitePlan
from weedout_torch.devices import Place, Tensor
from weedout_torch.randomness import BLOCK, bits, fold_in, signed

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
    """``masks_from_keys`` inside a program: int32 keys ``(m, 2)``."""
    return {site.site: _site_masks(keys, site).reshape(-1, *site.shape) for site in plan.sites}


def _site_masks(keys: Tensor, site: SitePlan) -> Tensor:
    """bool ``(m, nodes)``. On a CPU a few candidates at a time, whose words are counted while in the cache."""
    together = max(1, BLOCK // site.nodes) if keys.device.type == "cpu" else len(keys)
    masks: list[Tensor] = []
    for some in fold_in(keys, site.code).split(together):
        words = bits(some, site.nodes)
        mask = kept(words, site.kept)
        if site.bound is not None:
            mask = (words ^ _TOP <= signed(site.bound ^ 2**31)) | kept(words, 1)
        masks.append(mask)
    return torch.cat(masks) if len(masks) > 1 else masks[0]


def kept(words: Tensor, k: int) -> Tensor:
    """``keep_smallest`` inside a program: int32 words ``(*batch, n)`` → bool."""
    order = words ^ _TOP
    if words.device.type == "cpu":
        # Where fewer words than k are no more than a threshold, or more, it is one of equal words: the rule decides.
        threshold = _threshold(order, k)
        mask = order <= threshold
        if bool((mask.sum(dim=-1, dtype=torch.int32) == k).all()):
            return mask
    threshold = _kth_smallest(order, k, lowest=_TOP, bits=32)
    below, equal = order < threshold, order == threshold
    # Of the words equal to the threshold the first ones fill up to k: the same search, on their indices.
    n = words.shape[-1]
    index = torch.where(equal, torch.arange(n, dtype=torch.int32, device=words.device), n)
    missing = k - below.sum(dim=-1, keepdim=True, dtype=torch.int32)
    return below | (equal & (index <= _kth_smallest(index, missing, lowest=0, bits=n.bit_length())))


def _threshold(order: Tensor, k: int) -> Tensor:
    """A threshold that k words do not exceed, wherever there is one: int32 ``(*batch, n)`` → ``(*batch, 1)``.

    By interpolation: words are drawn uniformly, so about six counts find it. Every fourth halves what remains.
    """
    first = order.new_full((*order.shape[:-1], 1), _TOP, dtype=torch.int64)
    last = torch.full_like(first, 2**31 - 1)
    below, within, step = torch.zeros_like(first), torch.full_like(first, order.shape[-1]), 0
    while bool((searching := (within != k) & (first < last)).any()):
        share = (k - below - 0.5) / (within - below) if step % 4 < 3 else first.new_full((), 0.5, dtype=torch.float64)
        threshold = first + torch.minimum(((last - first) * share).long(), last - first - 1)
        found = (order <= threshold.to(torch.int32)).sum(dim=-1, keepdim=True, dtype=torch.int64)
        lower, higher = searching & (found >= k), searching & (found < k)
        last, within = torch.where(lower, threshold, last), torch.where(lower, found, within)
        first, below = torch.where(higher, threshold + 1, first), torch.where(higher, found, below)
        step += 1
    return last.to(torch.int32)


def kept_indices(masks: Tensor, k: int) -> Tensor:
    """The nodes that masks keep, ascending: bool ``(R, *shape)``, each with k True → int32 ``(R, k)``."""
    flat = masks.flatten(1)
    if flat.device.type == "cpu":
        return flat.nonzero()[:, 1].reshape(-1, k).to(torch.int32)
    # Without asking the host how many there are: each kept node writes its index to its rank, the others to the end.
    ranks = torch.where(flat, flat.cumsum(dim=1, dtype=torch.int32) - 1, k).long()
    nodes = torch.arange(flat.shape[1], dtype=torch.int32, device=flat.device).expand_as(flat)
    return torch.zeros(len(flat), k + 1, dtype=torch.int32, device=flat.device).scatter(1, ranks, nodes)[:, :k]


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
