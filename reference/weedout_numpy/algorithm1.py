"""Algorithm 1 of the paper, WEEDOUT (arXiv:2403.08265), line by line.

Lay :func:`weedout` beside the paper. A comment that begins with a number is the paper's line of that number; its lines
3, 8 and 10 only close loops. The words:

* The *parent* is the paper's 𝔑, the large network, with its initial weights. "Fully connected" is the paper's word for
  a network from which nothing has been removed yet; its layers may be convolutions.
* A *node* of a dense layer is one of its outputs. In a convolution it is one channel at one pixel or, where a mask is
  told so, a whole channel: the paper leaves this open. A *mask* says of each node whether it is kept, and *sparsity* η
  is the fraction of the nodes that are removed. The paper multiplies the outputs of a layer by a mask of 0 and 1
  (section 3).
* A *candidate* is one of the paper's sub-networks nⁱ: a mask, initial weights, and a fitness once it is measured.
* A *population* is m candidates, numbered from 0. A *generation* is one round of the loop of line 4, numbered from 0.
* A candidate's *origin* says where it was drawn, as (generation, index i). Together with the seed, the origin
  determines all random numbers of the candidate, so that anybody can draw it again.
* The *elite* of a generation is its fittest candidate.
"""

from functools import partial
from typing import NamedTuple

from weedout_core import Network, SearchConfig, TrainConfig
from weedout_core.backend import Origin
from weedout_numpy.batches import Split, validation_batch
from weedout_numpy.candidates import Candidate, initialised, random_sub_network
from weedout_numpy.choices import check_spelled_out
from weedout_numpy.evaluation import evaluate
from weedout_numpy.fitness import fitness_of
from weedout_numpy.randomness import key
from weedout_numpy.selection import fittest
from weedout_numpy.training import Learner, Trained, train, train_a_little


class Generation(NamedTuple):
    """What one generation showed: its fittest candidate, and the fitness of each of its m candidates."""

    elite: Candidate
    fitness: tuple[float, ...]


class Result(NamedTuple):
    """What the algorithm found.

    Attributes:
        winner: the candidate n* of line 11, as it was before training.
        history: what each generation showed.
        trained: the winner after line 12: its weights, the means and variances that batch normalisation gathered in
            training (``statistics``), and the loss of each step.
        accuracy: what line 13 measured, the fraction of the test split that is classified correctly.
    """

    winner: Candidate
    history: tuple[Generation, ...]
    trained: Trained
    accuracy: float


def weedout(
    net: Network,
    data_validation: Split,
    data_train: Split,
    data_test: Split,
    sparsity: float,
    config: SearchConfig,
    train_config: TrainConfig,
    seed: int,
) -> Result:
    """Find a sparse sub-network by Random Search, and train it. The data are not checked here.

    Args:
        net: the layers of the parent, in order. Its weights are drawn here.
        data_validation, data_train, data_test: the data splits ``(x, y)``: x ``(examples, ...)``, y the class of each.
        sparsity: η in [0, 1).
        config: the choices of lines 1–11; its ``population`` is m. Algorithm 1 and section 3 differ in three points:
            ``config.weights`` (line 2), ``config.fitness`` (line 7) and ``config.winner`` (line 11). With the default,
            reading="algorithm1", they are "shared", "negative_cross_entropy" and "last_generation"; with
            reading="section3" they are "per_candidate", "accuracy" and "best_overall".
        train_config: the choices of line 12, such as the learning rate, and of the steps of limited training.
        seed: the number from which all random numbers follow.
    Raises:
        ConfigError: the configuration makes a choice that is not spelled out here.
        SearchError: no candidate of a generation has a finite fitness.
    """
    check_spelled_out(config)
    root, m = key(seed), config.population  # the root of every random number (see ``randomness``)
    parent = initialised(net, root)  # Data: the weight initialised fully connected network 𝔑

    # 1     for i ← 1 to m do
    # 2         nⁱ ← RandomSubNetwork(𝔑, η)
    population = [random_sub_network(parent, sparsity, config, root, Origin(0, i)) for i in range(m)]
    history: list[Generation] = []
    # 4     while ¬ TerminationCriteria do: five generations in section 3
    while len(history) != config.generations:
        # 5         batch ~ D_validation: the same for all candidates, another one in each generation
        batch = validation_batch(root, len(history), data_validation, config.validation_batch)
        # 6         for i ← 1 to m do
        # 7             nⁱ_fitness ← −Cost(nⁱ, batch): the elite is measured again, since the batch is a new one
        learn = partial(train_a_little, net, data_train, train_config, config.training_steps, root, len(history))
        population = [measured(net, n, learn(n.params, n.mask), batch, config) for n in population]
        # 9         n ← RSH_selection(n): Random Search keeps the fittest at place 0, and draws m − 1 new ones for the
        #           others (section 3). As in the paper it does so in the last generation too: nobody measures those.
        elite = fittest(population)
        history.append(Generation(elite, tuple(n.fitness for n in population)))
        following = len(history)
        fresh = [random_sub_network(parent, sparsity, config, root, Origin(following, i)) for i in range(1, m)]
        population = [elite, *fresh]
    # 11    n* ← argmax n_fitness: of the population of line 9 only the elite has been measured, so it is the winner. In
    #       section 3 it is the fittest "over all generations", each elite as measured on the batch of its generation.
    finalists = population if config.winner == "last_generation" else [generation.elite for generation in history]
    winner = fittest(finalists)
    # 12    TrainAndUpdateWeights(n*, D_train): from its initial weights, or on from those of limited training
    weights = winner.params if config.trained_weights == "reset" else winner.learnt
    trained = train(net, weights, winner.mask, data_train, train_config, root)
    # 13    EvaluateGeneralizationPerformance(n*, D_test)
    accuracy = evaluate(net, trained.params, trained.statistics, winner.mask, data_test)
    return Result(winner, tuple(history), trained, accuracy)


def measured(net: Network, n: Candidate, learner: Learner, batch: Split, config: SearchConfig) -> Candidate:
    """Line 7 for one candidate: its fitness, with the weights that limited training gave it, or the initial ones."""
    fitness = fitness_of(net, learner.params, n.mask, batch, config.fitness)
    return n._replace(fitness=fitness, learnt=learner.params)
