"""How far floats may differ: bounds derived from the precision and the number of terms, all in one place.

u = 2^-24 is the unit roundoff of float32: one rounded operation is off by at most u of its result. A sum of
n products, in any order, with or without fused multiply-add, is off by at most γₙ = n·u / (1 − n·u) of the sum
of the products' magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). The
reference's own error, in float64, is 2^-29 of this and not counted.
"""

from collections.abc import Mapping

import numpy as np

from weedout_core._networks import Dense, Flatten, Mask, Network, Relu

UNIT_ROUNDOFF = 2.0**-24

#: Initial weights, relative: erfinv differs between libraries by up to 91 ulp (measured), 91 · 2^-23 ≈ 1.1e-5
#: at the worst place of an ulp's range and half of it on average; the rest of the formula adds 4 roundings.
WEIGHTS = 95 * 2 * UNIT_ROUNDOFF


def gamma(terms: int) -> float:
    """γₙ, the relative error bound of a float32 sum of n products."""
    return terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF)


def logit_error(
    net: Network, params: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray] | None, x: np.ndarray
) -> np.ndarray:
    """The most that each float32 logit may be off: float64 ``(examples, classes)``.

    The error e travels through a dense layer as e·|W|, and the layer adds γ of its own: inputs products and a
    bias. ReLU and masks do not enlarge it; rescaling multiplies it and adds two roundings.
    """
    h, error = np.asarray(x, dtype=np.float64), np.zeros(np.shape(x))
    for layer in net.layers:
        match layer:
            case Dense(name):
                kernel, bias = params[f"{name}/kernel"].astype(np.float64), params[f"{name}/bias"].astype(np.float64)
                magnitude = (np.abs(h) + error) @ np.abs(kernel) + np.abs(bias)
                h, error = h @ kernel + bias, error @ np.abs(kernel) + gamma(len(kernel) + 1) * magnitude
            case Relu():
                h = np.maximum(h, 0)
            case Flatten():
                h, error = h.reshape(len(h), -1), error.reshape(len(h), -1)
            case Mask(site, rescale):
                if masks is not None:
                    factor = masks[site] / (masks[site].mean() if rescale else 1)
                    h = h * factor
                    error = error * factor + (gamma(2) * np.abs(h) if rescale else 0)
    return error


def cross_entropy_error(logits: np.ndarray, error: np.ndarray) -> float:
    """The most that a float32 mean cross-entropy may be off, given the logits ``(examples, classes)`` and their error.

    A log-softmax moves by at most twice the largest error of its row. Computing it takes a subtraction, an
    exponential (4 ulp), a sum over classes, a logarithm (4 ulp) and a subtraction, on magnitudes up to 1 + the
    row's range; the mean adds a sum over examples.
    """
    examples, classes = logits.shape
    span = 1 + np.ptp(logits, axis=-1).max()
    return float(2 * error.max() + gamma(classes + examples + 20) * span)


def accuracy_error(logits: np.ndarray, error: np.ndarray) -> float:
    """The share of examples whose two largest logits are too close to call, given their error."""
    top = np.sort(logits, axis=-1)[:, -2:]
    return float(np.mean(top[:, 1] - top[:, 0] <= 2 * error.max(axis=-1)))


def trained_error(moved: float, largest: float, terms: int, steps: int) -> float:
    """The most that a float32 weight may be off after a few steps of SGD.

    Args:
        moved: how far the weights of the parameter have moved at most.
        largest: the largest weight of the parameter.
        terms: products behind one gradient: examples in a batch plus nodes of all layers.
        steps: steps taken.

    Each update is a sum of ``terms`` products, off by γ of the products' magnitudes; those exceed the result
    where they cancel, by a factor taken as 64 (gradients of a batch of 8 to 24 examples with random labels).
    Each step also rounds the weight once.
    """
    return 64 * gamma(terms) * moved + steps * UNIT_ROUNDOFF * largest
