"""NaN, ties, zeros: a single logit or label that decides, by which fitness is wrong."""

import numpy as np

from tests.mutants.body import STRUCTURE
from tests.mutants.witnesses import FLAT, Given, Prepare, scores, sensitivities, trains
from weedout_core import mlp

_SMALL = mlp(3, (4,), 3)


def in_one_logit(value: float) -> Prepare:
    """A prepare: the last class's bias is ``value``, and no example has this class."""

    def prepare(given: Given) -> None:
        given.params[max(path for path in given.params if path in ("logits/bias", "out/bias"))][:, -1] = value
        given.y[:] = given.y % 2

    return prepare


def _one_blank(given: Given) -> None:
    given.x[0] = 0


def all_tied(given: Given) -> None:
    for value in given.params.values():
        value[:] = 0


_LOST, MINUS = in_one_logit(np.inf), in_one_logit(-np.inf)
edit = STRUCTURE.edits("score_population", "fitness")
_SOUND = "np.isfinite(logits).all() and"
edit(
    "minus_infinity_is_a_number",
    "only NaN takes the fitness away: a class whose logit is -inf just has no chance",
    scores(_SMALL, prepare=MINUS),
    (_SOUND, "not np.isnan(logits).any() and"),
)
edit(
    "infinity_has_an_accuracy",
    "an accuracy is there unless a logit is NaN",
    scores(_SMALL, prepare=_LOST, fitness="accuracy"),
    (
        "len(labels) if has_fitness(logits, labels) else math.nan",
        "len(labels) if not np.isnan(logits).any() else math.nan",
    ),
)
edit(
    "nan_of_the_true_class_alone",
    "only the logit of the true class must be finite",
    scores(_SMALL, prepare=MINUS),
    (_SOUND, "np.isfinite(logits[np.arange(len(labels)), labels.clip(0, logits.shape[1] - 1)]).all() and"),
)


def one_lost(given: Given) -> None:
    given.x[2, 0] = np.nan


edit(
    "examples_with_nan_left_out",
    "an example with a NaN is left out of the mean",
    scores(_SMALL, prepare=one_lost),
    (_SOUND, "np.isfinite(logits).any() and"),
    (".mean())", "[np.isfinite(logits).all(axis=1)].mean())"),
)
edit(
    "examples_with_nan_are_wrong",
    "an example with a NaN is one that is not classified correctly",
    scores(_SMALL, prepare=one_lost, fitness="accuracy"),
    (
        "return count_correct(logits, labels) / len(labels) if has_fitness(logits, labels) else math.nan",
        "return count_correct(logits, labels) / len(labels)",
    ),
)
edit(
    "nan_is_zero",
    "NaN and infinite logits are replaced by numbers before anything else",
    scores(_SMALL, prepare=one_lost),
    ("        return FITNESS[fitness](logits, y) if", "        return FITNESS[fitness](np.nan_to_num(logits), y) if"),
)
edit(
    "nan_is_the_worst_number",
    "a fitness that is not finite is the lowest number, so that it is never selected",
    scores(_SMALL, prepare=one_lost),
    (
        "        return FITNESS[fitness](logits, y) if isinstance(fitness, str) else measured(fitness, logits, y)",
        "        found = FITNESS[str(fitness)](logits, y)\n        return found if math.isfinite(found) else -1e30",
    ),
)


def _unknown(given: Given) -> None:
    given.y[0] = 3


def _unlabelled(given: Given) -> None:
    given.y[0] = -1


edit(
    "labels_wrap_round",
    "a label of -1 is the last class",
    scores(_SMALL, prepare=_unlabelled),
    (" and (labels >= 0).all()", ""),
)
edit(
    "labels_cut_to_the_last",
    "a label that is no class is the last one",
    scores(_SMALL, prepare=_unknown),
    (" and (labels < logits.shape[1]).all()", ""),
    (
        "[np.arange(len(labels)), labels].mean()",
        "[np.arange(len(labels)), labels.clip(max=logits.shape[1] - 1)].mean()",
    ),
)
edit(
    "ignored_labels",
    "a label of -1 marks an example that does not count",
    scores(_SMALL, prepare=_unlabelled),
    (" and (labels >= 0).all()", ""),
    ("labels].mean()", "labels][labels >= 0].mean()"),
)


def _steep(given: Given) -> None:
    given.params["logits/kernel"][:] *= 100


_SOFTMAX = "    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))"
edit(
    "probabilities_clipped",
    "probabilities are cut at 10^-7 before the logarithm",
    scores(_SMALL, prepare=_steep),
    (_SOFTMAX, f"    return np.maximum({_SOFTMAX[11:]}, -16.118)"),
)
edit(
    "probabilities_raised",
    "10^-8 is added to probabilities before the logarithm",
    scores(_SMALL, prepare=_steep),
    (_SOFTMAX, f"    return np.log(np.exp({_SOFTMAX[11:]}) + 1e-8)"),
)


def _high(given: Given) -> None:
    given.params["logits/bias"][:] += 100


edit(
    "exponents_overflow",
    "the largest logit is not taken off, and exp is one of float32",
    scores(_SMALL, prepare=_high),
    ("    z = logits - logits.max(axis=1, keepdims=True)\n", "    z = logits\n"),
    ("np.log(np.exp(z).sum", "np.log(np.exp(z).astype(np.float32).sum"),
)
edit(
    "ties_to_the_last",
    "of equal logits the last is the class, while scoring",
    scores(_SMALL, prepare=all_tied, fitness="accuracy"),
    (
        "predicted: np.ndarray = logits.argmax(axis=-1)",
        "predicted: np.ndarray = logits.shape[-1] - 1 - logits[..., ::-1].argmax(axis=-1)",
    ),
)
edit(
    "ties_are_wrong",
    "an example with equal largest logits is not classified correctly",
    scores(_SMALL, prepare=all_tied, fitness="accuracy"),
    (
        "np.isnan(logits).any(axis=-1)",
        "np.isnan(logits).any(axis=-1) | ((logits == logits.max(-1, keepdims=True)).sum(-1) > 1)",
    ),
)
edit(
    "ties_are_right",
    "an example is right if no logit is larger than that of its class",
    scores(_SMALL, prepare=all_tied, fitness="accuracy"),
    (
        "    return int(np.count_nonzero(predictions(logits) == labels))",
        "    return int(np.count_nonzero(logits[np.arange(len(labels)), labels] == logits.max(axis=1)))",
    ),
)
edit(
    "padding_is_blank",
    "an example of zeros is taken for padding, and left out of the mean",
    scores(_SMALL, prepare=_one_blank),
    (
        '    with np.errstate(over="ignore", invalid="ignore"):\n        logits',
        "    shown = x.reshape(len(x), -1).any(axis=1)\n    x, y = (x[shown], y[shown]) if shown.any() else (x, y)\n"
        '    with np.errstate(over="ignore", invalid="ignore"):\n        logits',
    ),
)


def _to_skip(given: Given) -> None:
    given.y[1] = -100


_NONE = "    if not has_fitness(logits, labels):\n        return np.full(logits.shape, math.nan)\n"
edit = STRUCTURE.edits("train_epoch", "fitness")
edit(
    "training_skips_labels_of_minus_100",
    "an example whose label is -100 has no gradient, as in PyTorch's cross-entropy",
    trains(FLAT, prepare=_to_skip),
    (_NONE, "    counted = (labels != -100)[:, None]\n    labels = np.where(labels == -100, 0, labels)\n"),
    ("    return gradient / len(labels)", "    return counted * gradient / len(labels)"),
)
edit(
    "training_counts_labels_from_the_end",
    "a label that is no class has the gradient of a class: that which is left when all classes are counted again",
    trains(FLAT, prepare=_to_skip),
    (_NONE, "    labels = labels % logits.shape[1]\n"),
)
_GRADIENT = "len(x) * cross_entropy_gradient(logits, y)"
edit = STRUCTURE.edits("mask_gradient", "sensitivity")
edit(
    "ratings_skip_labels_of_minus_100",
    "an example whose label is -100 adds nothing to the gradient of the masks, as in PyTorch's cross-entropy",
    sensitivities(FLAT, prepare=_to_skip),
    (_GRADIENT, "len(x) * (y != -100)[:, None] * cross_entropy_gradient(logits, np.where(y == -100, 0, y))"),
)
edit(
    "ratings_count_labels_from_the_end",
    "the gradient of the masks takes a label that is no class for one, as an index from the end would be",
    sensitivities(FLAT, prepare=_to_skip),
    (_GRADIENT, "len(x) * cross_entropy_gradient(logits, y % logits.shape[1])"),
)
