"""The experiment: at each sparsity, networks that were chosen in several ways (in the paper: two), trained alike.

An *arm* is a way to choose; a *cell* is one sparsity × arm × repeat. A *group* is all cells of one sparsity and one
repeat, or of a few repeats where more networks are to be trained at once. The arms of a group choose one after another;
its networks are trained together, as many at a time as memory holds. A group is computed, saved and resumed as a whole.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from weedout_core import Network, SearchConfig, TrainConfig
from weedout_core._configs.checks import check_effects
from weedout_core._configs.going_on import check_goes_on
from weedout_core._configs.open_points import choice
from weedout_core._configs.search_config import Control
from weedout_core._guard.guarded import convert_fields
from weedout_core._guard.kinds import Eta, Name, Positive, Seed, Threads
from weedout_core.backend import Backend, check_layers, check_plan, check_search, train_plan
from weedout_core.errors import ConfigError
from weedout_core.lab.data.datasets import DATASET, Dataset
from weedout_core.lab.experiment.architecture import build, check_network_name, size_by_name
from weedout_core.lab.experiment.memory import check_fits, size_of
from weedout_core.lab.experiment.model import Model
from weedout_core.lab.statistics import IntervalMethod
from weedout_core.nn import Granularity


@dataclass(frozen=True)
class ExperimentConfig:
    """What is compared, on which data and how often. The defaults are the paper's; the network and the data are ours.

    Attributes:
        dataset: "digits" (bundled, no download), "mnist", "fashion-mnist", "cifar10", "cifar100", or
            "package.module:function", a function that returns a training and a test split.
        network: "mlp"; "wrn-D-K", a Wide ResNet of depth D and width K such as "wrn-28-10"; "vgg-W", a small VGG of
            width W; or "package.module:function", a function of a seed that returns a network, such as a model that
            ``wc.adopt`` took. On the command line it also chooses the defaults of some training options.
        hidden: units of each fully connected hidden layer before the logits; None means 512 512 for "mlp" and no hidden
            layer for other networks.
        granularity: what one bit of a mask removes: "node", one unit of an activation, "channel", a whole channel of a
            convolution, or "connection", a single weight. "channel" needs a network with convolutions.
        mask_residual: mask the sums of residual blocks too; it needs a network "wrn-D-K".
        train_examples: train on this many examples of the training split, ≥ 1, stratified by class; None uses all.
        test_examples: test on this many examples of the test split, ≥ 1, stratified by class; None uses all.
        sparsity: the fractions of nodes removed, each in [0, 1).
        repeats: independent runs of all arms at each sparsity, ≥ 1.
        seed: the seed of all random numbers, in [0, 2^64).
        backend: the library that computes: "numpy" (the slow reference), "jax", "torch", "torch_xla", "tpu" (PyTorch
            with torch_tpu), or the name of an installed third-party backend.
        device: the kind of device ("cpu", "gpu", "tpu"); None takes the backend's default.
        devices: the number of devices that share each population and each training batch, ≥ 1.
        together: the number of networks trained at once, ≥ 1; None trains those of a repeat at once, or as many as are
            estimated to fit into the device's memory. More than a repeat has make groups of several repeats.
        threads: the number of threads that compute a group on a CPU, in [1, 1024], for any number of workers; None
            takes as many as the backend has when the run begins. Floats may depend on it in their last bits.
        rescale: divide masked activations by the fraction kept.
        control: the control network: "member", a random member of the search's first generation, or "independent", a
            separate draw.
        initial_sparsity: with search_epochs, the sparsity of the search before training: from it the sparsity rises to
            each of ``sparsity`` while the winner trains; None is that sparsity all along.
        validation_in_training: a fixed point: no arm is ever trained on the validation split.
        interval: the method for the 95 % interval of the mean over the repeats.
        search: the search phase.
        train: the learning phase.
    Raises:
        ConfigError: a field is out of its range, or has no effect beside the others.
    """

    dataset: Annotated[str, DATASET] = "digits"
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
    threads: Threads | None = None
    rescale: bool = choice(15, "rescaling by 1/(1−η)", False)
    control: Control = choice(17, "control", "member")
    initial_sparsity: Eta | None = choice(28, "Weedout throughout training", None)
    validation_in_training: Literal["never"] = choice(19, "validation data in training", "never")
    interval: IntervalMethod = choice(21, "95 % interval of the repeats", "student_t")
    search: SearchConfig = field(default_factory=SearchConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        convert_fields(self)
        check_network_name(self.network)
        if self.hidden == () and self.network == "mlp":
            raise ConfigError("hidden must be at least one layer for the network mlp; got none.")
        # Adding 0.0 turns −0.0 into 0.0. Sorted, so that the order on the command line makes no other run.
        sparsity = tuple(sorted(value + 0.0 for value in self.sparsity))
        if not sparsity or len(set(sparsity)) != len(sparsity):
            raise ConfigError(f"sparsity must be one or more values, each of them once; got {self.sparsity!r}.")
        object.__setattr__(self, "sparsity", sparsity)
        if self.initial_sparsity is not None:
            object.__setattr__(self, "initial_sparsity", self.initial_sparsity + 0.0)
        _check_effects(self)
        _check_goes_on(self)

    def searched_at(self, sparsity: float) -> float:
        """The sparsity of the search before training."""
        return sparsity if self.initial_sparsity is None else self.initial_sparsity


def _check_goes_on(config: ExperimentConfig) -> None:
    """Raise ConfigError where a search is to go on during training, and cannot."""
    rises = bool(config.train.search_epochs), "search_epochs of at least 1"
    check_effects(config, {"initial_sparsity": rises})
    if config.train.search_epochs:
        check_goes_on(config.search)
    if config.initial_sparsity is None:
        return
    if config.initial_sparsity > config.sparsity[0]:
        raise ConfigError(
            f"initial_sparsity must be at most each sparsity, because from it the sparsity rises; got "
            f"{config.initial_sparsity} and a sparsity of {config.sparsity[0]}."
        )
    if config.search.fan_counts == "kept":
        raise ConfigError(
            'fan_counts="kept" counts the nodes of one sparsity, and initial_sparsity lets it rise. Leave one out.'
        )


def _check_effects(config: ExperimentConfig) -> None:
    """Raise ConfigError for choices that the network or the backend leaves without effect."""
    reference, normalised = config.backend == "numpy", config.network != "mlp"
    built = ":" not in config.network, "a network of this library (mlp, wrn-D-K, vgg-W)"
    convolutions = (normalised, "convolutions (network wrn-D-K or vgg-W)") if built[0] else built
    activations = config.granularity != "connection", 'masks of activations (granularity "node" or "channel")'
    rounding = not reference, "a backend that rounds: numpy computes in float64, a candidate at a time"
    check_effects(
        config,
        {
            "hidden": built,
            "rescale": built,
            "granularity": built if config.granularity == "connection" else convolutions,
            "mask_residual": (config.network.startswith("wrn-"), "residual blocks (network wrn-D-K)"),
            "interval": (config.repeats > 1, "more than one repeat"),
        },
    )
    check_effects(config, {"rescale": activations, "mask_residual": activations})
    check_effects(
        config.search,
        {"batch_norm": (normalised, _NORMALISED), "precision": rounding, "chunk": rounding},
        "search.",
    )
    check_effects(
        config.train,
        {"batch_norm_group": (normalised, _NORMALISED), "precision": rounding, "compute": rounding},
        "train.",
    )


_NORMALISED = "batch normalisation (network wrn-D-K or vgg-W)"


def network(config: ExperimentConfig, dataset: Dataset, model: Model | None = None, at_once: int = 1) -> Network:
    """The dense parent for a dataset's images and classes.

    Args:
        config: the experiment.
        dataset: the data.
        model: the user's own, where the configuration names one.
        at_once: the number of repeats whose parents exist at once.
    Raises:
        ConfigError: the network cannot take the images, or the experiment needs more memory than there is.
    """
    given = (
        config.network, dataset.input_shape, dataset.classes, config.hidden, config.granularity, config.rescale,
        config.mask_residual,
    )  # fmt: skip
    size = size_by_name(*given) if model is None else size_of(model.net)
    population, chunk = config.search.population, config.search.chunk or 1
    check_fits(size, at_once, config.repeats, config.train.epochs, population, min(chunk, population))
    return build(*given) if model is None else _fitting(model, dataset)


def _fitting(model: Model, dataset: Dataset) -> Network:
    net = model.net
    if (takes := net.input_shape) != (has := dataset.input_shape):
        raise ConfigError(
            f"the model {model.place} must take the inputs of {dataset.name}, {has}; it takes {takes}. "
            f"Adopt it with that shape{', and move the channels in it' * (sorted(takes) == sorted(has))}."
        )
    if net.classes < dataset.classes:
        raise ConfigError(
            f"the model {model.place} must have a logit for each of the {dataset.classes} classes of {dataset.name}; "
            f"it has {net.classes}.{_counted_from(dataset)}"
        )
    return net


def _counted_from(dataset: Dataset) -> str:
    """What to do with labels that do not begin at 0; "" if they do."""
    least = min(int(split.y.min()) for split in (dataset.train, dataset.validation, dataset.test))
    return f" The labels begin at {least}: subtract it from them." if least else ""


def checked_network(
    config: ExperimentConfig, dataset: Dataset, backend: Backend, model: Model | None = None, at_once: int = 1
) -> Network:
    """The parent, after checking that every phase can be carried out with it. Arguments are those of :func:`network`.

    Raises:
        ConfigError: as ``network``; or the network cannot be trained as configured.
        BackendError: the network has layers that the backend does not compute.
    """
    net = network(config, dataset, model, at_once)
    check_search(net, config.search, len(dataset.validation.y))
    check_plan(net, train_plan(config.train, len(dataset.train.y)))
    check_layers(backend, net)
    return net
