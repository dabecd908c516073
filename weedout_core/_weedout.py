"""The search phase from end to end: Algorithm 1, lines 1–11, on a backend."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from weedout_core._annotations import Key
from weedout_core._backend import Backend, check_layers, map_tree
from weedout_core._calls import Parameters, Specs
from weedout_core._config import SearchConfig, check_option
from weedout_core._data import Examples, checked_examples
from weedout_core._errors import ConfigError
from weedout_core._initial import he_normal
from weedout_core._loading import load_backend
from weedout_core._masks import MaskPlan, achieved_sparsity, mask_plan
from weedout_core._networks import Network, gather_space, initial_statistics, mask_space
from weedout_core._population import Origin, Population, candidate_keys, chunk_size, draw_population
from weedout_core._random import Stream, below, checked_key, fold_in
from weedout_core._search import (
    Generation,
    SearchState,
    ask,
    best_overall,
    calibration_batch,
    finished,
    init,
    tell,
    validation_batch,
)
from weedout_core._selection import select

Control = Literal["member", "independent"]


class Candidate(NamedTuple):
    """A sparse network at its initial weights, in NumPy, readable by every backend.

    Attributes:
        mask: {site: bool ``shape``}, True where a node is kept.
        params: {path: float ``shape``}.
        origin: the generation and number with which it was drawn; None where it is no candidate of the search.
    """

    mask: dict[str, np.ndarray]
    params: dict[str, np.ndarray]
    origin: Origin | None

    @property
    def sparsity(self) -> float:
        """The fraction of nodes removed, over all sites."""
        return achieved_sparsity(self.mask)


class SearchResult(NamedTuple):
    """The winner of a search, in NumPy, readable by every backend.

    Attributes:
        mask: {site: bool ``shape``}, True where a node is kept.
        params: its initial weights, {path: float ``shape``}.
        fitness: the fitness it was chosen for.
        origin: the generation and number with which it was drawn.
        history: what each generation showed.
        stopped: "generations", "patience" or "budget".
        evaluations: candidates scored in all.
        batch: validation examples used in a generation.
        sparsity: the fraction of nodes removed, over all sites.
        config: the configuration.
    """

    mask: dict[str, np.ndarray]
    params: dict[str, np.ndarray]
    fitness: float
    origin: Origin
    history: tuple[Generation, ...]
    stopped: str
    evaluations: int
    batch: int
    sparsity: float
    config: SearchConfig


class _Task(NamedTuple):
    """What stays the same during a search."""

    net: Network
    data: Examples
    config: SearchConfig
    backend: Backend
    key: Key
    plan: MaskPlan
    params: Parameters | Specs


def search(
    net: Network,
    data: Any,
    config: SearchConfig,
    *,
    backend: str | Backend,
    key: Key,
    on_generation: Callable[[Generation], None] | None = None,
    scored: Sequence[np.ndarray] = (),
) -> SearchResult:
    """Find the fittest sparse sub-network by Random Search (paper, Algorithm 1, lines 1–11).

    Args:
        net: the parent.
        data: the validation split ``(x, y)``: x ``(examples, *input_shape)``, y integers in [0, classes).
        config: the configuration.
        backend: a name or a Backend.
        key: from ``wc.key``.
        on_generation: called with each generation as it is scored.
        scored: the fitness of the first generations of this very search (``Generation.fitness``), scored before: it
            goes on from there.
    Returns:
        the winner and the history.
    Raises:
        ConfigError, DataError, BackendError: before any work starts.
        SearchError: no candidate of a generation has a finite fitness.
    """
    _check_parent(net)
    examples, key = checked_examples(net, data), checked_key(key)
    state = init(key, mask_space(net), config)
    backend = load_backend(backend)
    check_layers(backend, net)
    task = _Task(net, examples, config, backend, key, state.plan, _weights(net, config, state.plan, backend, key))
    for fitness in scored:
        if (stopped := finished(state)) is not None:
            raise ConfigError(f"scored must be generations of this very search, which ends before ({stopped}).")
        state, _ = tell(state, fitness[state.remembered :])
    while (stopped := finished(state)) is None:
        state, generation = tell(state, _score(task, ask(state), state.generation))
        if on_generation is not None:
            on_generation(generation)
    origin, fitness, extra = _winner(task, state)
    mask, params = _materialise(task, key, origin)
    return SearchResult(
        mask=mask,
        params=params,
        fitness=fitness,
        origin=origin,
        history=state.history,
        stopped=stopped,
        evaluations=state.evaluations + extra,
        batch=len(validation_batch(key, 0, len(examples.y), config)),
        sparsity=achieved_sparsity(mask),
        config=config,
    )


def _check_parent(net: Network) -> None:
    """Raise ConfigError for a network that is compacted already: its Gather layers take indices that nobody draws."""
    if gathers := gather_space(net):
        raise ConfigError(
            f"the network has the Gather layers {sorted(gathers)}: it is compacted already. Search the network that "
            "it was made of."
        )


def draw_control(
    net: Network, config: SearchConfig, *, backend: str | Backend, key: Key, control: Control = "member"
) -> Candidate:
    """The random sparse network that the winner competes with (paper, section 3), drawn without regard to fitness.

    Args:
        net, config, backend, key: those of the search.
        control: "member": one of the search's first generation, the winner itself once in m;
            "independent": drawn from a stream of its own.
    """
    check_option("control", control, get_args(Control))
    _check_parent(net)
    key = checked_key(key)
    root = fold_in(key, int(Stream.CONTROL))
    plan = mask_plan(mask_space(net), config.sparsity, config.sampling)
    backend = load_backend(backend)
    task = _Task(
        net, Examples(np.empty(0), np.empty(0)), config, backend, key, plan, _weights(net, config, plan, backend, key)
    )
    if control == "member":
        origin = Origin(0, below(root, config.population))
        return Candidate(*_materialise(task, key, origin), origin)
    return Candidate(*_materialise(task, root, Origin(0, 0)), None)


def _weights(net: Network, config: SearchConfig, plan: MaskPlan, backend: Backend, key: Key) -> Parameters | Specs:
    """The weights that all candidates share or, under ``per_candidate``, how each draws its own."""
    specs = he_normal(net, config.fan, plan.kept if config.fan_counts == "kept" else None)
    if config.weights == "per_candidate":
        return specs
    return backend.draw_parameters(fold_in(key, int(Stream.WEIGHTS)), specs)


def _score(task: _Task, population: Population, generation: int) -> np.ndarray:
    batch = validation_batch(task.key, generation, len(task.data.y), task.config)
    asarray, config = task.backend.asarray, task.config
    fitness = task.backend.score_population(
        task.net, task.params, _norm(task, generation), population, asarray(task.data.x[batch]),
        asarray(task.data.y[batch]), config.fitness, config.precision, chunk_size(task.plan, config),
    )  # fmt: skip
    return task.backend.to_numpy(fitness)


def _norm(task: _Task, generation: int) -> Any:
    """What batch normalisation takes while scoring: see ``Backend.score``."""
    asarray, config = task.backend.asarray, task.config
    match config.batch_norm:
        case "batch":
            return None
        case "running":
            return map_tree(asarray, initial_statistics(task.net))
        case "recalibrated":
            return asarray(task.data.x[calibration_batch(task.key, generation, len(task.data.y), config)])


def _winner(task: _Task, state: SearchState) -> tuple[Origin, float, int]:
    """The final argmax (Algorithm 1, line 11): the winner, its fitness, and the evaluations this took."""
    last = state.history[-1]
    if task.config.winner == "last_generation":
        return last.elite, last.best, 0
    best = best_overall(state.history)
    elites = tuple(dict.fromkeys(generation.elite for generation in state.history))
    if task.config.winner == "best_overall" or len(elites) == 1:
        return best.elite, best.best, 0
    fitness = _score(task, draw_population(task.key, task.plan, task.config, elites), state.generation)
    chosen = int(select(fitness))
    return elites[chosen], float(fitness[chosen]), len(elites)


def _materialise(task: _Task, root: Key, origin: Origin) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A candidate's mask and initial weights from its origin under a root key, in NumPy."""
    backend, params = task.backend, task.params
    masks = backend.masks_from_keys(candidate_keys(root, Stream.MASKS, [origin]), task.plan)
    if not isinstance(params, Mapping):
        params = backend.draw_parameters(candidate_keys(root, Stream.WEIGHTS, [origin])[0], params)
    return map_tree(lambda mask: backend.to_numpy(mask)[0], masks), map_tree(backend.to_numpy, params)
