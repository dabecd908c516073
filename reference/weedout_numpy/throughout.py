"""Weedout throughout training. Paper, section 5, future work: the search goes on while the weights are trained.

There "the sparsity search process can be continued through the entire training process, i.e. similar to Dropout [41],
but where finding the Dropout binary mask is under search." So line 12 is interrupted after every few epochs for one
more round of lines 4 to 10: the elite and m − 1 fresh candidates are measured with the weights that training has
reached, and training goes on through the mask of the fittest. What comes out is trained, and its mask prunes the
network at once.

The sparsity may rise on the way from the search's own η₀ to η: in generation t of n it is ``η + (η₀ − η)(1 − t/n)³``
(Zhu, Gupta, "To prune, or not to prune", 2017, equation 1). A candidate is drawn again from its origin at each
sparsity: of the same random numbers the smallest are kept, so its nodes at a higher sparsity are some of those at a
lower one.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from weedout_core import Network, SearchConfig, TrainConfig
from weedout_core.backend import Origin
from weedout_core.errors import ConfigError
from weedout_numpy.algorithm1 import Generation, Result
from weedout_numpy.batches import Split, data_order, shown, train_plan, validation_batch
from weedout_numpy.candidates import Candidate, Parent, random_sub_network
from weedout_numpy.choices import check_spelled_out
from weedout_numpy.crops import data_crops
from weedout_numpy.fitness import fitness_of
from weedout_numpy.initial import initial_statistics
from weedout_numpy.randomness import key
from weedout_numpy.selection import fittest
from weedout_numpy.training import Trained, at_rest, learning_rates, train_for_an_epoch


class Throughout(NamedTuple):
    """What came of it: the mask in the end, the trained weights, and what each generation in training showed."""

    mask: Mapping[str, np.ndarray]
    trained: Trained
    history: tuple[Generation, ...]


def weedout_throughout(
    net: Network,
    found: Result,
    data_validation: Split,
    data_train: Split,
    sparsities: tuple[float, float],
    config: SearchConfig,
    train_config: TrainConfig,
    seed: int,
) -> Throughout:
    """Train what a search found, and search on after every ``train_config.search_epochs`` epochs.

    Args:
        net: the layers of the parent.
        found: what ``weedout`` found in it, with the same ``config`` and ``seed``.
        data_validation, data_train: the data splits, as there.
        sparsities: η₀ of that search, and η of the last generation.
        config: the choices of lines 4–10.
        train_config: the choices of line 12, and in which part of the epochs (``search_part``) it is searched. Weights
            that a mask removes stay as they are and lose their velocity; here neither momentum nor decay moves any, so
            that nothing has to be done about it.
        seed: that of the search.
    Raises:
        ConfigError: a configuration makes a choice that is not spelled out here.
        SearchError: no candidate of a generation has a finite fitness.
    """
    check_spelled_out(config)
    if train_config.momentum or train_config.weight_decay:
        raise ConfigError("momentum=0 and weight_decay=0 are spelled out here. For others use weedout_core.train.")
    root, plan, every = key(seed), train_plan(train_config, len(data_train[1])), train_config.search_epochs
    rates = learning_rates(train_config, plan.steps).reshape(train_config.epochs, plan.steps)
    learner, elite = at_rest(found.winner.params, initial_statistics(net)), found.winner
    last = train_config.search_part * train_config.epochs
    searched = [epoch for epoch in range(every, train_config.epochs, every) if epoch < last]
    history: list[Generation] = []
    losses: list[float] = []
    for epoch in range(train_config.epochs):
        if epoch in searched:
            eta = risen(*sparsities, epoch // every, len(searched))
            number = len(found.history) + len(history)  # the generations of training follow those of the search
            batch = validation_batch(root, number, data_validation, config.validation_batch)
            parent, origins = Parent(net, learner.params), [elite.origin, *fresh_origins(number, config.population)]
            drawn = [random_sub_network(parent, eta, config, root, origin) for origin in origins]
            population = [with_weights(net, n, learner.params, batch, config) for n in drawn]
            elite = fittest(population)
            history.append(Generation(elite, tuple(n.fitness for n in population)))
        batches = shown(data_train, data_order(root, epoch, plan), data_crops(root, epoch, plan))
        learner, loss, _ = train_for_an_epoch(net, plan, learner, elite.mask, batches, rates[epoch])
        losses += loss
    trained = Trained(learner.params, learner.statistics, np.array(losses, dtype=np.float64))
    return Throughout(elite.mask, trained, tuple(history))


def risen(initial: float, final: float, t: int, n: int) -> float:
    """The sparsity of generation t of n."""
    return final + (initial - final) * (1 - t / n) ** 3


def fresh_origins(generation: int, m: int) -> list[Origin]:
    """Those of the m − 1 candidates that are drawn anew."""
    return [Origin(generation, i) for i in range(1, m)]


def with_weights(
    net: Network, n: Candidate, params: Mapping[str, np.ndarray], batch: Split, config: SearchConfig
) -> Candidate:
    """Line 7 for a candidate's mask on the weights that training has reached."""
    return n._replace(params=params, fitness=fitness_of(net, params, n.mask, batch, config.fitness))
