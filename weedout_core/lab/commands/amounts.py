"""How much work an experiment is: candidates, steps and examples, counted exactly."""

from dataclasses import replace
from typing import NamedTuple

from weedout_core import SearchConfig
from weedout_core.backend import train_plan
from weedout_core.lab.arms.paper import paper
from weedout_core.lab.data.datasets import Dataset
from weedout_core.lab.experiment.configuration import ExperimentConfig
from weedout_core.lab.experiment.experiment import Experiment


class Work(NamedTuple):
    """The amount of work at each sparsity of the experiment.

    Attributes:
        evaluations: the largest number of candidates that may be scored, over all repeats and, where the search goes on
            in it, in training; None if only patience ends a search.
        batch: the number of validation examples that a candidate is scored on.
        limited: the number of training steps that a candidate takes before.
        epochs: the number of training epochs.
        steps: the number of training steps in an epoch; a step trains all networks that are trained together.
        networks: the number of networks trained together.
        parts: the number of parts in which the networks of a sparsity are trained, one part after another.
        batch_size: the number of examples in a step of each network.
        tested: the number of examples in the test split.
        evaluated: the number of examples that each network is evaluated on: the test split after each epoch, and at the
            end the training and the test split.
    """

    evaluations: int | None
    batch: int
    limited: int
    epochs: int
    steps: int
    networks: int
    parts: int
    batch_size: int
    tested: int
    evaluated: int


def work(config: ExperimentConfig, dataset: Dataset, together: int) -> Work:
    """Count the evaluations and steps of an experiment in which ``together`` networks are trained at once."""
    plan, tested = train_plan(config.train, len(dataset.train.y)), len(dataset.test.y)
    batch = len(dataset.validation.y)
    if config.search.batch_policy != "whole":
        batch = min(config.search.validation_batch, batch)
    scored, in_training = evaluations(config.search), config.train.generations * config.search.population
    return Work(
        evaluations=None if scored is None else config.repeats * (scored + in_training),
        batch=batch,
        limited=config.search.training_steps,
        epochs=config.train.epochs,
        steps=plan.steps,
        networks=together,
        parts=sum(-(-networks // together) for networks in _networks(config)),
        batch_size=plan.batch_size,
        tested=tested,
        evaluated=config.train.epochs * tested + len(dataset.train.y) + tested,
    )


def experiment_of(config: ExperimentConfig) -> Experiment:
    """The paper's experiment."""
    return Experiment(config, paper(config.control), (config.repeats,))


def _networks(config: ExperimentConfig) -> list[int]:
    """How many networks of each group of a sparsity may be trained together: one that is searched goes by itself."""
    experiment = experiment_of(replace(config, sparsity=config.sparsity[:1]))
    apart = 1 if config.train.search_epochs else 0
    arms = [arms for arms in (apart, len(experiment.arms) - apart) if arms]
    return [number * len(group.repeats) for group in experiment.groups for number in arms]


def evaluations(search: SearchConfig) -> int | None:
    """The largest number of candidates that one search may score; None if only patience ends it.

    Successive halving scores fewer, each on as many more examples, which takes as long.
    """
    ends = [] if search.budget is None else [search.budget]
    if search.generations is not None:
        later = search.population - (1 if search.elite == "cache" else 0)
        rescored = search.generations if search.winner == "rescored" else 0
        ends.append(search.population + (search.generations - 1) * later + rescored)
    return min(ends, default=None)
