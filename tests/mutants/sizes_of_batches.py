"""Sizes: batches, splits and networks side by side that are wrong only where there are many of them."""

from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments, with_result
from tests.mutants.body import SIZES
from tests.mutants.witnesses import FLAT, Given, predicts, scores, sensitivities, trains
from weedout_core import Network, mlp
from weedout_core.backend import Backend
from weedout_core.nn import BatchNorm, Dense, Mask, Relu

_SMALL = mlp(3, (4,), 2)
_NORMED = Network((Dense("one", 4), BatchNorm("norm"), Relu(), Mask("one"), Dense("out", 3)), (3,))
_CLASSES = mlp(3, (4,), 300)


def _steep(given: Given) -> None:
    given.params["out/kernel"][:] *= 9


def _last_class(given: Given) -> None:
    given.params["logits/bias"][:] = np.arange(300.0)
    given.y[:] = 299


edit = SIZES.edits("predict", "evaluation")
_RUN = "logits, _ = forward(net.layers, params, mask, x, statistics)"
edit(
    "predicts_whole_parts",
    "examples are predicted in parts of 128, and what is left over is 0",
    predicts(_SMALL, examples=130),
    (_RUN, f"{_RUN}\n        logits[max(128, len(x) // 128 * 128) :] = 0"),
)
edit(
    "predicts_the_last_part_moved",
    "the last part is filled up with the examples before it, and read from its start",
    predicts(_SMALL, examples=130),
    (
        _RUN,
        f"{_RUN}\n        left = len(x) % 128\n        if left and len(x) > 128:\n"
        "            logits[-left:] = logits[-128:][:left].copy()",
    ),
)
edit(
    "predicts_4096_examples",
    "a call predicts 4,096 examples, and later ones repeat the last of them",
    predicts(_SMALL, examples=4100),
    (_RUN, f"{_RUN}\n        logits[4096:] = logits[4095:4096]"),
)
edit(
    "predicts_parts_in_reverse",
    "the parts of 4,096 examples are put together last one first",
    predicts(_SMALL, examples=4100),
    (_RUN, f"{_RUN}\n        logits = np.concatenate([logits[i : i + 4096] for i in range(0, len(x), 4096)][::-1])"),
)

edit = SIZES.edits("predict", "together")
_EACH = "nth(masks, r)\n        logits"
edit(
    "predicts_with_four_masks",
    "networks from the fifth on have the masks of those from the first on",
    predicts(FLAT, networks=6),
    (_EACH, _EACH.replace("nth(masks, r)", "nth(masks, r % 4)")),
)
edit(
    "predicts_with_eight_weights",
    "networks from the ninth on have the weights of those from the first on",
    predicts(FLAT, networks=10),
    ("trained_logits(net, nth(params, r),", "trained_logits(net, nth(params, r % 8),"),
)

edit = SIZES.edits("train_epoch", "together")
edit(
    "trains_four_networks",
    "from the fifth network on the batches are those of the networks from the first on",
    trains(FLAT, networks=6),
    ("batches.order[r], None", "batches.order[r % 4], None"),
)
edit(
    "trains_eight_masks",
    "networks from the ninth on have the masks of those from the first on",
    trains(FLAT, networks=10),
    ("nth(masks, r)\n        before", "nth(masks, r % 8)\n        before"),
)
edit(
    "order_of_16_bits",
    "the order of the examples is kept in 16 bits with a sign",
    trains(_SMALL, examples=33_000, batch_size=3000, epochs=1),
    ("batches.order[r], None", "batches.order[r].astype(np.int16), None"),
)
edit(
    "losses_of_32_steps",
    "the losses of a long epoch are those of its last 32 steps, round and round",
    trains(_SMALL, examples=80, batch_size=2, epochs=1),
    (
        "EpochResult(loss, correct)",
        "EpochResult(loss if steps < 33 else loss[:, steps - 32 + np.arange(steps) % 32], correct)",
    ),
)
edit(
    "correct_of_eight_bits",
    "correct examples are counted in eight bits",
    trains(_SMALL, examples=600, batch_size=600, epochs=1),
    ("EpochResult(loss, correct)", "EpochResult(loss, correct % 256)"),
)
edit(
    "rates_of_32_steps",
    "the steps of a long epoch past the 32nd have its rate",
    trains(_SMALL, examples=80, batch_size=2, epochs=1, schedule="cosine"),
    (
        "train_for_an_epoch(net, plan, before, mask, seen, rates)",
        "train_for_an_epoch(net, plan, before, mask, seen, rates[np.arange(steps).clip(max=31)])",
    ),
)

edit = SIZES.edits("train_epoch", "training")
_FORWARD = "logits, record = forward(net.layers, before.params, mask, x, groups=plan.groups)"
edit(
    "micro_batches_of_whole_64",
    "a batch above 64 is cut in parts of 64, and what is left over is not seen",
    trains(_SMALL, examples=100, batch_size=100, epochs=1),
    (_FORWARD, f"x, y = (part[: max(len(x) // 64 * 64, min(len(x), 64))] for part in (x, y))\n        {_FORWARD}"),
)
edit(
    "norm_of_parts_of_128",
    "without groups, a batch above 128 has the statistics of parts of 128",
    trains(_NORMED, examples=256, batch_size=256, epochs=1),
    (
        "backward(before.params, mask, record, cross_entropy_gradient(logits, y), plan.groups)",
        "backward(before.params, mask, record, cross_entropy_gradient(logits, y), groups)",
    ),
    (
        "running_statistics(before.statistics, record, plan.groups)",
        "running_statistics(before.statistics, record, groups)",
    ),
    (
        _FORWARD,
        "groups = len(x) // 128 if len(x) > 128 and len(x) % 128 == 0 else plan.groups\n        "
        + _FORWARD.replace("plan.groups", "groups"),
    ),
)
edit(
    "groups_at_most_four",
    "a batch is cut into four groups at most",
    trains(_NORMED, examples=16, batch_size=16, batch_norm_group=2, epochs=1),
    ("        logits, record", "        four = min(plan.groups, 4)\n        logits, record"),
    ("mask, x, groups=plan.groups)", "mask, x, groups=four)"),
    ("cross_entropy_gradient(logits, y), plan.groups)", "cross_entropy_gradient(logits, y), four)"),
    ("record, plan.groups)\n        params", "record, four)\n        params"),
)

edit = SIZES.edits("score_population", "fitness")
_MEAN = "[np.arange(len(labels)), labels].mean()"
edit(
    "mean_of_means_of_parts",
    "the mean over a batch above 128 is the mean of the means of its parts, ragged ones too",
    scores(_SMALL, examples=130),
    (
        f"return -float(log_softmax(logits){_MEAN})",
        f"each = log_softmax(logits){_MEAN[:-7]}\n"
        "    return -float(np.mean([each[i : i + 128].mean() for i in range(0, len(each), 128)]))",
    ),
)
edit(
    "accuracy_of_whole_parts",
    "the accuracy of a batch above 128 leaves the last, ragged part of 128 out",
    scores(_SMALL, examples=200, fitness="accuracy"),
    (
        "return count_correct(logits, labels) / len(labels)",
        "whole = len(labels) if len(labels) < 128 else len(labels) // 128 * 128\n"
        "    return count_correct(logits[:whole], labels[:whole]) / whole",
    ),
)
edit(
    "classes_of_seven_bits",
    "labels are kept in eight bits with a sign",
    scores(_CLASSES, examples=40),
    (
        f"return -float(log_softmax(logits){_MEAN})",
        f"return -float(log_softmax(logits){_MEAN.replace('labels].', 'labels.astype(np.int8)].')})",
    ),
)
edit(
    "accuracy_of_the_first_128_classes",
    "the largest logit is looked for among 128 classes",
    scores(
        _CLASSES,
        examples=200,
        fitness="accuracy",
        prepare=_last_class,
    ),
    ("predicted: np.ndarray = logits.argmax(axis=-1)", "predicted: np.ndarray = logits[..., :128].argmax(axis=-1)"),
)

edit = SIZES.edits("score_population", "scoring")
edit(
    "scores_1024_examples",
    "no more than 1,024 examples are scored",
    scores(_SMALL, examples=1100, size=2),
    (
        "return fitness_of(net, params, masks, (batch.x, batch.y),",
        "return fitness_of(net, params, masks, (batch.x[:1024], batch.y[:1024]),",
    ),
)
edit(
    "calibrates_on_64_inputs",
    "no more than 64 inputs for calibration are looked at",
    scores(_NORMED, others=300, size=2, norm="recalibrated", prepare=_steep),
    (
        "forward(net.layers, params, masks, batch.calibration)",
        "forward(net.layers, params, masks, batch.calibration[:64])",
    ),
)

edit = SIZES.edits("mask_gradient", "sensitivity")
edit(
    "gradient_of_128_examples",
    "examples from 128 on do not count for the gradient of the masks",
    sensitivities(_SMALL, examples=130),
    (
        "    params, statistics = (\n        {path",
        "    x, y = x[:128], None if y is None else y[:128]\n    params, statistics = (\n        {path",
    ),
)


@SIZES.wrapper("predict", predicts(_SMALL, examples=1))
def a_single_example_loses_its_axis(backend: Backend) -> Backend:
    """The logits of a single example are (R, classes)."""

    def change(logits: Any, *_: Any) -> Any:
        return logits[:, 0] if logits.shape[1] == 1 else logits

    return with_result(backend, "predict", change)


@SIZES.wrapper("score_population", scores(_NORMED, examples=400, size=2))
def norm_of_the_first_256_examples(backend: Backend) -> Backend:
    """A batch above 256 is normalised with the statistics of its first 256 examples."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        given = batch.statistics is not None or batch.calibration is not None or len(batch.x) <= 256
        normed = any(isinstance(layer, BatchNorm) for layer, _ in net.walked)
        batch = batch if given or not normed else batch._replace(calibration=batch.x[:256])
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)
