"""Batch normalisation, over groups of a batch or with given statistics."""

from collections.abc import Mapping

import torch

from weedout_core import BatchNorm
from weedout_torch.devices import Tensor

Norm = int | Mapping[str, Tensor]


def batch_norm(
    layer: BatchNorm, params: Mapping[str, Tensor], h: Tensor, norm: Norm
) -> tuple[Tensor, dict[str, Tensor]]:
    """``y = γ·(x − mean) / √(variance + epsilon) + β`` on activations ``(R, examples, *shape)``.

    Args:
        norm: how many groups the examples are cut into, in order, each with its own statistics (1: the whole batch);
            or the statistics, {path: ``(channels,)`` or ``(R, channels)``}.
    Returns:
        the activations, and the mean over the groups of what was taken from the batch, {path: ``(R, channels)``};
        nothing where statistics are given.
    """
    scale, bias = params[f"{layer.name}/scale"], params[f"{layer.name}/bias"]
    if not isinstance(norm, int):
        mean, variance = norm[f"{layer.name}/mean"], norm[f"{layer.name}/variance"]
        return _normalised(h, mean, variance, scale, bias, layer.epsilon), {}
    # On a CPU PyTorch's own kernel is eight times faster than the same arithmetic in steps, each of which passes over
    # memory. Elsewhere groups are an axis: XLA joins the steps.
    normalise = _group_by_group if h.device.type == "cpu" else _all_groups
    y, mean, variance = normalise(h, norm, scale, bias, layer.epsilon)
    return y, {f"{layer.name}/mean": mean.detach(), f"{layer.name}/variance": variance.detach()}


def _normalised(h: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """With statistics, γ and β ``(channels,)`` or ``(R, channels)``."""
    factor = scale / torch.sqrt(variance + epsilon)
    return torch.addcmul(_beside(bias - mean * factor, h), h, _beside(factor, h))


def _beside(values: Tensor, h: Tensor) -> Tensor:
    """Values ``(channels,)`` or ``(R, channels)`` in the dimensions of activations ``(R, examples, *shape)``."""
    return values.reshape(-1, *[1] * (h.ndim - 2), values.shape[-1])


def _all_groups(h: Tensor, groups: int, scale: Tensor, bias: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    grouped = h.reshape(len(h), groups, -1, *h.shape[2:])
    axes = tuple(range(2, grouped.ndim - 1))
    variance, mean = torch.var_mean(grouped, dim=axes, correction=0, keepdim=True)
    y = (grouped - mean) * (_beside(scale, grouped) / torch.sqrt(variance + epsilon)) + _beside(bias, grouped)
    of_groups = (len(h), groups, h.shape[-1])
    return y.reshape(h.shape), mean.reshape(of_groups).mean(dim=1), variance.reshape(of_groups).mean(dim=1)


def _group_by_group(
    h: Tensor, groups: int, scale: Tensor, bias: Tensor, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    networks, channels = max(len(h), scale.numel() // h.shape[-1]), h.shape[-1]
    scales, biases = (value.expand(networks, channels).unbind() for value in (scale, bias))
    h = h.expand(networks, *h.shape[1:])
    examples, count = h.reshape(-1, *h.shape[2:]), networks * groups
    moments = h.new_zeros(2, count, channels)
    parts: list[Tensor] = []
    for part, group in enumerate(examples.chunk(count) if count > 1 else [examples]):
        # In memory the channels stay last, which the kernel knows.
        x, r = group.movedim(-1, 1), part // groups
        y, *_ = torch.native_batch_norm(x, scales[r], biases[r], moments[0, part], moments[1, part], True, 1.0, epsilon)
        parts.append(y.movedim(1, -1))
    values = examples.numel() // channels // count
    # The kernel gives the unbiased variance, of which there is none for a single value.
    biased = moments[1] * ((values - 1) / values) if values > 1 else torch.zeros_like(moments[1])
    y = torch.cat(parts) if count > 1 else parts[0]
    mean, variance = (taken.reshape(networks, groups, channels).mean(dim=1) for taken in (moments[0], biased))
    return y.reshape(h.shape), mean, variance
