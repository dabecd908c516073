"""Evaluation: how often the trained network is right. Paper, Algorithm 1, line 13, on the test split."""

import numpy as np
from jaxtyping import Float

from weedout_core import Network
from weedout_numpy.batches import Split
from weedout_numpy.fitness import count_correct
from weedout_numpy.masks import Masks
from weedout_numpy.network import Batch, Parameters, forward


def evaluate(net: Network, params: Parameters, statistics: Parameters, mask: Masks, data: Split) -> float:
    """The fraction of a split that a trained network classifies correctly, in [0, 1]."""
    x, y = data
    logits = trained_logits(net, params, statistics, mask, np.asarray(x, dtype=np.float64))
    return count_correct(logits, y) / len(y)


def trained_logits(
    net: Network, params: Parameters, statistics: Parameters, mask: Masks | None, x: Batch
) -> Float[np.ndarray, "examples classes"]:
    """The logits of a trained network. The mask is the one of training: a removed node never comes back.

    Batch normalisation takes the statistics that were gathered during training, so that the logits of an example do
    not depend on the examples beside it (see ``batch_norm``).
    """
    # An overflow is a result to report, not an error to stop at: it shows in the logits.
    with np.errstate(over="ignore", invalid="ignore"):
        logits, _ = forward(net.layers, params, mask, x, statistics)
    return logits
