"""Weedout in plain NumPy: the ground truth, and the text to read beside the paper (arXiv:2403.08265).

Weedout looks for a good sparse sub-network *before* any training. It draws m random masks over the nodes of one
overparameterized network, measures each sub-network on a batch of validation data, keeps the fittest, replaces
every other network by a fresh one, and repeats. Only the winner is trained. That is all; here it is spelled out, one
idea a file, slowly and in float64. Read from the top:

1.  ``randomness``  one seed, and from it every random number, each drawable alone
2.  ``masks``       which nodes a candidate keeps                           line 2, RandomSubNetwork
3.  ``layers``      each layer, and beside it its gradient                  the data: the network N
4.  ``batch_norm``  the one layer with a memory: means and variances
5.  ``shapes``      what goes into each layer of a network, and what comes out
6.  ``initial``     initial weights                                         the data: "weight initialised"
7.  ``network``     the layers in a row: forward, and backward              lines 7 and 12
8.  ``fitness``     how good an untrained network is on a batch             line 7, −Cost
9.  ``selection``   who goes on                                             line 9, RSH selection; line 11, argmax
10. ``scoring``     a population, one candidate after the other             lines 5–8
11. ``batches``     what each step of training is shown                     line 12
12. ``training``    SGD on the winner                                       line 12, TrainAndUpdateWeights
13. ``algorithm1``  all of the above in the paper's one loop                lines 1–13

Files 1–12 also hold the functions that a backend of ``weedout_core`` is made of, under the names that every backend
gives them; :func:`connect` gathers them. Nothing here calls the core's mathematics: only its data types (layers,
configurations, plans) are shared, so that agreement between the two means something.

Words. *Site*: a place where an activation is multiplied by a mask. *Node*: one unit at a site. *Mask*: True where
a node is kept. *Sparsity* η: the fraction of nodes removed. *Candidate*: a mask, and in the reading of section 3
its own initial weights. *Generation*: one round of scoring and selection.

Letters in shapes. m: candidates of a population. R: networks trained side by side.
"""

from typing import Any

import numpy as np

from weedout_core.backend import Backend, host_array, host_view
from weedout_core.errors import BackendError
from weedout_numpy.algorithm1 import Result, weedout
from weedout_numpy.fence import our_settings
from weedout_numpy.initial import draw_parameters
from weedout_numpy.masks import keep_smallest, masks_from_keys
from weedout_numpy.network import predict
from weedout_numpy.randomness import random_bits
from weedout_numpy.scoring import score_population
from weedout_numpy.training import train_epoch, train_init

__all__ = ["Result", "asarray", "connect", "weedout"]


def asarray(value: Any) -> np.ndarray:
    """A NumPy array of its own: floats as float64, integers as int32; words of the random stream (uint32), bool."""
    array = host_array(value)
    return np.array(array, dtype=np.float64 if array.dtype.kind == "f" else array.dtype)


def connect(device: str | None = None, devices: int = 1) -> Backend:
    """The reference as a backend.

    Args:
        device: None or "cpu".
        devices: 1.
    Raises:
        BackendError: another device, or more than one.
    """
    if device not in (None, "cpu"):
        raise BackendError(
            f'the numpy backend runs on device "cpu" only; got {device!r}. Use device=None or another backend.'
        )
    if devices != 1:
        raise BackendError(
            f"the numpy backend runs on 1 device; got devices={devices!r}. Use devices=1 or another backend."
        )
    return Backend(
        name="numpy",
        device="cpu",
        devices=1,
        libraries=("numpy", "scipy"),
        asarray=asarray,
        to_numpy=host_view,
        random_bits=random_bits,
        keep_smallest=keep_smallest,
        masks_from_keys=masks_from_keys,
        draw_parameters=draw_parameters,
        score_population=score_population,
        predict=predict,
        train_init=train_init,
        train_epoch=train_epoch,
        fence=our_settings,
    )
