"""The arithmetic of single layers, on activations of R networks, ``(R, examples, *shape)`` with the channels last."""

import math
from typing import Any

import torch
import torch.nn.functional as F

from weedout_torch.devices import BY_PYTORCH, Tensor


def dense(h: Tensor, kernel: Tensor, bias: Tensor, compute: torch.dtype) -> Tensor:
    """``x·W + b``, with one W ``(inputs, units)`` for all networks, or ``(R, inputs, units)`` with one for each.

    It is computed as ``(Wᵀ·xᵀ)ᵀ``, so that a row in memory is a node and not an example. Compaction copies such rows,
    and the products are faster on a CPU, several times so with few units. In float32 product and bias are one
    operation.
    """
    if kernel.ndim == h.ndim and len(h) in (1, len(kernel)) and kernel.dtype == compute:
        return torch.baddbmm(bias.unsqueeze(-1), kernel.mT, h.mT.expand(len(kernel), -1, -1)).mT
    return (kernel.to(compute).mT @ h.to(compute).mT).mT.to(h.dtype) + bias.unsqueeze(-2)


def convolve(h: Tensor, kernel: Tensor, stride: int, compute: torch.dtype) -> Tensor:
    """A convolution: one W ``(window, window, channels, features)`` for all networks, or with a leading axis R."""
    kernels = kernel.reshape(-1, *kernel.shape[-4:])
    if len(kernels) == 1:
        return _convolve(h, kernels[0], stride, compute)
    networks = h.expand(len(kernels), *h.shape[1:])
    return torch.cat([_convolve(networks[r : r + 1], own, stride, compute) for r, own in enumerate(kernels.unbind())])


def _convolve(h: Tensor, kernel: Tensor, stride: int, compute: torch.dtype) -> Tensor:
    x, w = h.flatten(0, 1).movedim(-1, 1), kernel.permute(3, 2, 0, 1)
    y = F.conv2d(x.to(compute), w.to(compute), stride=stride, padding=(len(kernel) - 1) // 2)
    return _channels_last(y.to(h.dtype), len(h))


def _channels_last(y: Tensor, networks: int) -> Tensor:
    """Activations from PyTorch's images, whose channels are the second axis but last in memory."""
    return y.movedim(1, -1).unflatten(0, (networks, -1))


def max_pool(h: Tensor, window: int) -> Tensor:
    """The largest value of each channel in adjacent windows, or NaN if a window has a NaN.

    XLA's maximum over a window drops NaN, so without PyTorch's own kernels NaN is multiplied in afterwards.
    """
    y = _channels_last(F.max_pool2d(h.flatten(0, 1).movedim(-1, 1), window), len(h))
    if h.device.type in BY_PYTORCH:
        return y
    lost = h.isnan().unflatten(3, (-1, window)).unflatten(2, (-1, window)).any(dim=5).any(dim=3)
    return y * torch.where(lost, torch.nan, 1.0)


def masked(h: Tensor, mask: Tensor, rescale: bool, in_place: bool = False) -> Tensor:
    """Apply masks ``(R, *shape)`` or ``(R, channels)``. A removed node is replaced by 0, not multiplied, even if NaN.

    A mask of floats is multiplied in: its gradient is wanted.
    ``in_place``: whether h may be changed.
    """
    mask = mask.reshape(len(mask), *[1] * (h.ndim - mask.ndim), *mask.shape[1:])
    kept = h * mask if mask.is_floating_point() else selected(h, mask, in_place and len(h) >= len(mask))
    return kept * _inverse_kept(mask, kept.dtype) if rescale else kept


def selected(h: Tensor, mask: Tensor, in_place: bool) -> Tensor:
    """``torch.where(mask, h, 0)``, for a mask of booleans that is smaller than h; ``in_place``: h may be changed."""
    if h.device.type != "cpu" or h.dtype != torch.float32:
        return torch.where(mask, h, torch.zeros((), dtype=h.dtype, device=h.device))
    if in_place:
        h.view(torch.int32).bitwise_and_(_bits(mask))
        return h
    kept: Any = _Select.apply(h, mask)
    return kept


def masked_weights(kernel: Tensor, mask: Tensor) -> Tensor:
    """Apply masks ``(R, *shape)`` to weights of their shape, or ``(R, *shape)``, as :func:`masked` does."""
    if mask.is_floating_point():
        return kernel * mask
    if kernel.device.type != "cpu":
        return torch.where(mask, kernel, torch.zeros((), device=kernel.device))
    kept: Any = _SelectWeights.apply(kernel, mask)
    return kept


class _SelectWeights(torch.autograd.Function):
    """``torch.where(mask, kernel, 0)`` for masks as large as what they select from: on a CPU a third of its time."""

    @staticmethod
    def forward(ctx: Any, kernel: Tensor, mask: Tensor) -> Tensor:
        ctx.save_for_backward(mask)
        return _selected(kernel, mask)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _selected(gradients[0], *ctx.saved_tensors), None


def _selected(weights: Tensor, mask: Tensor) -> Tensor:
    """Products of the floats' bits with 0 and 1, by NumPy, which converts the mask in parts that a cache holds."""
    words, bits = weights.detach().contiguous().view(torch.int32), mask.view(torch.int8)
    return torch.from_numpy(words.numpy() * bits.numpy()).view(torch.float32)


class _Select(torch.autograd.Function):
    """``torch.where(mask, h, 0)`` as one "and" of the floats' bits, which on a CPU is ten times faster."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, mask: Tensor) -> Tensor:
        bits = _bits(mask)
        ctx.save_for_backward(bits)
        return (h.view(torch.int32) & bits).view(torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (bits,) = ctx.saved_tensors
        return (gradients[0].view(torch.int32) & bits).view(torch.float32), None


def _bits(mask: Tensor) -> Tensor:
    """A mask as int32: all bits are 1 where a node is kept, and 0 elsewhere."""
    return -mask.to(torch.int32)


def _inverse_kept(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """1 / (the fraction of nodes kept), for each network; the number of nodes if none is kept."""
    axes = tuple(range(1, mask.ndim))
    kept = (mask != 0).sum(dim=axes, keepdim=True, dtype=torch.int32)
    return math.prod(mask.shape[1:]) / kept.clamp(min=1).to(dtype)


def gather(h: Tensor, indices: Tensor) -> Tensor:
    """Select nodes or channels for each network: indices int32 ``(R, count)``."""
    networks, count = indices.shape
    if h.ndim == 3:  # flat activations: copy rows, those of all networks at once
        rows = h.mT
        if len(h) > 1:
            indices = indices + rows.shape[1] * torch.arange(networks, dtype=torch.int32, device=h.device).unsqueeze(1)
        return rows.flatten(0, 1).index_select(0, indices.flatten()).unflatten(0, (networks, count)).mT
    if networks == 1:
        return h.index_select(-1, indices[0])
    shape = (networks, *[1] * (h.ndim - 2), count)
    return h.expand(networks, *h.shape[1:]).gather(-1, indices.reshape(shape).expand(-1, *h.shape[1:-1], -1).long())
