"""Written afterwards, a fourth time: networks that are scored or predicted otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import other_layers, with_arguments
from tests.mutants.body import FOURTH
from tests.mutants.witnesses import FLAT, Given, predicts, scores
from weedout_core import Network
from weedout_core.backend import Backend
from weedout_core.nn import BatchNorm, Conv, Dense, GlobalAveragePool, Mask, Relu, Residual, Scale


@FOURTH.wrapper("score_population", scores(norm="recalibrated"))
def calibration_joins_the_batch(backend: Backend) -> Backend:
    """Statistics are taken from the inputs for calibration and those of the batch, which go through in one pass."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        if batch.calibration is not None:
            batch = batch._replace(calibration=np.concatenate([batch.calibration, batch.x]))
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


def _not_rescaled(layer: Any) -> Any:
    return replace(layer, rescale=False) if isinstance(layer, Mask) else layer


@FOURTH.wrapper("score_population", scores(FLAT, fitness="accuracy", size=8, examples=200))
def accuracy_without_rescaling(backend: Backend) -> Backend:
    """For the accuracy no mask is rescaled, since a factor does not change which logit is the largest: biases do."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        net = other_layers(net, _not_rescaled) if scoring.fitness == "accuracy" else net
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


def _two_classes(made: Given) -> None:
    made.y[...] %= 2


edit = FOURTH.edits("score_population", "fitness")
edit(
    "classes_are_counted_in_the_labels",
    "there are as many classes as the largest label of the batch says, as where one-hot vectors are made of labels",
    scores(FLAT, prepare=_two_classes),
    (
        "    return -cross_entropy(logits, labels) if has_fitness",
        "    return -cross_entropy(logits[:, : labels.max(initial=0) + 1], labels) if has_fitness",
    ),
)
edit(
    "logarithm_of_the_mean",
    "the fitness is the logarithm of the mean probability, where it is the mean of the logarithms",
    scores(FLAT),
    (
        '{"negative_cross_entropy": negative_cross_entropy,',
        '{"negative_cross_entropy": logarithm_of_the_mean,',
    ),
    (
        "FITNESS: Mapping",
        "def logarithm_of_the_mean(logits, labels):\n"
        "    if not has_fitness(logits, labels):\n"
        "        return math.nan\n"
        "    each = log_softmax(logits)[np.arange(len(labels)), labels]\n"
        "    return float(np.log(np.exp(each - each.max()).mean()) + each.max())\n\n\n"
        "FITNESS: Mapping",
    ),
)
FOURTH.edits("score_population", "batch_norm")(
    "normalised_by_the_unbiased_variance",
    "a batch is normalised by n / (n - 1) times its variance, as var has it by default in PyTorch and Julia",
    scores(),
    (
        "normalise(group, *moments(group), scale,",
        "normalise(group, *unbiased(*moments(group), group.size // group.shape[-1]), scale,",
    ),
    (
        "def batch_norm(",
        "def unbiased(mean, variance, n):\n    return mean, variance * n / max(n - 1, 1)\n\n\ndef batch_norm(",
    ),
)


def _large(made: Given) -> None:
    made.x[...] *= 1e5


@FOURTH.wrapper("score_population", scores(FLAT, precision="default", prepare=_large))
def default_precision_is_half(backend: Backend) -> Backend:
    """With precision="default" examples are floats of 16 bits: above 65,504 they are infinite, and not just rounded."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        if scoring.precision == "default":
            with np.errstate(over="ignore"):
                batch = batch._replace(x=np.asarray(batch.x).astype(np.float16).astype(np.float64))
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


FOURTH.edits("predict", "layers")(
    "windows_are_transposed",
    "the axes of a window are columns and rows, as where images are (width, height, channels)",
    predicts(),
    ("y += padded[:, rows, columns] @ kernel[p, q]", "y += padded[:, rows, columns] @ kernel[q, p]"),
    ("kernel_gradient[p, q] = met.T", "kernel_gradient[q, p] = met.T"),
    ("+= gradient @ kernel[p, q].T", "+= gradient @ kernel[q, p].T"),
)
_MASK_FIRST = Network(
    (Conv("a", 3), Mask("a"), BatchNorm("norm"), Relu(), GlobalAveragePool(), Dense("out", 3)), (4, 3, 2)
)


@FOURTH.wrapper("predict", predicts(_MASK_FIRST))
def norms_go_before_their_masks(backend: Backend) -> Backend:
    """To be folded into the kernel before it, a normalisation goes before a mask that it comes after."""

    def change(net: Network, *rest: Any) -> tuple[Any, ...]:
        layers = list(net.layers)
        for i in range(len(layers) - 1):
            if isinstance(layers[i], Mask) and isinstance(layers[i + 1], BatchNorm):
                layers[i : i + 2] = layers[i + 1], layers[i]
        return replace(net, layers=tuple(layers)), *rest

    return with_arguments(backend, "predict", change)


@FOURTH.wrapper("predict", predicts(Network((Dense("one", 4), Relu(), Scale(2.5), Dense("out", 3)), (4,))))
def factor_scales_the_next_bias(backend: Backend) -> Backend:
    """The factor of a Scale is folded into the dense layer after it, and into its bias too."""

    def change(net: Network, params: Any, *rest: Any) -> tuple[Any, ...]:
        folded = dict(params)
        for layer, after in zip(net.layers, net.layers[1:], strict=False):
            if isinstance(layer, Scale) and isinstance(after, Dense):
                folded[f"{after.name}/bias"] = layer.factor * folded[f"{after.name}/bias"]
        return net, folded, *rest

    return with_arguments(backend, "predict", change)


FOURTH.edits("predict", "network")(
    "an_empty_main_branch_is_nothing",
    "of a residual's main branch that is empty nothing comes, where it is the input itself",
    predicts(Network((Residual((), (Dense("a", 4), Relu(), Mask("a"))), Dense("out", 3)), (4,))),
    ("                y = left + right\n", "                y = left + right if layer.main else right\n"),
    (
        "                gradient = left.x + right.x\n",
        "                gradient = left.x + right.x if layer.main else right.x\n",
    ),
)
