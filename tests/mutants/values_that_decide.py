"""NaN, ties, zeros: single activations, statistics or words that decide."""

import numpy as np

from tests.mutants.body import STRUCTURE
from tests.mutants.logits_that_decide import MINUS, all_tied, in_one_logit, one_lost
from tests.mutants.witnesses import FLAT, Given, keeps, predicts, trains
from weedout_core import Network, mlp
from weedout_core.nn import Conv, Dense, Flatten, Mask, MaxPool

_SMALL = mlp(3, (4,), 3)


def _blank(given: Given) -> None:
    given.x[:] = 0
    for path, value in given.params.items():
        if path.endswith("/bias"):
            value[:] = 0


edit = STRUCTURE.edits("train_epoch", "training")
_TIED = trains(_SMALL, prepare=all_tied, epochs=1, learning_rate=1e-9)
edit(
    "correct_ties_to_the_last",
    "of equal logits the last is the class, in training",
    _TIED,
    ("count_correct(logits, y)\n", "int((logits.shape[1] - 1 - logits[:, ::-1].argmax(1) == y).sum())\n"),
)
edit(
    "correct_by_argmax_of_nan",
    "a row with a NaN is of the class whose logit is NaN",
    trains(_SMALL, epochs=1, prepare=in_one_logit(np.nan)),
    ("count_correct(logits, y)\n", "int((logits.argmax(1) == y).sum())\n"),
)
edit(
    "steps_with_nan_skipped",
    "a step whose gradient is not finite does not happen, as with a scaled loss",
    trains(_SMALL, prepare=one_lost),
    (
        "    return Learner(params, statistics, velocity), loss, correct",
        "    if not all(np.isfinite(g).all() for g in gradients.values()):\n"
        "        params, velocity = before.params, before.velocity\n"
        "    return Learner(params, statistics, velocity), loss, correct",
    ),
)
edit(
    "gradients_with_nan_are_zero",
    "where a gradient is not finite it is 0",
    trains(_SMALL, prepare=one_lost),
    ("    g = gradient +", "    g = np.nan_to_num(gradient, posinf=0.0, neginf=0.0) +"),
)
edit(
    "loss_of_minus_infinity",
    "the loss is finite though the logit of a class, not the true one, is -inf",
    trains(_SMALL, prepare=MINUS, epochs=1),
    (
        "-negative_cross_entropy(logits, y), ",
        "float(-(lambda z: z - np.log(np.exp(z).sum(1, keepdims=True)))("
        "logits - logits.max(1, keepdims=True))[np.arange(len(y)), y].mean()), ",
    ),
)

edit = STRUCTURE.edits("train_epoch", "layers")
_SLOPE = "return gradient * (x > 0)"
edit(
    "slope_of_one_at_zero", "ReLU has the slope 1 at 0", trains(prepare=_blank), (_SLOPE, "return gradient * (x >= 0)")
)
edit(
    "slope_of_a_half_at_zero",
    "ReLU has the slope 1/2 at 0",
    trains(prepare=_blank),
    (_SLOPE, "return gradient * np.heaviside(x, 0.5)"),
)
_POOLED = Network((Mask("image"), MaxPool(2), Conv("one", 2), Flatten(), Dense("out", 3)), (4, 4, 2))
_POOLS = Network((Conv("one", 2, 1), Mask("one"), MaxPool(3), Flatten(), Dense("out", 3)), (6, 6, 3))
_LARGEST = "largest = ((seen == y) | np.isnan(seen)) & ~found"


def _one_channel_each(given: Given) -> None:
    """The sum over the channels is 1 at each pixel or 0, and each pixel has it from one channel."""
    given.x[:] = (given.x == given.x.max(axis=-1, keepdims=True)) & (given.x > 0.5)
    given.params["one/kernel"][:] = 1
    given.masks["one"][:] = True


_EQUALS = trains(_POOLS, prepare=_one_channel_each, epochs=1)
edit(
    "gradient_to_all_of_equals",
    "each of equal values in a window gets the whole gradient",
    _EQUALS,
    (_LARGEST, "largest = (seen == y) | np.isnan(seen)"),
)
edit(
    "gradient_shared_by_equals",
    "equal values in a window share the gradient",
    _EQUALS,
    (_LARGEST, "largest = (seen == y) | np.isnan(seen)"),
    (
        "    y = max_pool(x, window)\n    x_gradient,",
        "    y = max_pool(x, window)\n    positions = window_positions(window, window, y)\n"
        "    gradient = gradient / np.sum([x[:, r, c] == y for _, _, r, c in positions], axis=0).clip(1)\n"
        "    x_gradient,",
    ),
)
edit(
    "gradient_to_the_last_of_equals",
    "the last of equal values in a window gets the gradient",
    _EQUALS,
    (
        "    for _, _, rows, columns in window_positions(window, window, y):\n        seen",
        "    for _, _, rows, columns in reversed(list(window_positions(window, window, y))):\n        seen",
    ),
)
edit(
    "gradient_column_by_column",
    "of equal values the first one, looked for column by column, gets the gradient",
    _EQUALS,
    (
        "    for _, _, rows, columns in window_positions(window, window, y):\n        seen",
        "    for _, _, rows, columns in sorted(window_positions(window, window, y), key=lambda p: (p[1], p[0])):\n"
        "        seen",
    ),
)

edit = STRUCTURE.edits("predict", "layers")
_MASKED = "kept = np.where(mask, x, 0.0)"


def _removed_is_infinite(given: Given) -> None:
    given.x[:] = 1
    given.params["one/bias"][:, 0] = np.inf
    for mask in given.masks.values():
        mask[:, 0] = False
        mask[:, 1] = True


edit(
    "masks_multiplied",
    "a removed node is multiplied by 0: what was infinite becomes NaN",
    predicts(FLAT, prepare=_removed_is_infinite),
    (_MASKED, "kept = mask * x"),
)
edit(
    "relu_drops_nan",
    "ReLU of NaN is 0",
    predicts(_SMALL, prepare=one_lost),
    ("return np.maximum(x, 0.0)", "return np.where(x > 0, x, 0.0)"),
)
edit(
    "relu_up_to_six",
    "ReLU ends at 6",
    predicts(_SMALL, prepare=lambda given: given.x.__imul__(50)),
    ("return np.maximum(x, 0.0)", "return np.minimum(np.maximum(x, 0.0), 6.0)"),
)
edit(
    "relu_leaks",
    "a small slope below 0",
    predicts(_SMALL),
    ("return np.maximum(x, 0.0)", "return np.maximum(x, 0.01 * x)"),
)
edit(
    "pooling_drops_nan",
    "a NaN in a window is passed over",
    predicts(_POOLED, prepare=lambda given: given.x[:, 0].__setitem__(0, np.nan)),
    ("y = np.maximum(y, x", "y = np.fmax(y, x"),
)
edit(
    "pooling_from_zero",
    "the largest of a window is at least 0",
    predicts(_POOLED),
    ("    y = x[:, ::window, ::window]\n", "    y = np.maximum(x[:, ::window, ::window], 0.0)\n"),
)

edit = STRUCTURE.edits("keep_smallest", "masks")
_ORDER, _CHOSEN = 'order = np.argsort(bits, kind="stable")', "kept[order[:k]] = True"
edit(
    "last_of_equal_words",
    "of equal words the last stay",
    keeps([5, 5, 5, 1], 2),
    (_ORDER, "order = np.lexsort((-np.arange(n), bits))"),
)
edit(
    "all_equal_words",
    "all words equal to the k-th smallest stay, which may be more than k",
    keeps([5, 5, 5, 1], 2),
    (_CHOSEN, "kept = bits <= bits[order[k - 1]]"),
)
edit(
    "words_in_single_precision",
    "words are compared as float32: those that are close tie",
    keeps([2**31 + 3, 2**31 + 1], 1),
    (_ORDER, 'order = np.argsort(bits.astype(np.float32), kind="stable")'),
)
edit(
    "all_words_equal",
    "where all words are equal nothing is known, and all stay",
    keeps([7, 7, 7], 2),
    (_CHOSEN, f"{_CHOSEN}\n    kept |= n > 1 and bits.min() == bits.max()"),
)
