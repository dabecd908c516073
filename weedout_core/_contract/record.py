"""The contract of a backend: a frozen record of pure functions bound to a device.

The functions in the record are what a backend author writes, each to the contract at its type in ``calls``. The methods
below are built on them, once, for all backends, and check what users hand in.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from weedout_core._algorithm.fitness import FITNESS
from weedout_core._algorithm.population import Population, explicit_population
from weedout_core._configs.checks import check_at_least, check_option
from weedout_core._configs.open_points import Precision
from weedout_core._contract.calls import (
    Array,
    CompiledMemory,
    CompileSeconds,
    DrawParameters,
    KeepSmallest,
    MasksFromKeys,
    Parameters,
    Predict,
    RandomBits,
    ScoredBatch,
    ScorePopulation,
    Scoring,
    Specs,
    TrainEpoch,
    TrainInit,
)
from weedout_core._contract.fence import CALLS, Fence, fenced, fenced_phase
from weedout_core._masks.plan import Masks, Sampling, Space, Sparsity, mask_plan
from weedout_core._networks.examples import checked_examples, checked_inputs
from weedout_core._networks.initial import he_normal
from weedout_core._networks.layers import LAYERS, Layer, every_layer
from weedout_core._networks.network import (
    Network,
    checked_network_masks,
    checked_parameters,
    checked_statistics,
)
from weedout_core._random.annotations import Key
from weedout_core._random.stream import checked_key, split
from weedout_core.errors import BackendError, ConfigError


@dataclass(frozen=True)
class Backend:
    """A record of pure functions bound to a device. The contract of each is its type's text, in ``calls``.

    Attributes:
        name: the registered name.
        device: the device's name, as the framework prints it.
        devices: how many devices a population, and a training batch, is shared over.
        libraries: the distributions whose versions may move its floats in the last bits, such as "jaxlib".
        asarray: a NumPy (or any) array on the device: floats in the backend's precision, integers as int32, bool.
        to_numpy: the way back; words become uint32.
        compiled_memory: None where the framework has no compiler that could tell.
        compile_seconds: None where nothing is compiled.
        layers: the kinds of layers that it computes.
        memory: bytes that a device holds, for arrays and what is computed; None: not known.
        fence: in which every call is made: a context where the caller's settings of the framework neither change a
            result nor are changed. NumPy's are fenced for every backend.
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
    compile_seconds: CompileSeconds | None = None
    layers: tuple[type[Layer], ...] = tuple(LAYERS.values())
    memory: int | None = None
    fence: Fence = nullcontext

    def __post_init__(self) -> None:
        for name in CALLS:
            if (call := getattr(self, name)) is not None:
                object.__setattr__(self, name, fenced(call, self.fence))

    @fenced_phase
    def sample_masks(
        self, key: Key, space: Space, sparsity: Sparsity, count: int, sampling: Sampling = "exact"
    ) -> Masks:
        """Draw the masks of ``count`` candidates; candidate i's key is ``fold_in(key, i)``.

        Returns:
            {site: bool ``(count, *shape)``}, True where a node is kept.
        """
        return self.masks_from_keys(split(checked_key(key), count), mask_plan(space, sparsity, sampling))

    @fenced_phase
    def initialise(self, net: Network, key: Key, specs: Specs | None = None) -> Parameters:
        """Draw initial weights: He-normal with the parent's fan-in, unless ``specs`` say otherwise."""
        return self.draw_parameters(checked_key(key), he_normal(net) if specs is None else specs)

    @fenced_phase
    def apply(
        self, net: Network, params: Parameters, x: Any, masks: Masks | None = None, statistics: Parameters | None = None
    ) -> Array:
        """The logits ``(examples, classes)`` of one network; ``masks=None`` is the parent.

        A compacted network takes the indices of its Gather layers among its masks (``CompactedNetwork.gather_masks``).
        Batch normalisation takes the running ``statistics``, which must be given where there is some.

        Raises:
            ConfigError, DataError, MaskError: weights, statistics, inputs or masks do not fit the network.
        """
        check_layers(self, net)
        checked_parameters(net, params)
        checked_statistics(net, statistics)
        checked_network_masks(net, masks, leading=0)
        stacked = None if masks is None else stack(self, [masks])
        return self.predict(
            net, stack(self, [params]), stack(self, [statistics or {}]), stacked, self.asarray(checked_inputs(net, x))
        )[0]

    @fenced_phase
    def score(
        self,
        net: Network,
        params: Parameters | Specs,
        candidates: Population | Masks,
        x: Any,
        y: Any,
        *,
        fitness: str = "negative_cross_entropy",
        precision: Precision = "highest",
        chunk: int | None = None,
        statistics: Parameters | None = None,
        calibration: Any = None,
    ) -> Array:
        """The fitness ``(m,)`` of candidates on one batch: masks {site: ``(m, *shape)``}, or a population.

        A compacted network takes the indices of its Gather layers among its masks, {name: ``(m, count)``}.
        Batch normalisation takes the statistics of the batch, unless it is given ``statistics``, or inputs for
        ``calibration``, on which each candidate takes its own.

        Raises:
            ConfigError, DataError, MaskError: an argument does not fit.
        """
        check_layers(self, net)
        check_option("fitness", fitness, FITNESS)
        check_at_least("chunk", chunk, 1, optional=True)
        if statistics is not None and calibration is not None:
            raise ConfigError(
                "batch normalisation takes statistics or inputs for calibration, not both. Leave one out."
            )
        given = candidates.masks if isinstance(candidates, Population) else candidates
        lead = checked_network_masks(net, given, leading=1)
        if not isinstance(candidates, Population):
            candidates = explicit_population(candidates, *lead)
        if candidates.weight_keys is None:
            checked_parameters(net, params)
            params = map_tree(self.asarray, cast(Parameters, params))
        elif isinstance(params, Mapping):
            raise ConfigError(
                "candidates with weight keys draw their own weights: params must be specs (wc.nn.he_normal)."
            )
        if statistics is not None:
            checked_statistics(net, statistics)
            statistics = map_tree(self.asarray, statistics)
        if calibration is not None:
            calibration = self.asarray(checked_inputs(net, calibration))
        examples = checked_examples(net, (x, y))
        batch = ScoredBatch(self.asarray(examples.x), self.asarray(examples.y), statistics, calibration)
        scoring = Scoring(fitness, precision, min(chunk or candidates.size, candidates.size))
        return self.score_population(net, params, candidates, batch, scoring)


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
