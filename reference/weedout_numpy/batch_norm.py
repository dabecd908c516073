"""Batch normalisation: each channel shifted and scaled to mean 0 and variance 1, then to a mean and scale it learns.

A layer of the paper's Wide ResNets, by Ioffe and Szegedy, "Batch Normalization" (ICML 2015).
The mean and the variance of a channel are *statistics*: no weights, and yet part of what a network computes. They come

* in the search (line 7), where nothing has been trained, from the batch itself;
* in training (line 12) from the batch too, cut into equal *groups* of examples in order, each with statistics of its
  own ("ghost batch normalisation": Hoffer, Hubara, Soudry, "Train longer, generalize better", NeurIPS 2017; Group
  Normalization is something else, it groups channels). The paper trains on eight cores, "global batch size of 1024
  (per-core batch size of 128)" (section 3). We take it that each core uses the statistics of its own examples, which
  the paper does not say: this is why ``TrainConfig.batch_norm_group`` is 128;
* after training (line 13) from *running* averages of those that training took (Ioffe and Szegedy, section 3.1). The
  article multiplies the variance by n/(n − 1) for this purpose; here, as in Flax, it does not change.

x is ``(examples, ..., channels)``; a statistic, γ (scale) and β (bias) are ``(channels,)``.
"""

import numpy as np
from jaxtyping import Float

Batch = Float[np.ndarray, "examples *pixels channels"]
Channels = Float[np.ndarray, " channels"]


def moments(x: Batch) -> tuple[Channels, Channels]:
    """μ = (1/n) Σ x and σ² = (1/n) Σ (x − μ)² of each channel, over its n examples and pixels.

    Ioffe and Szegedy, algorithm 1.
    """
    over = tuple(range(x.ndim - 1))
    mean = x.mean(axis=over)
    return mean, ((x - mean) ** 2).mean(axis=over)


def deviation(mean: Channels, variance: Channels, epsilon: float) -> Channels:
    """√(σ² + ε), and NaN where σ² is negative or μ or σ² is not finite.

    A quotient by √∞ would be 0, which looks like any other number and hides that something overflowed.
    """
    sound = (variance >= 0) & np.isfinite(variance) & np.isfinite(mean)
    return np.sqrt(np.where(sound, variance, np.nan) + epsilon)


def normalise(x: Batch, mean: Channels, variance: Channels, scale: Channels, bias: Channels, epsilon: float) -> Batch:
    """x̂ = (x − μ) / √(σ² + ε), y = γ x̂ + β (Ioffe and Szegedy, algorithm 1)."""
    return scale * ((x - mean) / deviation(mean, variance, epsilon)) + bias


def normalise_gradient(
    x: Batch, mean: Channels, variance: Channels, scale: Channels, epsilon: float, gradient: Batch
) -> tuple[Batch, Channels, Channels]:
    """∂L/∂x, ∂L/∂γ and ∂L/∂β of :func:`normalise`, whose statistics are given and do not depend on x."""
    over, sigma = tuple(range(x.ndim - 1)), deviation(mean, variance, epsilon)
    of_scale = (gradient * (x - mean) / sigma).sum(axis=over)
    return gradient * scale / sigma, of_scale, gradient.sum(axis=over)


def batch_norm(x: Batch, scale: Channels, bias: Channels, epsilon: float, groups: int) -> Batch:
    """Normalise each group of examples with its own mean and variance."""
    return np.concatenate([normalise(group, *moments(group), scale, bias, epsilon) for group in np.split(x, groups)])


def batch_norm_gradient(
    x: Batch, scale: Channels, epsilon: float, groups: int, gradient: Batch
) -> tuple[Batch, Channels, Channels]:
    """∂L/∂x, ∂L/∂γ and ∂L/∂β of :func:`batch_norm`: each group has its own statistics, and all share γ and β."""
    x_gradients: list[np.ndarray] = []
    scale_gradient, bias_gradient = np.zeros(scale.shape), np.zeros(scale.shape)
    for group, group_gradient in zip(np.split(x, groups), np.split(gradient, groups), strict=True):
        x_gradient, of_scale, of_bias = one_group_gradient(group, scale, epsilon, group_gradient)
        x_gradients.append(x_gradient)
        scale_gradient += of_scale
        bias_gradient += of_bias
    return np.concatenate(x_gradients), scale_gradient, bias_gradient


def one_group_gradient(x: Batch, scale: Channels, epsilon: float, gradient: Batch) -> tuple[Batch, Channels, Channels]:
    """∂L/∂x, ∂L/∂γ and ∂L/∂β of one group (Ioffe and Szegedy, section 3, six equations).

    x reaches the loss in three ways: through its own x̂, through σ² and through μ. The last two carry what an example
    does to all other examples of its group.
    """
    over = tuple(range(x.ndim - 1))
    n = x.size // len(scale)
    mean, variance = moments(x)
    sigma = deviation(mean, variance, epsilon)
    normal = (x - mean) / sigma  # x̂

    normal_gradient = gradient * scale  # ∂L/∂x̂ = ∂L/∂y γ
    variance_gradient = (normal_gradient * (x - mean)).sum(axis=over) * (-1 / 2) * sigma**-3  # ∂L/∂σ²
    mean_gradient = -normal_gradient.sum(axis=over) / sigma + variance_gradient * (-2 / n) * (x - mean).sum(axis=over)
    x_gradient = normal_gradient / sigma + variance_gradient * 2 * (x - mean) / n + mean_gradient / n
    return x_gradient, (gradient * normal).sum(axis=over), gradient.sum(axis=over)


def group_statistics(x: Batch, groups: int) -> tuple[Channels, Channels]:
    """The mean over the groups of their means, and that of their variances: what the running averages move towards."""
    means, variances = zip(*(moments(group) for group in np.split(x, groups)), strict=True)
    return np.mean(means, axis=0), np.mean(variances, axis=0)


def running(before: Channels, seen: Channels, momentum: float) -> Channels:
    """The running average after a step: it keeps ``momentum`` of what it was, the rest is what the step showed.

    This is not the momentum of SGD. PyTorch's name ``momentum`` is for the rest, 1 − momentum.
    """
    return momentum * before + (1 - momentum) * seen
