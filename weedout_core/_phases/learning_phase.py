"""The learning phase: SGD on sparse networks. Paper, Algorithm 1, line 12.

Networks of one shape (the arms and repeats of one sparsity) are trained together, along a leading axis R.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from weedout_core._algorithm.schedule import check_plan, train_plan
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers
from weedout_core._guard.guarded import guarded
from weedout_core._guard.hosted import frozen
from weedout_core._guard.splits import Split
from weedout_core._masks.allocation import Sparsity
from weedout_core._networks.examples import Examples, checked_examples
from weedout_core._phases.ask_tell import Generation
from weedout_core._phases.beginning import beginnings
from weedout_core._phases.epochs import (
    NOTHING,
    Learning,
    Shown,
    begin,
    epoch_results,
    fetched,
    next_epoch,
    next_generation,
    resumed,
)
from weedout_core._phases.resuming import check_resumed
from weedout_core._phases.search_going_on import after, facts_of, mask_searches
from weedout_core._phases.search_phase import SearchResult
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.together import common_parent, sparse_networks, trained_smaller
from weedout_core._phases.trained import Epoch, Trained
from weedout_core._random.annotations import Key
from weedout_core.errors import ConfigError


@guarded
def train(
    network: Subnetwork,
    data: Split,
    *,
    backend: str | Backend,
    key: Key,
    config: TrainConfig = TrainConfig(),
    test: Split | None = None,
    optimizer: Any = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    resume: Trained | None = None,
    found: SearchResult | None = None,
    validation: Split | None = None,
    sparsity: Sparsity | None = None,
    on_generation: Callable[[Generation], None] | None = None,
) -> Trained:
    """Train one sparse network with SGD (paper, Algorithm 1, line 12).

    With ``config.search_epochs`` the search that found it goes on while it trains (paper, section 5): after every so
    many epochs but the last a generation is scored, with the weights as they are by then, and training goes on through
    the mask of its elite. Velocities of what a mask removes begin at 0 again where a later one keeps it.

    Args:
        network: the network to train, from a search or any other. Without a mask all of it is trained.
        data: the training split ``(x, y)``: x ``(examples, *input_shape)``, y integers in [0, classes); or what
            gives such pairs of examples or of batches, one after another, such as a DataLoader.
        backend: a name or a Backend.
        key: from ``wc.key``; it decides the order of the data, and the augmentation.
        config: the configuration.
        test: a split to measure after every epoch, or None.
        optimizer: an optimizer of the backend's framework in place of SGD, or None. JAX: an optax
            ``GradientTransformation`` whose update needs only gradients, state and weights. PyTorch: a function that
            takes the weights, a list in the order of ``wc.nn.parameter_shapes``, and returns an optimizer of
            ``torch.optim`` for all or some of them. It is called again for each epoch, so what the optimizer remembers
            must be in its ``state_dict``. Each network has an optimizer of its own, and its weights have the shapes
            in which the network is computed: smaller ones with ``config.compaction``.
        on_epoch: called with the results of each epoch.
        resume: the result of this same training after some of its epochs; training goes on from there. Network, data,
            key, test split and configuration must be those that it began with. Epochs, learning rate and schedule may
            differ if the steps already done keep their learning rates, as with more epochs of a constant rate, and the
            sparsity stays what it was. The backend may differ.
        found: with ``config.search_epochs``, the search that goes on: ``network`` is what it found, at any weights.
        validation: then, the validation split, on which its generations are scored.
        sparsity: then, η of the last generation, for all sites or {site: η}: from the search's own it gets there by
            ``η_t = η + (η_0 − η)(1 − t/n)³`` in n generations (Zhu & Gupta, 2017, equation 1). None leaves it as it is.
        on_generation: called with each of these generations.
    Raises:
        ConfigError, DataError, BackendError: an argument does not fit; raised before any work starts.
    """
    (trained,) = train_together(
        [network], data, backend=backend, keys=[key], config=config, test=test, optimizer=optimizer,
        on_epoch=None if on_epoch is None else lambda epochs: on_epoch(epochs[0]),
        resume=None if resume is None else [resume],
        found=None if found is None else [found], validation=validation, sparsity=sparsity,
        on_generation=None if on_generation is None else lambda generations: on_generation(generations[0]),
    )  # fmt: skip
    return trained


@guarded
@fenced_phase
def train_together(
    networks: Sequence[Subnetwork],
    data: Split,
    *,
    backend: str | Backend,
    keys: Sequence[Key],
    config: TrainConfig = TrainConfig(),
    test: Split | None = None,
    optimizer: Any = None,
    on_epoch: Callable[[tuple[Epoch, ...]], None] | None = None,
    resume: Sequence[Trained] | None = None,
    checkpoint: Callable[[int, Callable[[], tuple[Trained, ...]]], None] | None = None,
    found: Sequence[SearchResult] | None = None,
    validation: Split | None = None,
    sparsity: Sparsity | None = None,
    on_generation: Callable[[tuple[Generation, ...]], None] | None = None,
) -> tuple[Trained, ...]:
    """Train R sparse networks of one parent together, each with its own weights, mask and data order.

    Arguments and errors are those of :func:`train`, but ``networks``, ``keys``, ``resume``, ``found`` and the arguments
    of ``on_epoch`` and ``on_generation`` have one entry for each network.

    Args:
        checkpoint: called after each epoch but the last with the number of epochs done, and with a function that copies
            the training so far from the device and returns it, for ``resume``.
    """
    net = common_parent(networks)
    examples = checked_examples(net, data)
    tested = None if test is None else checked_examples(net, test)
    if len(keys) != len(networks):
        raise ConfigError(f"keys must be one for each of {len(networks)} networks; got {len(keys)}.")
    plan = train_plan(config, len(examples.y), optimizer)
    check_plan(net, plan)
    searches = mask_searches(networks, plan, found, validation, sparsity)
    facts = [facts_of(*one) for one in zip(searches, found or (), strict=False)] or [None] * len(networks)
    began = beginnings(networks, examples, tested, keys, plan, facts)
    if resume is not None:
        check_resumed(networks, plan, began, resume)
        networks = [one.network for one in resume]
        searches = tuple(map(after, searches, resume))
    backend = load_backend(backend)
    check_layers(backend, net)
    task = Learning(
        networks, plan, keys, began, backend, sparse_networks(networks, backend, trained_smaller(net, config)),
        Examples(backend.asarray(examples.x), backend.asarray(examples.y)),
        None if tested is None else Examples(backend.asarray(tested.x), tested.y), searches,
    )  # fmt: skip
    state = begin(task) if resume is None else resumed(task, resume)
    shown = [Shown(frozen(one.losses), one.history) for one in resume] if resume else [NOTHING] * len(networks)
    while state.epoch < config.epochs:
        due = config.generations_within(state.epoch + 1)
        if any(len(one.generations) < due for one in task.searches):
            task, state = next_generation(task, state)
            if on_generation is not None:
                on_generation(tuple(one.generations[-1] for one in task.searches))
        state, result = next_epoch(task, state)
        shown = [one.after(*more) for one, more in zip(shown, epoch_results(task, state, result), strict=True)]
        if on_epoch is not None:
            on_epoch(tuple(one.history[-1] for one in shown))
        if checkpoint is not None and state.epoch < config.epochs:
            checkpoint(state.epoch, partial(fetched, task, state, tuple(shown)))
    return fetched(task, state, shown)
