"""How far floats may differ: one table of bounds, each derived from the precision and the number of terms.

``TOLERANCES`` has an entry for each operation and the dtype of its result. The checks take their bounds from it, and
``CHECKED`` says which check takes which. By design, a bound is the same for every backend: it follows from the
operation and the precision, and a backend that exceeds it computes something else. A backend that has to exceed a bound
is listed in ``DEVIATIONS`` with the reason. Another precision is another dtype, with entries beside those of float32.

``precision`` defines u and γₙ, the precision of float32; ``carried`` derives how an error passes through a layer.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from weedout_core._networks.network import Network
from weedout_core.testing.carried import Carried, Pass, carry, exact
from weedout_core.testing.precision import BFLOAT16, DOUBLE, UNIT_ROUNDOFF, gamma

#: Initial weights, relative: erfinv differs between libraries by up to 91 ulp (measured), 91 · 2^-23 ≈ 1.1e-5
#: at the worst place of an ulp's range and half of it on average; the rest of the formula adds 4 roundings.
WEIGHTS = 95 * 2 * UNIT_ROUNDOFF

#: A bound on the error of each weight: {path: float ``shape``}.
Off = Mapping[str, np.ndarray]


def drawn_error(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A bound on the error of initial weights: {path: float ``shape``}, 0 where a weight is 0."""
    return {path: WEIGHTS * np.abs(value) for path, value in params.items()}


def logit_error(
    net: Network,
    params: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray] | None,
    x: np.ndarray,
    off: Off | None = None,
    statistics: Mapping[str, np.ndarray | Carried] | None = None,
    calibration: np.ndarray | None = None,
    operands: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The logits of one candidate, and a bound on the float32 error of each: float64 ``(examples, classes)``.

    Args:
        off: a bound on the error of each weight; None for weights without an error.
        statistics, calibration: as in ``Backend.score``; statistics that have an error come with a bound on it.
        operands: the unit roundoff to which a device may round the operands of products; 0 for float32.
    """
    taken: dict[str, Carried] | None = None
    if statistics is not None:
        taken = {path: value if isinstance(value, Carried) else exact(value) for path, value in statistics.items()}
    elif calibration is not None:
        taken = {}
        carry(net.layers, Pass(params, off or {}, masks, None, 1, taken, operands), exact(calibration))
    logits = carry(net.layers, Pass(params, off or {}, masks, taken, 1, {}, operands), exact(x))
    return logits.value, logits.error + UNIT_ROUNDOFF


def cross_entropy_error(logits: np.ndarray, error: np.ndarray) -> float:
    """A bound on a float32 mean cross-entropy, given the logits ``(examples, classes)`` and the bound on their error.

    A log-softmax moves by at most twice the largest error of its row. Computing it takes a subtraction, an
    exponential (4 ulp), a sum over classes, a logarithm (4 ulp) and a subtraction, on magnitudes up to 1 + the
    row's range; the mean adds a sum over examples, and the result is rounded.
    """
    examples, classes = logits.shape
    span = 1 + np.ptp(logits, axis=-1).max()
    return float(2 * error.max() + gamma(classes + examples + 20) * span) + 2 * UNIT_ROUNDOFF


def accuracy_error(logits: np.ndarray, error: np.ndarray) -> float:
    """The fraction of examples whose two largest logits are too close to call, given their error, and γ of the mean."""
    top = np.sort(logits, axis=-1)[:, -2:]
    return float(np.mean(top[:, 1] - top[:, 0] <= 2 * error.max(axis=-1))) + gamma(len(logits))


def trained_error(moved: float, largest: float, terms: int, steps: int) -> float:
    """A bound on the error of a float32 weight after a few steps of SGD.

    Args:
        moved: the largest change of a weight of this parameter.
        largest: the largest magnitude of a weight of this parameter.
        terms: the number of products summed for one gradient: the examples of a batch times the places of the largest
            image, plus the nodes of all layers.
        steps: the number of steps taken.

    Each update is a sum of ``terms`` products, whose error is γ of the products' magnitudes. Where products cancel,
    their magnitudes exceed the result, by a factor that is taken as 64 (for gradients of a batch of 8 to 24 examples
    with random labels). Each step also rounds the weight once.
    """
    return 64 * gamma(terms) * moved + steps * UNIT_ROUNDOFF * largest


def gradient_error(largest: float, terms: int) -> float:
    """The most that a gradient in float64 may be off, on both sides together.

    Args:
        largest: the largest number of the gradient's array.
        terms: products behind one of them.

    As in ``trained_error``: a sum of products that cancel by a factor taken as 64, here computed twice.
    """
    return 2 * 64 * gamma(terms, DOUBLE) * largest


def rounded_gradient_error(largest: float) -> float:
    """The most that a gradient may be off whose products are in bfloat16.

    Args:
        largest: the largest magnitude in the gradient of this parameter.

    A number of a gradient is a sum over paths; each path is a product of at most seven numbers here (four weights and
    activations on the way forward, three sensitivities on the way back), each rounded with 2^-8 as an operand or as a
    result. The check's paths have one sign; but batch normalisation takes off a mean, for which a factor of 2 is taken.
    """
    return 2 * 7 * BFLOAT16 * largest


def step_error(
    net: Network,
    params: Mapping[str, np.ndarray],
    masks: Mapping[str, np.ndarray] | None,
    x: np.ndarray,
    off: Off | None,
    groups: int,
    operands: float = 0.0,
) -> tuple[float, float, dict[str, np.ndarray]]:
    """Bounds on a step's loss, number of correct predictions and batch statistics {path: ``(channels,)``}.

    Args:
        off: a bound on the error of each weight; None for weights without an error.
        groups: the number of groups over which batch normalisation takes its statistics.
        operands: the unit roundoff of the operands of products in bfloat16; 0 for float32.
    """
    found: dict[str, Carried] = {}
    logits = carry(net.layers, Pass(params, off or {}, masks, None, groups, found, operands), exact(x))
    errors = {path: item.error + 2 * UNIT_ROUNDOFF * np.abs(item.value) for path, item in found.items()}
    return cross_entropy_error(*logits), accuracy_error(*logits) * len(x), errors


class Tolerance(NamedTuple):
    """How far an operation may be from the reference.

    Attributes:
        words: the bound in words, short enough for a table.
        bound: the function that computes the bound; None if every bit must be equal.
        why: the reason for the bound.
    """

    words: str
    bound: Callable[..., Any] | None
    why: str


#: The bounds, by operation and the dtype of its result.
TOLERANCES: Mapping[tuple[str, str], Tolerance] = MappingProxyType(
    {
        ("random_bits", "uint32"): Tolerance("nothing", None, "arithmetic of integers has one right answer"),
        ("keep_smallest", "bool"): Tolerance("nothing", None, "an order of integers, ties to the lowest index"),
        ("masks", "bool"): Tolerance("nothing", None, "random_bits and keep_smallest, with counts from the core"),
        ("draw_parameters", "float32"): Tolerance(
            f"{WEIGHTS:.1e} of each weight", drawn_error, "91 ulp between the libraries' erfinv, and 4 roundings"
        ),
        ("apply", "float32"): Tolerance(
            "γ of each layer", logit_error, "γ of each layer's products, carried through the layers after it"
        ),
        ("negative_cross_entropy", "float32"): Tolerance(
            "2 × logits + γ", cross_entropy_error, "log-softmax moves by at most twice its row's error"
        ),
        ("accuracy", "float32"): Tolerance(
            "share too close to call", accuracy_error, "the largest logit is another only where two are that close"
        ),
        ("train weights", "float32"): Tolerance(
            "64 γ of the way", trained_error, "each update is a sum of products that cancel"
        ),
        ("mask_gradient", "float64"): Tolerance(
            "128 γ of the largest", gradient_error, "a sum of products that cancel, in float64 on both sides"
        ),
        ("train losses", "float32"): Tolerance(
            "such weights' loss", step_error, "the weights' error, carried to the logits, the loss and the statistics"
        ),
        ("train weights", "bfloat16"): Tolerance(
            "14 · 2^-8 of the step", rounded_gradient_error, "at most seven rounded factors, none of which cancel"
        ),
        ("train losses", "bfloat16"): Tolerance(
            "2^-8 of each product",
            partial(step_error, operands=BFLOAT16),
            "operands and sums of products rounded to 8 bits, carried to the loss",
        ),
    }
)

_LOGITS = (("apply", "float32"),)
_SCORES = ("draw_parameters", "float32"), ("negative_cross_entropy", "float32"), ("accuracy", "float32")
_EPOCH = ("train weights", "float32"), ("train losses", "float32")
_ROUNDED = ("train losses", "bfloat16"), ("train weights", "bfloat16")
#: For each check, the operations whose bounds it takes; none if it compares no floats with the reference.
CHECKED: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "signatures": (), "computes_a_network": (), "conversions": (),
        "random_bits": (("random_bits", "uint32"),),
        "keep_smallest": (("keep_smallest", "bool"),),
        "masks_from_keys": (("masks", "bool"),),
        **dict.fromkeys(("bernoulli_thresholds", "sample_masks"), (("masks", "bool"),)),
        "draw_parameters": (("draw_parameters", "float32"),),
        "apply_agrees": _LOGITS,
        "predict_together": _LOGITS,
        "predict_compacted": _LOGITS,
        "full_mask_is_parent": _LOGITS,
        "score_agrees": _SCORES,
        "permuted_candidates": (("negative_cross_entropy", "float32"),),
        "deciding_inputs": _LOGITS,
        "deciding_logits": (("negative_cross_entropy", "float32"), ("accuracy", "float32")),
        "not_finite_stays": (),
        "epoch_agrees": _EPOCH,
        "compacted_epoch_agrees": _EPOCH, "limited_training_agrees": (*_SCORES, *_EPOCH),
        "deciding_gradients": _EPOCH,
        "deciding_counts": (("negative_cross_entropy", "float32"),), "optimizers_are_refused": (),
        "numbers_of_few_bits": (("negative_cross_entropy", "float32"), ("train losses", "float32")),
        "bfloat16_step_agrees": _ROUNDED,
        "default_step_agrees": _ROUNDED,
        "mask_gradient_agrees": (("mask_gradient", "float64"),),
        "coinciding_sizes": (*_LOGITS, *_SCORES, ("mask_gradient", "float64"), *_EPOCH),
        "pure": (),
        "large_predictions": _LOGITS,
        "large_populations": _SCORES,
        "large_epochs": _EPOCH,
        "search_agrees": (("draw_parameters", "float32"), ("negative_cross_entropy", "float32")),
        "elite_never_worsens": (("negative_cross_entropy", "float32"),),
        "throughout_agrees": (("apply", "float32"), ("negative_cross_entropy", "float32")),
    }
)  # fmt: skip

#: Known deviations: {(backend, check): reason}. The tests expect such a check to fail, and fail if it passes.
DEVIATIONS: Mapping[tuple[str, str], str] = MappingProxyType({})


def bound(operation: str, dtype: str = "float32") -> Callable[..., Any]:
    """The function that computes the bound of an operation on floats."""
    function = TOLERANCES[operation, dtype].bound
    assert function is not None, f"{operation} is equal to the bit"
    return function


def in_words(check: str) -> str:
    """The bounds of a check, for a table; "nothing" where every bit must be equal."""
    return "; ".join(TOLERANCES[entry].words for entry in CHECKED.get(check, ())) or "nothing"
