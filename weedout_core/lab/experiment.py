"""The paper's experiment: at each sparsity, the winners of searches against random controls, trained alike.

A *cell* is one sparsity × arm × repeat. A *group* is all cells of one sparsity: its searches run one after
another, its networks are trained together. It is the unit of work, of commit and of resuming.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from weedout_core._config import (
    SearchConfig,
    TrainConfig,
    check_at_least,
    check_option,
    check_options,
    choice,
    is_integer,
)
from weedout_core._errors import ConfigError
from weedout_core._layers import Granularity
from weedout_core._masks import checked_sparsity, mask_plan
from weedout_core._networks import Network, mask_space
from weedout_core._population import chunk_size
from weedout_core._random import key
from weedout_core._weedout import Control
from weedout_core.lab.architecture import build, check_network_name
from weedout_core.lab.data.datasets import DATASETS, Dataset
from weedout_core.lab.statistics import IntervalMethod


@dataclass(frozen=True)
class ExperimentConfig:
    """What is compared, on which data, how often. The paper's numbers, on a network and data of ours.

    Attributes:
        dataset: "digits" (bundled, no download), "mnist", "fashion-mnist", "cifar10" or "cifar100".
        network: "mlp"; "wrn-D-K", a Wide ResNet of depth D and width K such as "wrn-28-10"; "vgg-W", a small VGG of
            width W. On the command line it sets the learning phase too.
        hidden: units of each fully connected hidden layer before the logits; None: 512 512 for "mlp", else none.
        granularity: of the masks in convolutional layers: "node", every unit of an activation, or "channel".
        mask_residual: mask the sums of residual blocks too.
        train_examples, test_examples: use so many of the training and test examples, stratified; None uses all.
        sparsity: the fractions of nodes removed, each in [0, 1).
        repeats: independent runs of both arms at each sparsity, ≥ 1.
        seed: of everything random, in [0, 2^64).
        backend: what computes: "numpy" (the slow reference), "jax", or a third party's.
        device: the kind of device ("cpu", "gpu", "tpu"); None takes the backend's default.
        devices: how many devices a population is shared over, ≥ 1.
        rescale: divide masked activations by the fraction kept.
        control: a random member of the search's first generation, or an independent draw.
        validation_in_training: a fixed point: no arm is ever trained on the validation split.
        interval: the 95 % interval of the repeats.
        search: the search phase; its ``sparsity`` is replaced by each of ``sparsity``.
        train: the learning phase.
    Raises:
        ConfigError: a field is out of its range.
    """

    dataset: str = "digits"
    network: str = choice(20, "depth, width", "mlp")
    hidden: tuple[int, ...] | None = choice(14, "last fully-connected layers", None)
    granularity: Granularity = choice(6, "node in a convolutional layer", "node")
    mask_residual: bool = choice(13, "place of the mask in a pre-activation block", False)
    train_examples: int | None = None
    test_examples: int | None = None
    sparsity: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    repeats: int = 5
    seed: int = 0
    backend: str = "jax"
    device: str | None = None
    devices: int = 1
    rescale: bool = choice(15, "rescaling by 1/(1−η)", False)
    control: Control = choice(17, "control", "member")
    validation_in_training: Literal["never"] = choice(19, "validation data in training", "never")
    interval: IntervalMethod = choice(21, "95 % interval of the repeats", "student_t")
    search: SearchConfig = field(default_factory=lambda: SearchConfig(sparsity=0.0))
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_options(self)
        check_option("dataset", self.dataset, DATASETS)
        check_network_name(self.network)
        for name in ("train_examples", "test_examples"):
            check_at_least(name, getattr(self, name), 1, optional=True)
        if self.hidden is not None and any(not is_integer(units) or units < 1 for units in self.hidden):
            raise ConfigError(f"hidden must be layers of at least one unit each; got {self.hidden!r}.")
        if self.hidden == () and self.network == "mlp":
            raise ConfigError("hidden must be at least one layer for the network mlp; got none.")
        # + 0.0 makes one zero of both. Sorted, so that the order in which they are named is no part of a run.
        sparsity = tuple(sorted(checked_sparsity(value) + 0.0 for value in self.sparsity))
        if not sparsity or len(set(sparsity)) != len(sparsity):
            raise ConfigError(f"sparsity must be one or more values, each of them once; got {self.sparsity!r}.")
        object.__setattr__(self, "sparsity", sparsity)
        check_at_least("repeats", self.repeats, 1)
        check_at_least("devices", self.devices, 1)
        key(self.seed)  # raises if it is out of range

    def search_at(self, sparsity: float) -> SearchConfig:
        """The search phase at one sparsity."""
        return replace(self.search, sparsity=sparsity)


def network(config: ExperimentConfig, dataset: Dataset) -> Network:
    """The parent, for a dataset's images and classes. Raises ConfigError where the network cannot take them."""
    return build(
        config.network, dataset.input_shape, dataset.classes, config.hidden, config.granularity, config.rescale,
        config.mask_residual,
    )  # fmt: skip


def resolve_chunk(config: ExperimentConfig, net: Network) -> int:
    """How many candidates are scored at once. Decided once a run: floats may depend on it in the last bits."""
    return chunk_size(mask_plan(mask_space(net), 0.0), config.search)


def with_chunk(config: ExperimentConfig, chunk: int) -> ExperimentConfig:
    """The configuration with the chunk that was decided for the run."""
    return replace(config, search=replace(config.search, chunk=chunk))
