"""The contract of a backend: a frozen record of pure functions bound to a device.

The author of a backend writes the functions in the record; the docstring of each function's type, in ``calls``, is its
specification. The methods below are built on them once, for all backends, and check what users hand in.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any

from weedout_core._algorithm.population import Population, explicit_population
from weedout_core._configs.open_points import Precision
from weedout_core._configs.search_config import Fitness
from weedout_core._contract import fitting
from weedout_core._contract.calls import (
    Array,
    AsArray,
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
    ToNumpy,
    TrainEpoch,
    TrainInit,
)
from weedout_core._contract.checked_call import CALLS, checked_call
from weedout_core._contract.fence import Fence, fenced_phase
from weedout_core._contract.optional_calls import Adopt, CompiledMemory, CompileSeconds, MaskGradient, ScoreTrained
from weedout_core._contract.peers import ALONE, Peers
from weedout_core._contract.trees import map_tree, stack
from weedout_core._guard.guarded import convert_fields, guarded
from weedout_core._guard.kinds import Name, Positive, integer
from weedout_core._masks.allocation import Allocation, Space, Sparsity
from weedout_core._masks.plan import Masks, Sampling, mask_plan
from weedout_core._networks.examples import checked_examples, checked_inputs
from weedout_core._networks.initial import he_normal
from weedout_core._networks.layers import OWN_LAYERS, Layer, every_layer
from weedout_core._networks.models import Adopted
from weedout_core._networks.network import Network, adopted, checked_network_masks, the_model
from weedout_core._networks.trees import checked_parameters, checked_statistics
from weedout_core._random.annotations import Key
from weedout_core._random.stream import split
from weedout_core.errors import BackendError


@dataclass(frozen=True)
class Backend:
    """A record of pure functions bound to a device. The docstring of each function's type is its specification.

    Attributes:
        name: the registered name.
        device: the device's name, as the framework prints it.
        devices: the number of devices over which a population, or a training batch, is shared.
        libraries: the packages whose versions may change the last bits of its floats, such as "jaxlib".
        mask_gradient: None if it has none; then methods that need the gradient of the masks are refused.
        adopt: None if it adopts no models of other libraries.
        compiled_memory: None if the framework has no compiler that could say.
        compile_seconds: None where nothing is compiled.
        score_trained: None composes it of the other functions, as for all backends of this library.
        layers: the kinds of layers that it computes, beside the models that it adopts.
        memory: the memory of a device in bytes, for arrays and intermediate results; None if it is not known.
        threads: with how many it computes on a CPU, which may change the last bits; None if unknown, or of no matter.
        fence: makes the context in which every function runs, where the caller's settings of the framework neither
            change a result nor are changed. NumPy's settings are fenced for every backend.
        peers: the processes that share its devices.
    """

    name: Name
    device: Name
    devices: Positive
    libraries: tuple[str, ...]
    asarray: AsArray
    to_numpy: ToNumpy
    random_bits: RandomBits
    keep_smallest: KeepSmallest
    masks_from_keys: MasksFromKeys
    draw_parameters: DrawParameters
    score_population: ScorePopulation
    predict: Predict
    train_init: TrainInit
    train_epoch: TrainEpoch
    mask_gradient: MaskGradient | None = None
    adopt: Adopt | None = None
    compiled_memory: CompiledMemory | None = None
    compile_seconds: CompileSeconds | None = None
    score_trained: ScoreTrained | None = None
    layers: tuple[type[Layer], ...] = OWN_LAYERS
    memory: Annotated[int, integer(0, 2**63)] | None = None
    threads: Positive | None = None
    fence: Fence = nullcontext
    peers: Peers = ALONE

    def __post_init__(self) -> None:
        convert_fields(self, " of a Backend")
        for name in CALLS:
            if (call := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_call(name, call, self.fence))

    def __reduce__(self) -> str:
        raise BackendError(
            f"a backend is bound to the devices of its process, and cannot be pickled. Pass its name, {self.name!r}, "
            "and call wc.load_backend there."
        )

    def __copy__(self) -> "Backend":
        return self

    def __deepcopy__(self, memo: object) -> "Backend":
        """Itself, because a backend cannot change."""
        return self

    @guarded
    @fenced_phase
    def sample_masks(
        self,
        key: Key,
        space: Space,
        sparsity: Sparsity,
        count: Positive,
        sampling: Sampling = "exact",
        allocation: Allocation = "uniform",
    ) -> Masks:
        """Draw the masks of ``count`` candidates; candidate i's key is ``fold_in(key, i)``.

        Returns:
            {site: bool ``(count, *shape)``}, True where a node is kept.
        Raises:
            ConfigError: an argument has a wrong type, or is out of its range; as :func:`mask_plan`.
        """
        return self.masks_from_keys(split(key, count), mask_plan(space, sparsity, sampling, allocation))

    @guarded
    @fenced_phase
    def initialise(self, net: Network, key: Key, specs: Specs | None = None) -> Parameters:
        """Draw initial weights {path: array}: He-normal with the parent's fan-in, unless ``specs`` say otherwise.

        Raises:
            ConfigError: an argument has a wrong type.
        """
        return self.draw_parameters(key, he_normal(net) if specs is None else specs)

    @guarded
    @fenced_phase
    def apply(
        self, net: Network, params: Parameters, x: Any, masks: Masks | None = None, statistics: Parameters | None = None
    ) -> Array:
        """The logits ``(examples, classes)`` of one network; ``masks=None`` masks nothing.

        A compacted network takes the indices of its Gather layers among its masks (``CompactedNetwork.gather_masks``).
        A network with batch normalisation needs its running ``statistics``, {path: ``(channels,)``}.

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

    @guarded
    @fenced_phase
    def score(
        self,
        net: Network,
        params: Parameters | Specs,
        candidates: Population | Masks,
        x: Any,
        y: Any,
        *,
        fitness: Fitness = "negative_cross_entropy",
        precision: Precision = "highest",
        chunk: Positive | None = None,
        statistics: Parameters | None = None,
        calibration: Any = None,
    ) -> Array:
        """The fitness ``(m,)`` on one batch of candidates: masks {site: ``(m, *shape)``}, or a Population.

        A compacted network takes the indices of its Gather layers among its masks, {name: ``(m, count)``}.
        Batch normalisation uses the statistics of the batch, unless ``statistics`` are given, or inputs for
        ``calibration``, from which each candidate computes its own. See :class:`Scoring` for the other arguments.

        Raises:
            ConfigError, DataError, MaskError: an argument does not fit.
        """
        check_layers(self, net)
        population = _population(net, candidates)
        others = None if calibration is None else checked_inputs(net, calibration)
        batch = ScoredBatch(*checked_examples(net, (x, y)), statistics, others)
        scoring = Scoring(fitness, precision, min(chunk or population.size, population.size))
        fitting.score_population(net, params, population, batch, scoring)  # before anything is laid on the device
        there = map_tree(self.asarray, params) if isinstance(params, Mapping) else params
        return self.score_population(net, there, population, _placed(self, batch), scoring)


def _population(net: Network, candidates: Population | Masks) -> Population:
    """Candidates as a population. Masks that are handed in are checked by value too, even on a device."""
    if not isinstance(candidates, Population):
        return explicit_population(candidates, *checked_network_masks(net, candidates, leading=1))
    if candidates.masks is not None:
        checked_network_masks(net, candidates.masks, leading=1)
    return candidates


def _placed(backend: Backend, batch: ScoredBatch) -> ScoredBatch:
    """A batch on the device."""
    x, y, statistics, calibration = batch
    return ScoredBatch(
        backend.asarray(x),
        backend.asarray(y),
        None if statistics is None else map_tree(backend.asarray, statistics),
        None if calibration is None else backend.asarray(calibration),
    )


def missing_layers(backend: Backend, net: Network) -> list[str]:
    """The kinds of layers of a network that a backend does not compute, by name."""
    own = [layer for layer in every_layer(net.layers) if not isinstance(layer, Adopted)]
    return sorted({type(layer).__name__ for layer in own} - {kind.__name__ for kind in backend.layers})


@guarded
def check_layers(backend: Backend, net: Network) -> None:
    """Raise BackendError where a backend does not compute a network's layers.

    Raises ConfigError too, for an adopted model that is not there, because the network was read from a file.
    """
    if (model := adopted(net)) is not None:
        the_model(model)
        if backend.name not in model.backends:
            raise BackendError(
                f"the model {model.name} was adopted by {' and '.join(model.backends)}, which alone computes it; got "
                f"the backend {backend.name}. Take {model.backends[0]}."
            )
    if missing := missing_layers(backend, net):
        has = ", ".join(kind.__name__ for kind in backend.layers)
        raise BackendError(
            f"the {backend.name} backend computes the layers {has}; the network has {', '.join(missing)} too. "
            "Take another backend or network."
        )
