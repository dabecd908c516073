"""Algorithm 1 of the paper, WEEDOUT, as one loop. Lay it beside the paper's: the numbers are its line numbers.

A candidate is written down as its *origin*, the generation and the index in which it was drawn: with the seed, that
says everything about it, and its mask and weights are drawn whenever they are needed.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from weedout_core import Network, SearchConfig, TrainConfig
from weedout_core.backend import Batches, MaskPlan, Origin, ScoredBatch
from weedout_core.errors import ConfigError, SearchError
from weedout_core.nn import ParameterSpec
from weedout_numpy.batches import data_crops, data_order, train_plan
from weedout_numpy.fitness import count_correct
from weedout_numpy.initial import draw_parameters, he_normal, initial_statistics
from weedout_numpy.masks import draw_masks, mask_plan
from weedout_numpy.network import Parameters, nth, predict
from weedout_numpy.randomness import MASKS, WEIGHTS, Key, fold_in, key
from weedout_numpy.scoring import score, validation_batch
from weedout_numpy.selection import select
from weedout_numpy.shapes import mask_space
from weedout_numpy.training import train_epoch, train_init

Split = tuple[np.ndarray, np.ndarray]

# The choices that the loop below spells out. The others of SearchConfig are variations of it, in weedout_core.search.
SPELLED_OUT: Mapping[str, tuple[object, ...]] = {
    "strategy": ("random_search",),
    "patience": (None,),
    "budget": (None,),
    "batch_policy": ("fresh",),
    "elite": ("rescore",),
    "winner": ("last_generation", "best_overall"),
    "fan": ("fan_in",),
    "fan_counts": ("parent",),
    "batch_norm": ("batch",),
}


class Elite(NamedTuple):
    """The fittest candidate of a generation: where it was drawn, and its fitness there."""

    origin: Origin
    fitness: float


class Result(NamedTuple):
    """What the algorithm found.

    Attributes:
        origin: where the winner was drawn.
        mask: its mask, {site: bool ``shape``}.
        params: its initial weights, {path: float64 ``shape``}.
        fitness: the fitness it was chosen for.
        elites: the fittest of each generation.
        scores: every fitness, float64 ``(generations, m)``.
        trained: its weights after SGD, {path: float64 ``shape``}.
        statistics: its running statistics after SGD, {path: float64 ``(channels,)``}.
        losses: the cross-entropy of every step before its update, float64 ``(steps,)``, nats.
        accuracy: on the test split, in [0, 1].
    """

    origin: Origin
    mask: dict[str, np.ndarray]
    params: dict[str, np.ndarray]
    fitness: float
    elites: tuple[Elite, ...]
    scores: Float64[np.ndarray, "generations m"]
    trained: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    losses: Float64[np.ndarray, " steps"]
    accuracy: float


def weedout(
    net: Network,
    data_validation: Split,
    data_train: Split,
    data_test: Split,
    sparsity: float,
    config: SearchConfig,
    train_config: TrainConfig,
    seed: int,
) -> Result:
    """Algorithm 1, both phases, in the reading of Algorithm 1 or of section 3 (``config.reading``).

    Args:
        net: the architecture of the paper's fully connected network, or of a convolutional one.
        data_validation, data_train, data_test: the splits ``(x, y)``, x ``(examples, *input_shape)``, y integers.
        sparsity: η, the fraction of nodes removed.
        config: m is its ``population``.
        train_config: of the learning phase.
        seed: of all that is random.
    Raises:
        ConfigError: the configuration makes a choice that is not spelled out here.
        SearchError: no candidate of a generation has a finite fitness.
    """
    check_spelled_out(config)
    x_validation, y_validation = as_float64(data_validation)
    root, m = key(seed), config.population
    plan, specs = mask_plan(mask_space(net), sparsity, config.sampling), he_normal(net)
    parent = draw_parameters(fold_in(root, WEIGHTS), specs)  # Data: the weight-initialised fully connected network
    if config.weights == "per_candidate":
        parent = specs  # section 3: "each randomly created sparse network is initialized"

    population: list[Origin] = []
    for i in range(m):  # 1   for i ← 1 to m do
        population.append(Origin(0, i))  # 2       nⁱ ← RandomSubNetwork(N, η)
    elites: list[Elite] = []
    scores: list[list[float]] = []
    generation = 0
    while generation != config.generations:  # 4   while ¬ TerminationCriteria do
        batch = validation_batch(
            root, generation, len(y_validation), config.validation_batch
        )  # 5   batch ~ D_validation
        shown = ScoredBatch(x_validation[batch], y_validation[batch])
        fitness: list[float] = []
        for i in range(m):  # 6       for i ← 1 to m do
            mask, params = random_sub_network(root, population[i], plan, parent)
            fitness.append(score(net, params, mask, shown, config.fitness))  # 7   fitnessⁱ ← −Cost(nⁱ, batch)
        best = select(fitness)
        if not np.isfinite(fitness[best]):
            raise SearchError(
                f"no candidate of generation {generation} has a finite fitness. Check inputs and weights."
            )
        elites.append(Elite(population[best], fitness[best]))
        scores.append(fitness)
        generation += 1
        fresh = [Origin(generation, i) for i in range(1, m)]
        population = [population[best], *fresh]  # 9       n ← RSH_selection(n)
    # Section 3: "the fittest sparse network solution over all generations is selected".
    finalists = elites if config.winner == "best_overall" else elites[-1:]
    winner = finalists[select([elite.fitness for elite in finalists])]  # 11  n* ← argmax fitness
    mask, params = random_sub_network(root, winner.origin, plan, parent)

    # 12  TrainAndUpdateWeights(n*, D_train)
    trained, statistics, losses = train(net, params, mask, as_float64(data_train), train_config, root)
    # 13  EvaluateGeneralizationPerformance(n*, D_test)
    accuracy = evaluate(net, trained, statistics, mask, as_float64(data_test))
    return Result(
        winner.origin, mask, params, winner.fitness, tuple(elites), np.array(scores),
        trained, statistics, losses, accuracy,
    )  # fmt: skip


def random_sub_network(
    root: Key, origin: Origin, plan: MaskPlan, parent: dict[str, np.ndarray] | tuple[ParameterSpec, ...]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A candidate's mask and initial weights (line 2): the parent's weights or, given specs, its own."""
    mask = draw_masks(candidate_key(root, MASKS, origin), plan)
    params = parent if isinstance(parent, dict) else draw_parameters(candidate_key(root, WEIGHTS, origin), parent)
    return mask, params


def candidate_key(root: Key, stream: int, origin: Origin) -> Key:
    """The path from the seed to a candidate: seed / stream / generation / index."""
    return fold_in(fold_in(fold_in(root, stream), origin.generation), origin.candidate)


def train(
    net: Network, params: Parameters, mask: Parameters, data: Split, config: TrainConfig, root: Key
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Float64[np.ndarray, " steps"]]:
    """The learning phase (line 12): the trained weights, the running statistics, and the loss of every step."""
    x, y = data
    plan, masks = train_plan(config, len(y)), alone(mask)
    state = train_init(net, plan, root[None], alone(params), alone(initial_statistics(net)))
    losses: list[np.ndarray] = []
    for epoch in range(config.epochs):
        crops = data_crops(root, epoch, plan)
        batches = Batches(data_order(root, epoch, plan)[None], None if crops is None else crops[None])
        state, result = train_epoch(net, plan, state, masks, x, y, batches)
        losses.append(result.loss[0])
    return nth(state.params, 0), nth(state.statistics, 0), np.concatenate([np.zeros(0), *losses])


def evaluate(net: Network, params: Parameters, statistics: Parameters, mask: Parameters, data: Split) -> float:
    """The fraction of a split that a network predicts right (line 13), in [0, 1]."""
    x, y = data
    (logits,) = predict(net, alone(params), alone(statistics), alone(mask), x)
    return count_correct(logits, y) / len(y)


def alone(tree: Parameters) -> dict[str, np.ndarray]:
    """One network as R = 1 networks side by side."""
    return {path: value[None] for path, value in tree.items()}


def as_float64(data: Split) -> Split:
    """A split with its inputs in float64."""
    x, y = data
    return np.asarray(x, dtype=np.float64), np.asarray(y)


def check_spelled_out(config: SearchConfig) -> None:
    """Raise ConfigError for a choice that the loop does not make."""
    for name, values in SPELLED_OUT.items():
        if (chosen := getattr(config, name)) not in values:
            allowed = " or ".join(map(repr, values))
            raise ConfigError(
                f"the loop of Algorithm 1 spells out {name}={allowed} only; got {chosen!r}. Use weedout_core.search."
            )
