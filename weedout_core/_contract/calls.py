"""The functions that the author of a backend writes: a Protocol for each, whose docstring is its specification.

Arrays of a backend are opaque to the core. The core specifies all random words, all indices and all learning rates.

**Where arrays lie.** Keys and batches are NumPy arrays. Weights, statistics, examples and the masks of trained networks
are what ``asarray`` made of them. Only the masks of a population may be NumPy arrays too: a user may hand in either.

**Pure.** No call changes an argument or depends on an earlier call, and no array that it returns changes later. An
epoch depends on its state alone: a state may be used twice, or go to the host and back.

**What is decided** where mathematics leaves it open, in all calls:

- the slope of ReLU at 0 is 0;
- of equal values in the window of a MaxPool, the first one in row-major order gets the gradient;
- a removed node is absent: it gives 0 and takes a gradient of 0, even if it was infinite or NaN (choose with the mask:
  a product, 0 · ∞, is NaN);
- a weight of 0 is a weight: a NaN or an infinity that meets it gives NaN;
- of equal logits the lowest class is predicted;
- NaN and infinities go on to the logits, the fitness and the loss; where a loss is not finite, the gradient is not.

**What precision binds.** ``precision="highest"``, of a ``Scoring`` or a ``TrainConfig``, asks for matrix products and
convolutions, forward and backward, with operands and sums of float32 at least; "default" lets a device round the
operands for speed. ``predict`` is always as with "highest". ``compute="bfloat16"``, of a ``TrainConfig``, is about the
epoch alone: the operands of these products, forward and backward, are rounded to bfloat16, and so may be each product's
sum. All else (biases, batch normalisation, the loss, the gradients that are added up, velocities, weights) is float32.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from weedout_core._algorithm.population import Population
from weedout_core._algorithm.schedule import Batches, TrainPlan
from weedout_core._configs.open_points import Precision
from weedout_core._configs.search_config import Fitness
from weedout_core._guard.by_content import by_content
from weedout_core._guard.composed import mapping
from weedout_core._guard.kinds import ARRAY, NonNegative, Positive
from weedout_core._masks.plan import MaskPlan, Masks
from weedout_core._networks.initial import ParameterSpec
from weedout_core._networks.network import Network
from weedout_core._random.annotations import Key, Keys, WordCount, Words

#: An array of any framework.
Array = Annotated[Any, ARRAY]
#: {path: array}, such as the weights of a network.
Parameters = Annotated[Mapping[str, Any], mapping(ARRAY)]
#: How each parameter of a network is drawn, from :func:`he_normal`.
Specs = tuple[ParameterSpec, ...]


@by_content
class TrainState(NamedTuple):
    """What changes while training R networks of one shape together. All arrays have a leading axis R.

    Attributes:
        keys: uint32 ``(R, 2)``: with ``epoch`` they decide the order of the next epoch's data.
        epoch: epochs done.
        params: {path: ``(R, *shape)``}.
        statistics: the running statistics of batch normalisation, {path: ``(R, *shape)``}.
        optimizer: the velocities of SGD, {path: ``(R, *shape)``}, or the opaque state of an optimizer of the user's.
    """

    keys: Keys
    epoch: NonNegative
    params: Parameters
    statistics: Parameters
    optimizer: Any


@by_content
class EpochResult(NamedTuple):
    """What each step of an epoch computed before its update.

    Attributes:
        loss: the mean cross-entropy of the batch, ``(R, steps)``, in nats; not finite if a logit is not.
        correct: how many examples of the batch were classified correctly, ``(R, steps)``.
    """

    loss: Array
    correct: Array


@by_content
class ScoredBatch(NamedTuple):
    """The examples that a population is scored on, and where batch normalisation takes its statistics.

    Attributes:
        x, y: inputs ``(examples, *input_shape)`` and labels, int32 ``(examples,)``, on the device.
        statistics: the statistics that all candidates use, {path: ``(channels,)``}; None uses those of the batch.
        calibration: None or, without ``statistics``, inputs ``(others, *input_shape)`` from which each takes its own.
    """

    x: Array
    y: Array
    statistics: Parameters | None = None
    calibration: Array | None = None


class Scoring(NamedTuple):
    """How a population is scored. Hashable.

    Attributes:
        fitness: the name of the fitness function, or a function of the user's: ``FITNESS[fitness]`` computes it.
        precision: the precision of matrix products, "highest" or "default".
        chunk: the most candidates to work on at a time, ≥ 1, which bounds memory. No draw depends on it.
    """

    fitness: Fitness
    precision: Precision
    chunk: Positive


@runtime_checkable
class AsArray(Protocol):
    def __call__(self, array: Any, /) -> Array:
        """Copy an array of any framework to the device.

        Floats get the backend's precision, integers become int32, booleans and random words (uint32) stay the same.
        The copy shares no memory with the caller's array, so later writes to that array do not change it.
        """
        ...


@runtime_checkable
class ToNumpy(Protocol):
    def __call__(self, array: Any, /) -> np.ndarray:
        """An array of the backend as a read-only NumPy array. Random words become uint32."""
        ...


@runtime_checkable
class RandomBits(Protocol):
    def __call__(self, key: Key, n: WordCount) -> Array:
        """Draw n random words, bit for bit those of ``wc.random.bits``; ``to_numpy`` makes them uint32 ``(n,)``."""
        ...


@runtime_checkable
class KeepSmallest(Protocol):
    def __call__(self, bits: Words, k: int) -> Array:
        """As ``wc.backend.keep_smallest``, for words of ``random_bits`` or NumPy: uint32 ``(n,)`` → bool ``(n,)``."""
        ...


@runtime_checkable
class MasksFromKeys(Protocol):
    def __call__(self, keys: Keys, plan: MaskPlan) -> Masks:
        """As ``wc.backend.masks_from_keys``, bit for bit: uint32 ``(m, 2)`` → {site: bool ``(m, *shape)``}.

        Where the plan has a ``total``, candidates keep different numbers of nodes at a site.
        """
        ...


@runtime_checkable
class DrawParameters(Protocol):
    def __call__(self, key: Key, specs: Specs) -> Parameters:
        """Draw each parameter: ``spec.std`` times standard normals, or ``spec.value`` everywhere where std is 0.

        The words of a parameter are ``bits(fold_in(key, spec.code), size)``. A word w gives f = (w >> 9) · 2^-23,
        u = max(lo, 2f + lo) in float32 with lo = nextafter(-1, 0), and the normal √2 · erfinv(u).
        """
        ...


@runtime_checkable
class ScorePopulation(Protocol):
    def __call__(
        self,
        net: Network,
        params: Parameters | Specs,
        population: Population,
        batch: ScoredBatch,
        scoring: Scoring,
    ) -> Array:
        """The fitness of each candidate on one batch, ``(m,)``.

        ``params`` are the weights that all candidates share or, where the population has weight keys, the specs
        from which each draws its own. Masks are drawn from the population's plan and keys, or are its ``masks``. The
        fitness is ``wc.backend.FITNESS[scoring.fitness]``, NaN where a logit is not finite.
        """
        ...


@runtime_checkable
class Predict(Protocol):
    def __call__(
        self, net: Network, params: Parameters, statistics: Parameters, masks: Masks | None, x: Array
    ) -> Array:
        """The logits ``(R, examples, classes)`` of R networks after training. ``masks=None`` keeps every node.

        All trees have a leading axis R. Batch normalisation takes the running statistics, {path: ``(R, *shape)``}.
        """
        ...


@runtime_checkable
class TrainInit(Protocol):
    def __call__(
        self, net: Network, plan: TrainPlan, keys: Keys, params: Parameters, statistics: Parameters
    ) -> TrainState:
        """The state before epoch 0 of R networks: velocities 0, weights as given. All trees have a leading axis R.

        A ``plan.optimizer`` or a ``plan.config.compute`` that a backend does not have is refused with a BackendError:
        training never goes on with another one.
        """
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

        An example may come more than once in a batch, and counts each time.

        Batch normalisation takes the statistics of each of the ``plan.groups`` groups of a batch, in order; the
        running statistics are updated by the mean over the groups (see ``BatchNorm``). ``masks=None`` keeps every node;
        a network with Gather layers always has masks, with their indices among them.

        With gradient g of the mean cross-entropy, weight w, rate r of the step (``wc.backend.learning_rates``):
        g ← g + decay · w (where ``decayed``), v ← momentum · v + g, w ← w − r · v, or with Nesterov's momentum
        w ← w − r · (g + momentum · v).
        """
        ...
