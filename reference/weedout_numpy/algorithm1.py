"""Algorithm 1 of the paper, WEEDOUT (arXiv:2403.08265), line by line.

Lay :func:`weedout` beside the paper. A comment that begins with a number is the paper's line of that number; its lines
3, 8 and 10 only close loops. The words:

* The *parent* is the paper's 𝔑, the large, fully connected network, with its initial weights.
* A *node* is one unit of a layer. A *mask* says of each node whether it is kept, and *sparsity* η is the fraction of
  the nodes that are removed. The paper multiplies the outputs of a layer by a mask of 0 and 1 (section 3).
* A *candidate* is one of the paper's sub-networks nⁱ: a mask, initial weights, and a fitness once it is measured.
* A *population* is m candidates. A *generation* is one round of the loop of line 4, numbered from 0.
* A candidate's *origin* says where it was drawn, as (generation, index i). With the seed that settles every random
  number of it, so that anybody can draw it again.
* The *elite* of a generation is its fittest candidate.
"""

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
from weedout_numpy.training import Trained, train


class Generation(NamedTuple):
    """What one generation showed: its fittest candidate, and the fitness of each of its m candidates."""

    elite: Candidate
    fitness: tuple[float, ...]


class Result(NamedTuple):
    """What the algorithm found.

    Attributes:
        winner: the candidate n* of line 11, as it was before training.
        history: what each generation showed.
        trained: the winner after line 12: its weights, and the loss of each step.
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
    """Find a sparse sub-network by Random Search, and train it. Data are taken as they come: the core checks them.

    Args:
        net: the layers of the parent, in order. Its weights are drawn here.
        data_validation, data_train, data_test: the data splits ``(x, y)``: x ``(examples, ...)``, y the class of each.
        sparsity: η in [0, 1).
        config: the choices of lines 1–11; its ``population`` is m. Where Algorithm 1 and the text of section 3 differ,
            ``reading`` says which of the two is followed.
        train_config: the choices of line 12, such as the learning rate.
        seed: of all random numbers.
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
        # 7             nⁱ_fitness ← −Cost(nⁱ, batch): the elite, too, is measured again
        population = [n._replace(fitness=fitness_of(net, n.params, n.mask, batch, config.fitness)) for n in population]
        elite = fittest(population)
        history.append(Generation(elite, tuple(n.fitness for n in population)))
        # 9         n ← RSH_selection(n): Random Search keeps the fittest, and draws m − 1 new ones (section 3)
        now = len(history)
        fresh = [random_sub_network(parent, sparsity, config, root, Origin(now, i)) for i in range(1, m)]
        population = [elite, *fresh]
    # 11    n* ← argmax n_fitness: of those of line 9 only the elite has one; in section 3 "over all generations"
    finalists = population if config.winner == "last_generation" else [generation.elite for generation in history]
    winner = fittest(finalists)
    # 12    TrainAndUpdateWeights(n*, D_train)
    trained = train(net, winner.params, winner.mask, data_train, train_config, root)
    # 13    EvaluateGeneralizationPerformance(n*, D_test)
    accuracy = evaluate(net, trained.params, trained.statistics, winner.mask, data_test)
    return Result(winner, tuple(history), trained, accuracy)
