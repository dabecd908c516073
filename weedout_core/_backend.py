"""The contract of a backend: a frozen record of pure functions bound to a device.

The functions in the record are what a backend author writes; the methods below are built on them, once, for all
backends, and check what users hand in.

Arrays of a backend are opaque here. Random integers, indices and learning rates are decided by the core.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np

from weedout_core._annotations import Key, Keys
from weedout_core._config import Precision, SearchConfig, TrainConfig, check_at_least, check_option
from weedout_core._data import checked_examples, checked_inputs
from weedout_core._errors import BackendError, ConfigError
from weedout_core._fitness import FITNESS
from weedout_core._initial import ParameterSpec, he_normal
from weedout_core._layers import LAYERS, Layer, every_layer
from weedout_core._masks import MaskPlan, Masks, Sampling, Space, Sparsity, checked_masks, mask_plan
from weedout_core._networks import Network, checked_parameters, checked_statistics, initial_statistics, mask_space
from weedout_core._population import Population, explicit_population
from weedout_core._random import split
from weedout_core._schedule import Batches, TrainPlan

Array = Any
Parameters = Mapping[str, Any]
Specs = tuple[ParameterSpec, ...]


class TrainState(NamedTuple):
    """What changes while training R networks of one shape together. All arrays have a leading axis R.

    Attributes:
        keys: uint32 ``(R, 2)``; with ``epoch`` the place in the random stream.
        epoch: epochs done.
        params: {path: ``(R, *shape)``}.
        statistics: what is not trained but changes, {path: ``(R, *shape)``}.
        optimiser: the velocities, {path: ``(R, *shape)``}; with an optimiser of the user's, its own tree.
    """

    keys: Keys
    epoch: int
    params: Parameters
    statistics: Parameters
    optimiser: Any


class EpochResult(NamedTuple):
    """Each step of an epoch, before its update: loss ``(R, steps)`` in nats, correct ``(R, steps)`` examples."""

    loss: Array
    correct: Array


@runtime_checkable
class RandomBits(Protocol):
    def __call__(self, key: Key, n: int) -> Array:
        """``wc.bits``: n words; ``to_numpy`` of them is uint32 ``(n,)``."""
        ...


@runtime_checkable
class KeepSmallest(Protocol):
    def __call__(self, bits: Array, k: int) -> Array:
        """``wc.keep_smallest``: words as ``random_bits`` or NumPy has them, uint32 ``(n,)`` → bool ``(n,)``, k True."""
        ...


@runtime_checkable
class MasksFromKeys(Protocol):
    def __call__(self, keys: Keys, plan: MaskPlan) -> Masks:
        """``wc.masks_from_keys``: uint32 NumPy ``(m, 2)`` → {site: bool ``(m, *shape)``}."""
        ...


@runtime_checkable
class DrawParameters(Protocol):
    def __call__(self, key: Key, specs: Specs) -> Parameters:
        """``spec.std`` times a standard normal from the stream ``fold_in(key, spec.code)``; ``value`` where std is 0.

        A word w gives f = (w >> 9) · 2^-23, u = max(lo, 2f + lo) in float32 with lo = nextafter(-1, 0), and the
        normal √2 · erfinv(u).
        """
        ...


@runtime_checkable
class ScorePopulation(Protocol):
    def __call__(
        self,
        net: Network,
        params: Parameters | Specs,
        norm: Parameters | Array | None,
        population: Population,
        x: Array,
        y: Array,
        fitness: str,
        precision: Precision,
        chunk: int,
    ) -> Array:
        """The fitness of each candidate on one batch, ``(m,)``.

        ``params`` are the weights that all candidates share or, where the population has weight keys, the specs
        from which each draws its own. ``norm`` is what batch normalisation takes: None, the statistics of the whole
        batch; {path: ``shape``}, these; inputs ``(examples, *input_shape)``, each candidate's own statistics on them.
        Masks of at most ``chunk`` candidates need exist at once.
        """
        ...


@runtime_checkable
class Predict(Protocol):
    def __call__(
        self, net: Network, params: Parameters, statistics: Parameters, masks: Masks | None, x: Array
    ) -> Array:
        """The logits ``(R, examples, classes)`` of R networks as they are used after training. None: no masks.

        Batch normalisation takes the running statistics, {path: ``(R, *shape)``}.
        """
        ...


@runtime_checkable
class TrainInit(Protocol):
    def __call__(
        self, net: Network, plan: TrainPlan, keys: Keys, params: Parameters, statistics: Parameters
    ) -> TrainState:
        """The state before epoch 0 of R networks: momentum 0, weights as given."""
        ...


@runtime_checkable
class TrainEpoch(Protocol):
    def __call__(
        self,
        net: Network,
        plan: TrainPlan,
        state: TrainState,
        masks: Masks | None,
        x: Array,
        y: Array,
        batches: Batches,
    ) -> tuple[TrainState, EpochResult]:
        """One epoch of SGD over ``x[batches.order]``, each image cropped and mirrored as ``batches.crops`` says.

        Batch normalisation takes the statistics of each of the ``plan.groups`` groups of a batch, in order; the
        running ones move by the mean over the groups (``BatchNorm``).

        With gradient g of the mean cross-entropy, weight w, rate r of the step (``wc.learning_rates``):
        g ← g + decay · w (where ``decayed``), v ← momentum · v + g, w ← w − r · v, or with Nesterov's momentum
        w ← w − r · (g + momentum · v).
        """
        ...


@runtime_checkable
class CompiledMemory(Protocol):
    def __call__(
        self,
        net: Network,
        search: SearchConfig,
        train: TrainConfig,
        examples: int,
        networks: int,
        topology: str | None,
    ) -> Mapping[str, int]:
        """The most bytes that each compiled program holds on a device: {program: bytes}. Nothing is run.

        ``examples`` are those of the training split, ``networks`` those trained together. ``topology`` names devices
        that need not be there ("v5e:2x4"); None: those of the backend.
        """
        ...


@dataclass(frozen=True)
class Backend:
    """A record of pure functions bound to a device. Full texts: the call types above.

    Attributes:
        name: the registered name.
        device: the device's name, as the framework prints it.
        devices: how many devices a population, and a training batch, is shared over.
        libraries: the distributions whose versions may move its floats in the last bits, such as "jaxlib".
        asarray: a NumPy (or any) array on the device: floats in the backend's precision, integers as int32, bool.
        to_numpy: the way back; words become uint32.
        compiled_memory: None where the framework has no compiler that could tell.
        layers: the kinds of layers that it computes.
    """

    name: str
    device: str
    devices: int
    libraries: tuple[str, ...]
    asarray: Callable[[Any], Array]
    to_numpy: Callable[[Array], np.ndarray]
    random_bits: RandomBits
    keep_smallest: KeepSmallest
    masks_from_keys: MasksFromKeys
    draw_parameters: DrawParameters
    score_population: ScorePopulation
    predict: Predict
    train_init: TrainInit
    train_epoch: TrainEpoch
    compiled_memory: CompiledMemory | None = None
    layers: tuple[type[Layer], ...] = tuple(LAYERS.values())

    def sample_masks(
        self, key: Key, space: Space, sparsity: Sparsity, count: int, sampling: Sampling = "exact"
    ) -> Masks:
        """Draw the masks of ``count`` candidates; candidate i's key is ``fold_in(key, i)``.

        Returns:
            {site: bool ``(count, *shape)``}, True where a node is kept.
        """
        return self.masks_from_keys(split(key, count), mask_plan(space, sparsity, sampling))

    def initialise(self, net: Network, key: Key, specs: Specs | None = None) -> Parameters:
        """Draw initial weights: He-normal with the parent's fan-in, unless ``specs`` say otherwise."""
        return self.draw_parameters(key, he_normal(net) if specs is None else specs)

    def apply(
        self, net: Network, params: Parameters, x: Any, masks: Masks | None = None, statistics: Parameters | None = None
    ) -> Array:
        """The logits ``(examples, classes)`` of one network; ``masks=None`` is the parent.

        Batch normalisation takes the running ``statistics``; None: those before training.

        Raises:
            ConfigError, DataError, MaskError: the weights, the inputs or the masks do not fit the network.
        """
        check_layers(self, net)
        checked_parameters(net, params)
        statistics = initial_statistics(net) if statistics is None else statistics
        checked_statistics(net, statistics)
        if masks is not None:
            checked_masks(masks, mask_space(net), leading=0)
        stacked = None if masks is None else stack(self, [masks])
        return self.predict(
            net, stack(self, [params]), stack(self, [statistics]), stacked, self.asarray(checked_inputs(net, x))
        )[0]

    def score(
        self,
        net: Network,
        params: Parameters | Specs,
        candidates: Population | Masks,
        x: Any,
        y: Any,
        fitness: str = "negative_cross_entropy",
        precision: Precision = "highest",
        chunk: int | None = None,
        norm: Parameters | Any | None = None,
    ) -> Array:
        """The fitness ``(m,)`` of candidates on one batch: masks {site: ``(m, *shape)``}, or a population.

        ``norm`` is what batch normalisation takes: None, the statistics of the batch; a mapping, these statistics;
        inputs, each candidate's own statistics on them.

        Raises:
            ConfigError, DataError, MaskError: an argument does not fit.
        """
        check_layers(self, net)
        check_option("fitness", fitness, FITNESS)
        check_at_least("chunk", chunk, 1, optional=True)
        if not isinstance(candidates, Population):
            (size,) = checked_masks(candidates, mask_space(net), leading=1)
            candidates = explicit_population(candidates, size)
        if candidates.weight_keys is None:
            checked_parameters(net, params)
        elif isinstance(params, Mapping):
            raise ConfigError(
                "candidates with weight keys draw their own weights: params must be specs (wc.he_normal)."
            )
        if isinstance(norm, Mapping):
            checked_statistics(net, norm)
            norm = map_tree(self.asarray, cast(Parameters, norm))
        elif norm is not None:
            norm = self.asarray(checked_inputs(net, norm))
        examples = checked_examples(net, (x, y))
        return self.score_population(
            net, params, norm, candidates, self.asarray(examples.x), self.asarray(examples.y), fitness, precision,
            min(chunk or candidates.size, candidates.size),
        )  # fmt: skip


def missing_layers(backend: Backend, net: Network) -> list[str]:
    """The kinds of layers of a network that a backend does not compute, by name."""
    return sorted(
        {type(layer).__name__ for layer in every_layer(net.layers)} - {kind.__name__ for kind in backend.layers}
    )


def check_layers(backend: Backend, net: Network) -> None:
    """Raise BackendError where a backend does not compute a network's layers."""
    if missing := missing_layers(backend, net):
        has = ", ".join(kind.__name__ for kind in backend.layers)
        raise BackendError(
            f"the {backend.name} backend computes the layers {has}; the network has {', '.join(missing)} too. "
            "Take another backend or network."
        )


def map_tree(change: Callable[[Any], Any], tree: Mapping[str, Any]) -> dict[str, Any]:
    """Change each array of a tree {path: array}."""
    return {path: change(value) for path, value in tree.items()}


def stack(backend: Backend, trees: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Networks of one shape side by side: [{path: array}] → {path: array with a leading axis}, on the device."""
    return {path: backend.asarray(np.stack([backend.to_numpy(tree[path]) for tree in trees])) for path in trees[0]}
