"""The functions that a backend may have: a Protocol for each, whose docstring is its specification."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from weedout_core._algorithm.limited import LimitedTraining
from weedout_core._algorithm.population import Population
from weedout_core._configs.search_config import SearchConfig
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import Array, Parameters, ScoredBatch, Scoring, Specs
from weedout_core._guard.kinds import Name, Positive
from weedout_core._masks.allocation import Sparsity
from weedout_core._masks.plan import Masks
from weedout_core._networks.layers import InputShape, Units
from weedout_core._networks.models import Adopted
from weedout_core._networks.network import Network


@runtime_checkable
class MaskGradient(Protocol):
    def __call__(
        self, net: Network, params: Parameters, statistics: Parameters, masks: Masks, x: Array, y: Array | None
    ) -> Parameters:
        """∂L/∂m of one network: {site: float64 ``shape``}, all computed in float64.

        m are its masks as factors, 0 and 1, of what comes to a site. Factors that are 0 have a gradient too; the factor
        of ``rescale`` is held constant. L is the sum over the examples of the cross-entropy with the labels y, in nats;
        without labels (None) it is the sum of all logits. Batch normalisation takes the running statistics.
        """
        ...


@runtime_checkable
class Adopt(Protocol):
    def __call__(
        self,
        model: Any,
        input_shape: InputShape,
        sites: tuple[Name, ...] | None,
        names: Mapping[str, Name],
        granularity: Units,
    ) -> Adopted:
        """A model of the backend's library as a layer that the backend's other functions compute.

        Its masks lie at the sites, in ``wc.adopt`` described; of a removed node the activation is replaced by 0. The
        model is neither changed nor kept: a copy is.
        """
        ...


@runtime_checkable
class CompiledMemory(Protocol):
    def __call__(
        self,
        net: Network,
        sparsity: Sparsity,
        search: SearchConfig,
        train: TrainConfig,
        examples: Positive,
        networks: Positive,
        topology: str | None,
    ) -> Mapping[str, int]:
        """The most bytes that each compiled program holds on a device: {program: bytes}. Nothing is run.

        The programs are those of a search and the training after it, where networks are compacted at
        ``sparsity``. ``examples`` is the size of the training split, ``networks`` how many are trained together.
        ``topology`` names devices that need not be there ("v5e:2x4"); None takes those of the backend.
        """
        ...


@runtime_checkable
class ScoreTrained(Protocol):
    def __call__(
        self,
        net: Network,
        params: Parameters | Specs,
        population: Population,
        batch: ScoredBatch,
        scoring: Scoring,
        limited: LimitedTraining,
    ) -> np.ndarray:
        """The fitness of each candidate after limited training, float64 ``(m,)``, in NumPy.

        Every candidate begins at rest, with its initial weights as in ``ScorePopulation`` and the running statistics of
        ``wc.nn.initial_statistics``, and takes the first ``limited.steps`` steps of a training by ``limited.plan``,
        under its mask. All are shown the same: pass i over ``limited.examples`` is that of
        ``epoch_batches([limited.key], i, limited.plan)``, and the last pass is cut short where the steps end.

        It is then scored on ``batch.x`` as by ``Predict``, with the running statistics that its steps have made;
        ``batch.statistics`` are those that it began with. At most ``scoring.chunk`` candidates are worked on at a time.
        """
        ...


@runtime_checkable
class CompileSeconds(Protocol):
    def __call__(self) -> float:
        """The seconds that this process has spent on compilation so far, whoever asked for it."""
        ...
