"""Written afterwards, a fifth time: networks that are scored or predicted otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import with_arguments
from tests.mutants.body import FIFTH
from tests.mutants.witnesses import FLAT, IMAGES, Given, given, predicts, scores
from weedout_core import Network
from weedout_core.backend import Backend, map_tree
from weedout_core.nn import BatchNorm, Conv, Dense, Flatten, Gather, GlobalAveragePool, Mask, Relu

_RESCALED_FIRST = Network(
    (
        Dense("one", 6), Relu(), Mask("one", rescale=True), Dense("two", 5), BatchNorm("norm", epsilon=0.1), Relu(),
        Mask("two"), Dense("out", 3),
    ),
    (4,),
)  # fmt: skip


def _larger_weights(made: Given) -> None:
    for weights in made.params.values():
        weights *= 3


edit = FIFTH.edits("score_population", "scoring")
edit(
    "calibrated_without_rescaling",
    "the inputs for calibration go through the masks without their factors",
    scores(_RESCALED_FIRST, norm="recalibrated", prepare=_larger_weights),
    (
        "forward(net.layers, params, masks, batch.calibration)",
        "forward(plain(net.layers), params, masks, batch.calibration)",
    ),
    (
        "def candidate_parameters(",
        "def plain(layers):\n"
        "    changed = []\n"
        "    for layer in layers:\n"
        "        if isinstance(layer, Residual):\n"
        "            layer = Residual(plain(layer.main), plain(layer.shortcut))\n"
        "        changed.append(replace(layer, rescale=False) if isinstance(layer, Mask) else layer)\n"
        "    return tuple(changed)\n\n\n"
        "def candidate_parameters(",
    ),
    ("from weedout_core.nn import ParameterSpec", "from dataclasses import replace\n"
     "from weedout_core.nn import Mask, ParameterSpec, Residual"),
)  # fmt: skip
edit(
    "calibrated_in_parts",
    "inputs for calibration go through in parts as large as the batch, whose statistics are averaged",
    scores(norm="recalibrated", examples=3),
    (
        "        _, record = forward(net.layers, params, masks, batch.calibration)\n"
        "        return batch_statistics(record)",
        "        n = len(batch.x)\n"
        "        parts = [batch.calibration[i : i + n] for i in range(0, len(batch.calibration), n)]\n"
        "        seen = [batch_statistics(forward(net.layers, params, masks, part)[1]) for part in parts]\n"
        "        return {path: np.mean([one[path] for one in seen], axis=0) for path in seen[0]}",
    ),
)
edit(
    "given_statistics_move_first",
    "the network is still in the mode of training: statistics that are given move by a step, and are used then",
    scores(norm="running"),
    (
        "        return batch.statistics\n",
        "        if batch.statistics is None:\n"
        "            return None\n"
        "        with np.errstate(over='ignore', invalid='ignore'):\n"
        "            _, record = forward(net.layers, params, masks, batch.x)\n"
        "            return running_statistics(batch.statistics, record, 1)\n",
    ),
    (
        "import Parameters, batch_statistics, forward",
        "import Parameters, batch_statistics, forward, running_statistics",
    ),
)


def _one_large(made: Given) -> None:
    made.x[0] *= 1e5


FIFTH.edits("score_population", "fitness")(
    "largest_logit_of_the_batch",
    "the largest logit of the whole batch is taken off, which leaves no probability to examples far below it",
    scores(FLAT, prepare=_one_large),
    (
        "    z = logits - logits.max(axis=1, keepdims=True)\n",
        "    z = logits - (logits.max() if logits.size else 0)\n",
    ),
)


@FIFTH.wrapper("score_population", scores(norm="running", precision="default"))
def default_precision_takes_the_batch(backend: Backend) -> Backend:
    """The fast program of precision="default" knows no statistics but those of the batch."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        if scoring.precision == "default":
            batch = batch._replace(statistics=None, calibration=None)
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


FIFTH.edits("score_population", "layers")(
    "rescaled_by_what_is_not_zero",
    "the fraction kept is that of the outputs that are not 0, which a ReLU before the mask has made fewer",
    scores(FLAT),
    (
        "    return kept * (mask.size / max(np.count_nonzero(mask), 1)) if rescale else kept",
        "    return kept * (kept.size / max(np.count_nonzero(kept), 1)) if rescale else kept",
    ),
)

_SMALL_EPSILON = Network(
    (Conv("a", 3), BatchNorm("norm", epsilon=1e-8), Relu(), Mask("a"), GlobalAveragePool(), Dense("out", 3)), (4, 3, 2)
)


def _small_variances(made: Given) -> None:
    made.statistics["norm/variance"][...] = 1e-5


FIFTH.edits("predict", "batch_norm")(
    "epsilon_at_least_that_of_cudnn",
    "an epsilon below 1e-5, which cuDNN refuses, is replaced by it",
    predicts(_SMALL_EPSILON, prepare=_small_variances),
    ("sound, variance, np.nan) + epsilon)", "sound, variance, np.nan) + max(epsilon, 1e-5))"),
)
edit = FIFTH.edits("predict", "network")
edit(
    "relu_after_the_sum",
    "a ReLU follows the sum of the branches, as in the blocks of a library of models",
    predicts(),
    ("                y = left + right\n", "                y = nn.relu(left + right)\n"),
)
FIFTH.edits("predict", "layers")(
    "average_of_what_is_not_zero",
    "a mask goes on to the average, which leaves out the pixels that are 0, as with masks in Keras",
    predicts(Network((Conv("a", 3), Relu(), Mask("a"), GlobalAveragePool(), Dense("out", 3)), (4, 3, 2))),
    (
        "    return x.mean(axis=(1, 2))",
        "    return x.sum(axis=(1, 2)) / np.maximum(np.count_nonzero(x, axis=(1, 2)), 1)",
    ),
)


def _large(made: Given) -> None:
    made.x[...] *= 1e5


FIFTH.edits("predict", "layers")(
    "convolves_in_half_floats",
    "what goes into a convolution is of 16 bits, as where a setting lets tensor cores do it",
    predicts(Network((Conv("a", 3), Mask("a"), Flatten(), Dense("out", 3)), (4, 3, 2)), prepare=_large),
    (
        "    padded = pad(x, (len(kernel) - 1) // 2)",
        "    with np.errstate(over='ignore'):\n"
        "        x = np.asarray(x).astype(np.float16).astype(np.float64)\n"
        "    padded = pad(x, (len(kernel) - 1) // 2)",
    ),
)
_GATHERS = Network((Dense("one", 6), Relu(), Gather("take", 3), Dense("out", 3)), (4,))


def _gathered(backend: Backend) -> Any:
    made = given(_GATHERS, 2, 5)
    indices = {"take": backend.asarray(np.array([[0, 2, 5], [1, 3, 4]], np.int32))}
    params, statistics = map_tree(backend.asarray, made.params), map_tree(backend.asarray, made.statistics)
    return backend.predict(_GATHERS, params, statistics, indices, backend.asarray(made.x))


FIFTH.edits("predict", "compacted")(
    "indices_count_from_one",
    "indices are taken to count from 1, as in Julia, and turned once too often",
    _gathered,
    ("    return x[..., indices]", "    return x[..., indices - 1]"),
)


def _other_statistics(backend: Backend) -> Any:
    made = given(IMAGES, 2, 5)
    params, statistics, masks = (map_tree(backend.asarray, tree) for tree in made[2:])
    moved = {path: backend.asarray(2 * value) for path, value in made.statistics.items()}
    x = backend.asarray(made.x)
    return [backend.predict(IMAGES, params, each, masks, x) for each in (statistics, moved)]


@FIFTH.wrapper("predict", _other_statistics)
def norms_folded_once(backend: Backend) -> Backend:
    """Normalisations are folded into the weights once for each tree of these, with the statistics of that time."""
    folded: dict[Any, Any] = {}
    predict = backend.predict.__wrapped__  # pyright: ignore[reportAttributeAccessIssue]

    def changed(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        arrays = tuple(params.values())
        _, kept = folded.setdefault(tuple(map(id, arrays)), (arrays, statistics))
        return predict(net, params, kept, masks, x)

    return replace(backend, predict=changed)
