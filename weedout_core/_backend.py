"""The contract of a backend: a frozen record of pure functions bound to a device.

The functions in the record are what a backend author writes; the methods below are built on them, once, for all
backends, and check what users hand in.

Arrays of a backend are opaque here. Random integers, indices and learning rates are decided by the core.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from weedout_core._annotations import Key, Keys
from weedout_core._config import Precision, TrainConfig, check_at_least, check_option
from weedout_core._data import checked_examples, checked_inputs
from weedout_core._errors import ConfigError
from weedout_core._fitness import FITNESS
from weedout_core._masks import MaskPlan, Masks, Sampling, Space, Sparsity, checked_masks, mask_plan
from weedout_core._networks import Network, ParameterSpec, checked_parameters, he_normal, mask_space
from weedout_core._population import Population, explicit_population
from weedout_core._random import split

Array = Any
Parameters = Mapping[str, Any]
Specs = tuple[ParameterSpec, ...]


class TrainPlan(NamedTuple):
    """What is fixed while training. Hashable.

    Attributes:
        config: the configuration.
        examples: in the training split.
        batch_size: examples a step, at most ``examples``.
        optimiser: the backend's own optimiser in place of SGD (JAX: an optax ``GradientTransformation``), or None.
    """

    config: TrainConfig
    examples: int
    batch_size: int
    optimiser: Any

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self.examples // self.batch_size


class TrainState(NamedTuple):
    """What changes while training R networks of one shape together. All arrays have a leading axis R.

    Attributes:
        keys: uint32 ``(R, 2)``; with ``epoch`` the place in the random stream.
        epoch: epochs done.
        params: {path: ``(R, *shape)``}.
        statistics: what is not trained but changes, {path: ``(R, *shape)``}.
        optimiser: the optimiser's state, the backend's own tree.
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
        """``spec.std`` times a standard normal from the stream ``fold_in(key, spec.code)``, zeros where std is 0.

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
        population: Population,
        x: Array,
        y: Array,
        fitness: str,
        precision: Precision,
        chunk: int,
    ) -> Array:
        """The fitness of each candidate on one batch, ``(m,)``. BatchNorm uses the batch's statistics.

        ``params`` are the weights that all candidates share or, where the population has weight keys, the specs
        from which each draws its own. Masks of at most ``chunk`` candidates need exist at once.
        """
        ...


@runtime_checkable
class Predict(Protocol):
    def __call__(
        self, net: Network, params: Parameters, statistics: Parameters, masks: Masks | None, x: Array
    ) -> Array:
        """The logits ``(R, examples, classes)`` of R networks as they are used after training. None: no masks."""
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
        order: np.ndarray,
    ) -> tuple[TrainState, EpochResult]:
        """One epoch of SGD over ``x[order]``; order is int32 ``(R, steps, batch_size)``.

        With gradient g of the mean cross-entropy, weight w, rate r of the step (``wc.learning_rates``):
        g ← g + decay · w (where ``decayed``), v ← momentum · v + g, w ← w − r · v, or with Nesterov's momentum
        w ← w − r · (g + momentum · v).
        """
        ...


@dataclass(frozen=True)
class Backend:
    """A record of pure functions bound to a device. Full texts: the call types above.

    Attributes:
        name: the registered name.
        device: the device's name, as the framework prints it.
        devices: how many devices a population is shared over.
        libraries: the distributions whose versions may move its floats in the last bits, such as "jaxlib".
        asarray: a NumPy (or any) array on the device: floats in the backend's precision, integers as int32, bool.
        to_numpy: the way back; words become uint32.
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

    def apply(self, net: Network, params: Parameters, x: Any, masks: Masks | None = None) -> Array:
        """The logits ``(examples, classes)`` of one network; ``masks=None`` is the parent.

        Raises:
            ConfigError, DataError, MaskError: the weights, the inputs or the masks do not fit the network.
        """
        checked_parameters(net, params)
        if masks is not None:
            checked_masks(masks, mask_space(net), leading=0)
        stacked = None if masks is None else stack(self, [masks])
        return self.predict(net, stack(self, [params]), {}, stacked, self.asarray(checked_inputs(net, x)))[0]

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
    ) -> Array:
        """The fitness ``(m,)`` of candidates on one batch: masks {site: ``(m, *shape)``}, or a population.

        Raises:
            ConfigError, DataError, MaskError: an argument does not fit.
        """
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
        examples = checked_examples(net, (x, y))
        return self.score_population(
            net, params, candidates, self.asarray(examples.x), self.asarray(examples.y), fitness, precision,
            min(chunk or candidates.size, candidates.size),
        )  # fmt: skip


def stack(backend: Backend, trees: list[Mapping[str, Any]]) -> dict[str, Array]:
    """Networks of one shape side by side: [{path: array}] → {path: array with a leading axis}, on the device."""
    return {path: backend.asarray(np.stack([backend.to_numpy(tree[path]) for tree in trees])) for path in trees[0]}
