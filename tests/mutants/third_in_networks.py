"""Written afterwards, a third time: networks that are scored or predicted otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import other_layers, with_arguments, with_result
from tests.mutants.body import THIRD
from tests.mutants.witnesses import FLAT, Given, predicts, scores
from weedout_core import Network, mask_space
from weedout_core.backend import Backend
from weedout_core.nn import BatchNorm, Conv, Dense, Flatten, Gather, GlobalAveragePool, Mask, Relu, every_layer

edit = THIRD.edits("score_population", "scoring")
edit(
    "calibrated_as_if_already_trained",
    "the inputs for calibration go through layers that normalise with means 0 and variances 1, not with what is seen",
    scores(norm="recalibrated"),
    ("        _, record = forward(net.layers, params, masks, batch.calibration)\n",
     "        _, record = forward(net.layers, params, masks, batch.calibration, initial_statistics(net))\n"),
    ("import draw_parameters\n", "import draw_parameters, initial_statistics\n"),
)  # fmt: skip
edit(
    "statistics_are_means_over_the_chunk",
    "the statistics of the batch are averaged over the candidates of a chunk, as over replicas",
    scores(chunk=3),
    ("    for i in range(population.size):\n",
     "    for i in range(population.size):\n"
     "        if i % scoring.chunk == 0:\n"
     "            chunk = range(i, min(i + scoring.chunk, population.size))\n"
     "            shared = averaged(net, params, population, batch, chunk)\n"),
    ("candidate_masks(population, i), batch, scoring.fitness)",
     "candidate_masks(population, i), shared, scoring.fitness)"),
    ("def score(\n",
     "def averaged(net, params, population, batch, chunk):\n"
     "    if batch.statistics is not None or batch.calibration is not None:\n"
     "        return batch\n"
     "    own, seen = batch._replace(calibration=batch.x), []\n"
     "    for i in chunk:\n"
     "        weights, masks = candidate_parameters(params, population, i), candidate_masks(population, i)\n"
     "        seen.append(statistics_of(net, weights, masks, own))\n"
     "    return batch._replace(statistics={path: np.mean([one[path] for one in seen], axis=0) for path in seen[0]})\n"
     "\n\ndef score(\n"),
)  # fmt: skip


@THIRD.wrapper("score_population", scores(precision="default"))
def default_precision_rounds_the_fitness(backend: Backend) -> Backend:
    """With precision="default" the fitness itself comes in bfloat16, where only operands of products may be rounded."""

    def change(fitness: Any, net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> Any:
        if scoring.precision != "default":
            return fitness
        bits = np.asarray(fitness, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return bits.view(np.float32).astype(np.float64)

    return with_result(backend, "score_population", change)


def in_the_order_of_names(net: Network, masks: Any) -> Any:
    """The masks of each shape, sorted by the names of their sites, given to these sites in the order of the network."""
    space = mask_space(net)
    found = dict(masks)
    for shape in set(space.values()):
        sites = [site for site in space if space[site] == shape and site in masks]
        found |= {site: masks[name] for site, name in zip(sites, sorted(sites), strict=True)}
    return found


_UNSORTED = Network(
    (Dense("one", 5), Relu(), Mask("late"), Dense("two", 5), Relu(), Mask("early"), Dense("out", 3)), (4,)
)


@THIRD.wrapper("score_population", scores(_UNSORTED, candidates="masks"))
def masks_in_the_order_of_their_names(backend: Backend) -> Backend:
    """Masks that are handed in are flattened as a tree, sorted by name, and dealt out in the order of the layers."""

    def change(net: Any, params: Any, population: Any, *rest: Any) -> tuple[Any, ...]:
        if population.masks is not None:
            population = population._replace(masks=in_the_order_of_names(net, population.masks))
        return net, params, population, *rest

    return with_arguments(backend, "score_population", change)


@THIRD.wrapper("score_population", scores(candidates="own"))
def own_weights_without_constants(backend: Backend) -> Backend:
    """With weights of its own a candidate has 0 for each parameter that is not drawn, whatever its value is."""

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        own = isinstance(params, tuple)
        return net, tuple(replace(spec, value=0.0) for spec in params) if own else params, *rest

    return with_arguments(backend, "score_population", change)


edit = THIRD.edits("predict", "layers")
edit(
    "rescaled_by_each_channel",
    "the fraction that a mask of nodes keeps is counted for each channel of an image alone",
    predicts(
        Network((Conv("a", 3), Relu(), Mask("a", rescale=True), GlobalAveragePool(), Dense("out", 3)), (4, 3, 2))
    ),
    ("kept * (mask.size / max(np.count_nonzero(mask), 1))",
     "kept / np.maximum(mask.mean(axis=(0, 1) if mask.ndim == 3 else None), 1 / mask.size)"),
)  # fmt: skip
edit(
    "windows_are_turned_over",
    "a convolution is one of mathematics, as in Julia's Flux: the window is turned over",
    predicts(),
    ("y += padded[:, rows, columns] @ kernel[p, q]", "y += padded[:, rows, columns] @ kernel[-1 - p, -1 - q]"),
    ("kernel_gradient[p, q] = met.T", "kernel_gradient[-1 - p, -1 - q] = met.T"),
    ("+= gradient @ kernel[p, q].T", "+= gradient @ kernel[-1 - p, -1 - q].T"),
)
THIRD.edits("predict", "network")(
    "images_flattened_column_by_column",
    "an image is flattened with its columns before its rows, as where the first axis is the fastest",
    predicts(Network((Conv("a", 2), Relu(), Mask("a"), Flatten(), Dense("out", 3)), (3, 3, 1))),
    ("y = x.reshape(len(x), -1)", "y = (x.swapaxes(1, 2) if x.ndim == 4 else x).reshape(len(x), -1)"),
    ("gradient = gradient.reshape(x.shape)",
     "gradient = (gradient.reshape(x.swapaxes(1, 2).shape).swapaxes(1, 2) if x.ndim == 4 else\n"
     "                            gradient.reshape(x.shape))"),
)  # fmt: skip


@THIRD.wrapper("predict", predicts(FLAT))
def predicts_log_probabilities(backend: Backend) -> Backend:
    """The model ends with a log-softmax: the largest is the same, but these are no logits."""

    def change(logits: Any, *_: Any) -> Any:
        with np.errstate(invalid="ignore", over="ignore"):
            z = logits - logits.max(axis=-1, keepdims=True)
            return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))

    return with_result(backend, "predict", change)


@THIRD.wrapper("predict", predicts())
def epsilon_of_the_first_norm(backend: Backend) -> Backend:
    """Where a network is predicted all of its batch normalisations have the epsilon of the first one."""

    def change(net: Any, *rest: Any) -> tuple[Any, ...]:
        epsilons = [layer.epsilon for layer in every_layer(net.layers) if isinstance(layer, BatchNorm)]
        return other_layers(
            net, lambda layer: replace(layer, epsilon=epsilons[0]) if isinstance(layer, BatchNorm) else layer
        ), *rest

    return with_arguments(backend, "predict", change)


_NAMED_ALIKE = Network(
    (Dense("a", 4), BatchNorm("a.norm"), Relu(), Mask("a"), Dense("b", 4), BatchNorm("norm"), Relu(), Dense("out", 3)),
    (4,),
)


@THIRD.wrapper("predict", predicts(_NAMED_ALIKE))
def statistics_found_by_the_end_of_their_path(backend: Backend) -> Backend:
    """The statistics of a layer are the first whose path ends with its name: norm has those of a.norm."""

    def change(net: Any, params: Any, statistics: Any, *rest: Any) -> tuple[Any, ...]:
        found = {path: next(v for p, v in statistics.items() if p.endswith(path)) for path in statistics}
        return net, params, found, *rest

    return with_arguments(backend, "predict", change)


def _indices(made: Given) -> None:
    made.masks["some"] = np.array([[3, 1, 0], [0, 2, 1]], np.int32)


@THIRD.wrapper("predict", predicts(Network((Gather("some", 3), Dense("out", 2)), (4,)), prepare=_indices))
def indices_of_the_first_network(backend: Backend) -> Backend:
    """Indices are constants of the program: each of R networks gathers the nodes of the first."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
        masks = masks and {
            site: np.repeat(value[:1], len(value), 0) if value.dtype.kind == "i" else value
            for site, value in masks.items()
        }
        return net, params, statistics, masks, x

    return with_arguments(backend, "predict", change)
