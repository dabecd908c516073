"""The result of training: a network, the results of its epochs, and which training it is a part of."""

import json
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from weedout_core._guard.by_content import by_content
from weedout_core._guard.kinds import Hosted, NonNegative, Number
from weedout_core._networks.as_json import network_to_json
from weedout_core._phases.ask_tell import Generation
from weedout_core._phases.beginning import Beginning
from weedout_core._phases.digests import digest
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._phases.together import is_finite


@by_content
class Epoch(NamedTuple):
    """The results of one epoch.

    Attributes:
        epoch: epochs done, from 1; 0 is before training.
        loss: mean cross-entropy over the epoch's batches, each before its update, nats; NaN where ``not_finite`` is
            above 0.
        train_accuracy: over the same batches, in [0, 1]; NaN where ``loss`` is.
        test_accuracy: after the epoch, in [0, 1]; NaN without a test split, and where ``test_not_finite`` is above 0.
        not_finite: the steps of the epoch whose loss is NaN or infinite.
        test_not_finite: how many examples of the test split are not finite after the epoch, counted as in
            ``Evaluation.not_finite``; 0 without a test split.
    """

    epoch: NonNegative
    loss: Number
    train_accuracy: Number
    test_accuracy: Number
    not_finite: NonNegative
    test_not_finite: NonNegative = 0


@by_content
class Trained(NamedTuple):
    """A network after some epochs: a result, and all that is needed to train on, with any backend.

    Attributes:
        network: the network, in the parent's shape. Weights that its mask removes are as they were handed in or, where
            its mask is searched while it trains, as they were when a mask last kept them.
        velocity: the velocity of SGD with momentum, {path: float ``shape``}; {} with an optimizer of the user's.
        losses: the cross-entropy of every step before its update, float64 ``(steps,)``, nats.
        history: the results of each epoch.
        began: what its training began with. ``wc.train(..., resume=...)`` goes on only with the same training.
        generations: those that were scored while it trained (``TrainConfig.search_epochs``); their numbers follow those
            of the search that goes on in them, and their ``began`` is None.
        seal: SHA-256 of all other fields as training returned them. If they were changed since, it cannot be resumed.
    """

    network: Subnetwork
    velocity: dict[str, Hosted]
    losses: Hosted
    history: tuple[Epoch, ...]
    began: Beginning
    seal: str
    generations: tuple[Generation, ...] = ()

    @property
    def diverged(self) -> bool:
        """Whether one of its numbers is NaN or infinite.

        These are the loss of each step, each weight and running statistic that the mask keeps and, with a test split,
        each logit of it after the last epoch. Such a network has learnt nothing that an accuracy could measure. Lower
        the learning rate.

        The loss of a step is from before its update. Without a test split nothing is computed after the last update, so
        the weights may be finite and their logits not: ``Evaluation.not_finite`` shows that.
        """
        lost = self.history[-1].test_not_finite if self.history else 0
        return bool(lost or not np.isfinite(self.losses).all() or not is_finite(self.network))


def sealed(
    network: Subnetwork,
    velocity: Any,
    losses: np.ndarray,
    history: tuple[Epoch, ...],
    generations: tuple[Generation, ...],
    began: Beginning,
) -> Trained:
    """The result of training, with its seal."""
    trained = Trained(network, velocity, losses, history, began, "", generations)
    return trained._replace(seal=_seal(trained))


def is_sealed(trained: Trained) -> bool:
    """Whether nothing in it was changed since training returned it."""
    return _seal(trained) == trained.seal


def _seal(trained: Trained) -> str:
    network, began = trained.network, trained.began
    trees = {**network.trees, "velocity": trained.velocity, "shown": {"losses": trained.losses}}
    arrays = {f"{name}/{path}": value for name, tree in trees.items() for path, value in tree.items()}
    plain = began._asdict() | {"config": asdict(began.config)}
    searches = [one._asdict() | {"fitness": None} for one in trained.generations]
    facts = json.dumps([network_to_json(network.net), trained.history, searches, plain])
    fitness = {f"fitness/{one.generation}": one.fitness for one in trained.generations}
    return digest({**arrays, **fitness, "facts": np.frombuffer(facts.encode(), np.uint8)})
