"""The paper's experiment: at each sparsity, the winners of searches against random controls, trained alike.

A *cell* is one sparsity × arm × repeat. A *group* is all cells of one sparsity: its searches run one after
another, its networks are trained together, as many as memory holds. It is the unit of work, of commit and of resuming.
"""

import warnings
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from weedout_core import Network, SearchConfig, TrainConfig, mask_plan, mask_space
from weedout_core._configs.checks import check_effects
from weedout_core._configs.open_points import choice
from weedout_core._configs.search_config import Control
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Eta, Name, Positive, Seed, option
from weedout_core.backend import Backend, check_layers, check_plan, chunk_size, train_plan
from weedout_core.errors import ConfigError, WeedoutWarning
from weedout_core.lab.data.datasets import DATASETS, Dataset
from weedout_core.lab.experiment.architecture import build, check_network_name
from weedout_core.lab.experiment.memory import training_bytes, usable
from weedout_core.lab.statistics import IntervalMethod
from weedout_core.nn import Granularity


@dataclass(frozen=True)
class ExperimentConfig:
    """What is compared, on which data, how often. The paper's numbers, on a network and data of ours.

    Attributes:
        dataset: "digits" (bundled, no download), "mnist", "fashion-mnist", "cifar10" or "cifar100".
        network: "mlp"; "wrn-D-K", a Wide ResNet of depth D and width K such as "wrn-28-10"; "vgg-W", a small VGG of
            width W. On the command line it sets the learning phase too.
        hidden: units of each fully connected hidden layer before the logits; None: 512 512 for "mlp", else none.
        granularity: of the masks in convolutional layers: "node", every unit of an activation, or "channel"; for
            networks that have some.
        mask_residual: mask the sums of residual blocks too; for "wrn-D-K".
        train_examples, test_examples: use so many of the training and test examples, stratified; None uses all.
        sparsity: the fractions of nodes removed, each in [0, 1).
        repeats: independent runs of both arms at each sparsity, ≥ 1.
        seed: of everything random, in [0, 2^64).
        backend: what computes: "numpy" (the slow reference), "jax", "torch", "torch_xla", "tpu" (PyTorch with
            torch_tpu), or a third party's.
        device: the kind of device ("cpu", "gpu", "tpu"); None takes the backend's default.
        devices: how many devices a population, and a training batch, is shared over, ≥ 1.
        together: networks trained at once, ≥ 1; None: all of a sparsity, or as many as the device's memory holds.
        rescale: divide masked activations by the fraction kept.
        control: a random member of the search's first generation, or an independent draw.
        validation_in_training: a fixed point: no arm is ever trained on the validation split.
        interval: the 95 % interval of the repeats.
        search: the search phase.
        train: the learning phase.
    Raises:
        ConfigError: a field is out of its range.
    """

    dataset: Annotated[str, option(*DATASETS)] = "digits"
    network: Name = choice(20, "depth, width", "mlp")
    hidden: tuple[Positive, ...] | None = choice(14, "last fully-connected layers", None)
    granularity: Granularity = choice(6, "node in a convolutional layer", "node")
    mask_residual: bool = choice(13, "place of the mask in a pre-activation block", False)
    train_examples: Positive | None = None
    test_examples: Positive | None = None
    sparsity: tuple[Eta, ...] = (0.0, 0.2, 0.4, 0.6, 0.8)
    repeats: Positive = 5
    seed: Seed = 0
    backend: Name = "jax"
    device: Name | None = None
    devices: Positive = 1
    together: Positive | None = None
    rescale: bool = choice(15, "rescaling by 1/(1−η)", False)
    control: Control = choice(17, "control", "member")
    validation_in_training: Literal["never"] = choice(19, "validation data in training", "never")
    interval: IntervalMethod = choice(21, "95 % interval of the repeats", "student_t")
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        convert_fields(self)
        check_network_name(self.network)
        if self.hidden == () and self.network == "mlp":
            raise ConfigError("hidden must be at least one layer for the network mlp; got none.")
        # + 0.0 makes one zero of both. Sorted, so that the order in which they are named is no part of a run.
        sparsity = tuple(sorted(value + 0.0 for value in self.sparsity))
        if not sparsity or len(set(sparsity)) != len(sparsity):
            raise ConfigError(f"sparsity must be one or more values, each of them once; got {self.sparsity!r}.")
        object.__setattr__(self, "sparsity", sparsity)
        _check_effects(self)


def _check_effects(config: ExperimentConfig) -> None:
    """Raise ConfigError for choices that the network or the backend leaves without effect."""
    reference, normalised = config.backend == "numpy", config.network != "mlp"
    rounding = not reference, "a backend that rounds: numpy computes in float64, a candidate at a time"
    check_effects(
        config,
        {
            "granularity": (config.network != "mlp", "convolutions (network wrn-D-K or vgg-W)"),
            "mask_residual": (config.network.startswith("wrn-"), "residual blocks (network wrn-D-K)"),
            "interval": (config.repeats > 1, "more than one repeat"),
        },
    )
    check_effects(
        config.search,
        {"batch_norm": (normalised, _NORMALISED), "precision": rounding, "chunk": rounding},
    )
    check_effects(
        config.train,
        {"batch_norm_group": (normalised, _NORMALISED), "precision": rounding, "compute": rounding},
    )


_NORMALISED = "batch normalisation (network wrn-D-K or vgg-W)"


def network(config: ExperimentConfig, dataset: Dataset) -> Network:
    """The parent, for a dataset's images and classes. Raises ConfigError where the network cannot take them."""
    return build(
        config.network, dataset.input_shape, dataset.classes, config.hidden, config.granularity, config.rescale,
        config.mask_residual,
    )  # fmt: skip


def checked_network(config: ExperimentConfig, dataset: Dataset, backend: Backend) -> Network:
    """The parent, where every phase can be carried out with it.

    Raises:
        ConfigError, BackendError: the network cannot take the images, cannot be trained as configured, or has layers
            that the backend does not compute.
    """
    net = network(config, dataset)
    check_plan(net, train_plan(config.train, len(dataset.train.y)))
    check_layers(backend, net)
    return net


class Decided(NamedTuple):
    """What is decided once a run and kept in its record: floats may depend on it in the last bits.

    Attributes:
        chunk: candidates scored at once.
        together: networks trained at once.
    """

    chunk: int
    together: int


def decide(config: ExperimentConfig, net: Network, backend: Backend, examples: int) -> Decided:
    """What a run decides as it begins. Arguments and warnings: as :func:`resolve_together`."""
    # How many nodes a mask has does not depend on how many it removes.
    chunk = chunk_size(mask_plan(mask_space(net), 0.0), config.search)
    return Decided(chunk, resolve_together(config, net, backend, examples))


def resolve_together(config: ExperimentConfig, net: Network, backend: Backend, examples: int) -> int:
    """How many networks are trained at once: ``config.together``, or an estimate of what fits the device's memory.

    Decided once a run, as the chunk is. It is the same for all sparsities: what a mask removes is counted too. Where
    not all fit, they are cut into as few slices as hold them, of equal size: 10 networks where 6 fit are 5 and 5.

    Args:
        config: the experiment.
        net: its parent.
        backend: what computes; where it does not know its memory, all networks fit.
        examples: that lie on the device while training: those of the training and of the test split.
    Warns:
        WeedoutWarning: not even one network fits; one at a time is trained.
    """
    networks = 2 * config.repeats
    if config.together is not None or backend.memory is None:
        return min(config.together or networks, networks)

    def needed(together: int) -> int:
        return training_bytes(net, config.train, examples, config.devices, together)

    most = usable(backend.memory)
    fit = next((together for together in range(networks, 0, -1) if needed(together) <= most), 0)
    if fit == 0:
        warnings.warn(
            f"to train one network on batches of {config.train.batch_size:,} examples is estimated to take "
            f"{needed(1) / 2**30:.2f} GiB, and {backend.device} has {most / 2**30:.2f} GiB for it (half of its "
            "memory): networks are trained one at a time, and memory may run out. If it does, lower batch_size or "
            "raise devices.",
            WeedoutWarning,
            stacklevel=2,
        )
    cuts = -(-networks // max(1, fit))
    return -(-networks // cuts)
