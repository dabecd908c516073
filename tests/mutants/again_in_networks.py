"""Written afterwards, again: networks that are scored, predicted or asked for the gradient of their masks otherwise."""

from dataclasses import replace
from typing import Any

import numpy as np

from tests.conformance.wrappers import other_layers, with_arguments, with_result
from tests.mutants.body import AGAIN
from tests.mutants.witnesses import FLAT, Given, predicts, scores
from weedout_core import Network, mask_space
from weedout_core.backend import Backend
from weedout_core.nn import (
    Conv,
    Dense,
    Flatten,
    Mask,
    Relu,
    Residual,
    Scale,
    every_layer,
    parameter_shapes,
)

AGAIN.edits("score_population", "scoring")(
    "own_weights_are_calibrated_as_the_first",
    "with weights of its own a candidate's statistics are those that the first one's weights show under its mask",
    scores(candidates="own", norm="recalibrated"),
    (
        "        fitness[i] = score(net, weights, candidate_masks(population, i), batch, scoring.fitness)\n",
        "        mask, first = candidate_masks(population, i), candidate_parameters(params, population, 0)\n"
        "        seen = batch._replace(statistics=statistics_of(net, first, mask, batch), calibration=None)\n"
        "        fitness[i] = score(net, weights, mask, seen, scoring.fitness)\n",
    ),
)


def _not_rescaled(layer: Any) -> Any:
    return replace(layer, rescale=False) if isinstance(layer, Mask) else layer


@AGAIN.wrapper("score_population", scores(FLAT, precision="default"))
def default_precision_forgets_the_rescaling(backend: Backend) -> Backend:
    """The fast program of precision="default" does not rescale."""

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        net = other_layers(net, _not_rescaled) if scoring.precision == "default" else net
        return net, params, population, batch, scoring

    return with_arguments(backend, "score_population", change)


@AGAIN.wrapper("score_population", scores(FLAT, size=1))
def a_population_of_one_is_a_number(backend: Backend) -> Backend:
    """The fitness of a population of one candidate has no axis."""
    return with_result(backend, "score_population", lambda fitness, *_: fitness[0] if len(fitness) == 1 else fitness)


def _far_below(made: Given) -> None:
    made.params["out/bias"][:] -= 2e4


AGAIN.edits("score_population", "fitness")(
    "padded_classes_win",
    "classes are filled up to a multiple of eight with logits of -10,000, which win where all others are below",
    scores(FLAT, prepare=_far_below),
    (
        "    z = logits - logits.max(axis=1, keepdims=True)\n"
        "    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))",
        "    z = np.pad(logits, ((0, 0), (0, -logits.shape[1] % 8)), constant_values=-1e4)\n"
        "    z = z - z.max(axis=1, keepdims=True)\n"
        "    return (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))[:, : logits.shape[1]]",
    ),
)


def _a_lost_node(made: Given) -> None:
    made.params["one/kernel"][..., 1] = np.nan


@AGAIN.wrapper("score_population", scores(FLAT, candidates="masks", size=6, chunk=3, prepare=_a_lost_node))
def a_lost_candidate_loses_its_chunk(backend: Backend) -> Backend:
    """Where the fitness of one candidate is NaN, that of its chunk is: the results are picked by a product."""

    def change(fitness: Any, net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> Any:
        fitness = np.array(fitness)
        for start in range(0, len(fitness), scoring.chunk):
            part = fitness[start : start + scoring.chunk]
            part += 0 * part.sum()
        return fitness

    return with_result(backend, "score_population", change)


def _both_ways(backend: Backend) -> Any:
    return [scores(FLAT, fitness=fitness)(backend) for fitness in ("negative_cross_entropy", "accuracy")]


@AGAIN.wrapper("score_population", _both_ways)
def fitness_of_the_first_call(backend: Backend) -> Backend:
    """The program of a network and a number of candidates is compiled once, with the fitness of the first call."""
    compiled: dict[Any, Any] = {}

    def change(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> tuple[Any, ...]:
        fitness = compiled.setdefault((net, population.size), scoring.fitness)
        return net, params, population, batch, scoring._replace(fitness=fitness)

    return with_arguments(backend, "score_population", change)


@AGAIN.wrapper("predict", predicts(FLAT, networks=3, examples=3))
def biases_by_example_where_as_many_as_networks(backend: Backend) -> Backend:
    """A bias (R, units) is added to (R, examples, units) as it is: if there are R examples, each takes one of them."""

    def change(logits: Any, net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> Any:
        if len(x) != len(logits):
            return logits
        biases = {f"{layer.name}/bias" for layer in every_layer(net.layers) if isinstance(layer, Dense)}
        shown: list[Any] = []
        for e in range(len(x)):
            its = {
                path: np.repeat(value[e : e + 1], len(x), 0) if path in biases else value
                for path, value in params.items()
            }
            shown.append(backend.predict(net, its, statistics, masks, x[e : e + 1]))
        return np.concatenate(shown, axis=1)

    return with_result(backend, "predict", change)


def _shares(made: Given) -> None:
    made.masks["one"][0] = True


@AGAIN.wrapper("predict", predicts(FLAT, prepare=_shares))
def rescaled_by_what_all_networks_keep(backend: Backend) -> Backend:
    """The fraction that a mask keeps is counted over those of all R networks."""

    def change(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> tuple[Any, ...]:
        def rescaled(layer: Any) -> Any:
            if not isinstance(layer, Mask) or not layer.rescale:
                return layer
            mask = masks[layer.site]
            return _not_rescaled(layer), Scale(mask.size / max(np.count_nonzero(mask), 1))

        return net if masks is None else other_layers(net, rescaled), params, statistics, masks, x

    return with_arguments(backend, "predict", change)


def _with_and_without_rescale(backend: Backend) -> Any:
    return [predicts(net)(backend) for net in (FLAT, other_layers(FLAT, _not_rescaled))]


@AGAIN.wrapper("predict", _with_and_without_rescale)
def programs_kept_by_shapes(backend: Backend) -> Backend:
    """A program is kept by the shapes of its weights and masks: another network of these shapes runs as the first."""
    compiled: dict[Any, Any] = {}

    def change(net: Any, *rest: Any) -> tuple[Any, ...]:
        shapes = net.input_shape, tuple(parameter_shapes(net).items()), tuple(mask_space(net).items())
        return compiled.setdefault(shapes, net), *rest

    return with_arguments(backend, "predict", change)


_DOTTED = Network((Dense("a.b", 4), Relu(), Mask("a"), Dense("a_b", 4), Relu(), Dense("out", 3)), (4,))


@AGAIN.wrapper("predict", predicts(_DOTTED))
def dots_become_underscores(backend: Backend) -> Backend:
    """Dots in names become underscores, as names of modules must have it: a.b has the weights of a_b."""

    def change(net: Any, params: Any, *rest: Any) -> tuple[Any, ...]:
        renamed = {path.replace(".", "_"): value for path, value in params.items()}
        return net, {path: renamed[path.replace(".", "_")] for path in params}, *rest

    return with_arguments(backend, "predict", change)


edit = AGAIN.edits("predict", "layers")
edit(
    "square_kernels_are_transposed",
    "kernels are (units, inputs) inside, and whether one is to be turned is seen from its shape: a square one is not",
    predicts(Network((Dense("a", 4), Relu(), Mask("a"), Dense("out", 3)), (4,))),
    ("    return x @ kernel + bias", "    return x @ (kernel.T if len(kernel) == len(bias) else kernel) + bias"),
    (
        "    return gradient @ kernel.T, x.T @ gradient, gradient.sum(axis=0)",
        "    if len(kernel) == kernel.shape[1]:\n"
        "        return gradient @ kernel, gradient.T @ x, gradient.sum(axis=0)\n"
        "    return gradient @ kernel.T, x.T @ gradient, gradient.sum(axis=0)",
    ),
)


def _one_infinite(made: Given) -> None:
    made.x[0, 0] = -np.inf
    made.masks["x"][:] = True


edit(
    "relu_is_a_product",
    "ReLU is x times whether it is above 0, which is NaN for minus infinity",
    predicts(Network((Relu(), Mask("x"), Dense("out", 3)), (4,)), prepare=_one_infinite),
    ("return np.maximum(x, 0.0)", "return x * (x > 0)"),
)


def _lost_and_not_asked(made: Given) -> None:
    made.x[0, 0] = np.nan
    made.masks["x"][:] = True
    made.params["out/kernel"][:, 0] = 0


edit(
    "weights_of_zero_are_skipped",
    "a weight of 0 is not stored, as in a sparse matrix, and a NaN or an infinity that it meets is not seen",
    predicts(Network((Mask("x"), Dense("out", 3)), (4,)), prepare=_lost_and_not_asked),
    (
        "    return x @ kernel + bias",
        "    if not np.isfinite(x).all():\n"
        "        return np.where(kernel != 0, x[:, :, None] * kernel, 0.0).sum(axis=1) + bias\n"
        "    return x @ kernel + bias",
    ),
)
edit(
    "windows_are_cut_to_the_image",
    "a window that is larger than the image is cut to the odd size that fits in, and what is cut off is not trained",
    predicts(Network((Conv("a", 3, 5), Relu(), Mask("a"), Flatten(), Dense("out", 3)), (3, 3, 1))),
    ("def pad(x: Images, margin: int) -> Images:",
     "def within(kernel, x):\n"
     "    cut = max(0, len(kernel) - min(x.shape[1:3]) + 1) // 2\n"
     "    inner = np.zeros(kernel.shape, dtype=bool)\n"
     "    inner[cut : len(kernel) - cut, cut : len(kernel) - cut] = True\n"
     "    return np.where(inner, kernel, 0.0)\n\n\n"
     "def pad(x: Images, margin: int) -> Images:"),
    ("    padded = pad(x, (len(kernel) - 1) // 2)\n", "    kernel = within(kernel, x)\n"
     "    padded = pad(x, (len(kernel) - 1) // 2)\n"),
    ("    margin = (len(kernel) - 1) // 2\n", "    kernel, margin = within(kernel, x), (len(kernel) - 1) // 2\n"),
    ("margin : margin + width], kernel_gradient", "margin : margin + width], within(kernel_gradient, x)"),
)  # fmt: skip
AGAIN.edits("predict", "network")(
    "two_empty_branches_are_one",
    "a residual of which both branches are empty is the identity, where it doubles its input",
    predicts(Network((Residual(()), Mask("x"), Dense("out", 3)), (4,))),
    ("y = left + right", "y = left + right if main or shortcut else x"),
    ("gradient = left.x + right.x", "gradient = left.x + right.x if main or shortcut else gradient"),
)
