"""Masks by the core's definition: on a CPU in compiled loops (see ``host``), elsewhere in operations on int32."""

from typing import Any

import numpy as np
import torch

from weedout_core.backend import MaskPlan, SitePlan, filled
from weedout_core.errors import ConfigError
from weedout_torch import host, stream
from weedout_torch.devices import Place, Tensor
from weedout_torch.integers import TOP, counting, from_host, integer, signed, to_host


def keep_smallest(place: Place, bits: Any, k: int) -> Tensor:
    """Keep the k nodes with the smallest (bits, index): words ``(n,)`` → bool ``(n,)``."""
    if not 1 <= k <= bits.shape[-1]:
        raise ConfigError(f"keep_smallest needs 1 ≤ k ≤ {bits.shape[-1]}, the number of nodes; got {k}.")
    mask = kept(place.words(bits), k)
    place.sync()
    return mask


def masks_from_keys(place: Place, keys: Any, plan: MaskPlan) -> dict[str, Tensor]:
    """Draw the masks of candidates: uint32 ``(m, 2)`` → {site: bool ``(m, *shape)``}."""
    padded = place.padded(len(keys))
    masks = draw_masks(place, place.keys(keys, slice(0, padded)), plan)
    if padded > len(keys):
        masks = {site: mask[: len(keys)] for site, mask in masks.items()}
        place.sync()
    return masks


def draw_masks(place: Place, keys: Tensor, plan: MaskPlan) -> dict[str, Tensor]:
    """The masks of int32 keys ``(m, 2)``."""
    if plan.total is not None:
        return _masks_over_all(place, keys, plan, plan.total)
    return {site.site: _site_masks(place, keys, site) for site in plan.sites}


def _masks_over_all(place: Place, keys: Tensor, plan: MaskPlan, total: int) -> dict[str, Tensor]:
    """The masks where the plan has a total: each site's smallest is made the only kind of word that is 0."""
    words: list[Tensor] = []
    for site in plan.sites:
        drawn = stream.bits(stream.fold_in(keys, site.code), site.nodes)
        place.sync()  # as below
        words.append(_ranked(drawn))
        place.sync()
    masks = kept(_joined(words), total)
    place.sync()
    parts = zip(plan.sites, masks.split([site.nodes for site in plan.sites], dim=-1), strict=True)
    found = {site.site: part.reshape(-1, *site.shape) for site, part in parts}
    place.sync()
    return found


def _site_masks(place: Place, keys: Tensor, site: SitePlan) -> Tensor:
    """bool ``(m, *shape)``."""
    words = stream.bits(stream.fold_in(keys, site.code), site.nodes)
    place.sync()  # PyTorch/XLA: in the same program as the selection, words would be drawn again for each count
    masks = kept(words, site.kept) if site.bound is None else _kept_below(words, site.bound)
    masks = masks.reshape(-1, *site.shape)
    place.sync()  # PyTorch/XLA: sites of the same shape share these programs
    return masks


# On a CPU, operations of PyTorch would leave its threads waiting for more of them: busily, for milliseconds, on the
# cores that the loops of the next site need.


def _kept_below(words: Tensor, bound: int) -> Tensor:
    """The words of at most ``bound``, and the smallest: int32 ``(m, n)`` → bool."""
    if words.device.type == "cpu":
        return torch.from_numpy(host.keep_below(to_host(words), bound))
    return (words ^ TOP <= signed(bound ^ 2**31)) | kept(words, 1)


def _ranked(words: Tensor) -> Tensor:
    """The same words, but the smallest is 0, and no other is: int32 ``(m, n)``."""
    if words.device.type == "cpu":
        return from_host(host.ranked(to_host(words)))
    least, next_one = integer(0, words.device), integer(1, words.device)
    return torch.where(kept(words, 1), least, torch.where(words == least, next_one, words))


def _joined(words: list[Tensor]) -> Tensor:
    """The words of all sites: int32 ``(m, n)`` of each → ``(m, nodes)``."""
    if words[0].device.type == "cpu":
        return from_host(np.concatenate([to_host(some) for some in words], axis=-1))
    return torch.cat(words, dim=-1)


def kept(words: Tensor, k: int) -> Tensor:
    """``keep_smallest`` for each row: int32 words ``(*batch, n)`` → bool."""
    if words.device.type == "cpu":
        return torch.from_numpy(host.keep_smallest(to_host(words), k))
    return kept_by_counting(words, k)


def kept_by_counting(words: Tensor, k: int) -> Tensor:
    """The same as ``kept``, in operations on int32, for any device."""
    order = words ^ integer(2**31, words.device)
    threshold = _kth_smallest(order, k)
    below, equal = order < threshold, order == threshold
    # Of the words equal to the threshold the first ones fill up to k.
    missing = k - below.sum(dim=-1, keepdim=True, dtype=torch.int32)
    return below | (equal & (equal.cumsum(dim=-1, dtype=torch.int32) <= missing))


def _kth_smallest(order: Tensor, k: int) -> Tensor:
    """The k-th smallest of order keys ``(*batch, n)``, by counting: int32 ``(*batch, 1)``.

    An order key is an int32 that sorts as the unsigned word does. The threshold starts at the lowest key, and is raised
    two bits at a time from the highest bits, as long as fewer than k keys are below it. Bit by bit the graph would be
    twice as long, and four bits at a time would take four times as many counts.
    """
    threshold = torch.full_like(order[..., :1], TOP)
    digits = torch.arange(1, 4, dtype=torch.int32, device=order.device)
    for shift in reversed(range(0, 32, 2)):
        places = integer(shift, order.device)
        raised = threshold + torch.bitwise_left_shift(digits, places)  # (*batch, 3)
        fewer = (order.unsqueeze(-2) < raised.unsqueeze(-1)).sum(dim=-1, dtype=torch.int32) < k
        steps = fewer.sum(dim=-1, keepdim=True, dtype=torch.int32)
        threshold = threshold + torch.bitwise_left_shift(steps, places)
    return threshold


def most_kept(masks: Tensor) -> Tensor:
    """The most nodes that a mask keeps: bool ``(m, *shape)`` → int32 scalar, on the device."""
    return masks.flatten(1).sum(dim=1, dtype=torch.int32).max()


def kept_indices(masks: Tensor, k: int, padded: bool) -> Tensor:
    """The indices of the nodes that a smaller network takes, ascending: bool ``(R, *shape)`` → int32 ``(R, k)``.

    They are those that masks keep, k in each; where it is padded at most k, and others fill them up.
    """
    flat = filled(masks.flatten(1), k) if padded else masks.flatten(1)
    if flat.device.type == "cpu":
        return flat.nonzero()[:, 1].reshape(-1, k).to(torch.int32)
    # Without asking the host for a count: each kept node writes its index at its rank, each other node at the end.
    ranks = torch.where(flat, flat.cumsum(dim=1, dtype=torch.int32) - 1, k).long()
    nodes = counting(flat.shape[1], flat.device).expand_as(flat)
    return torch.zeros(len(flat), k + 1, dtype=torch.int32, device=flat.device).scatter(1, ranks, nodes)[:, :k]
