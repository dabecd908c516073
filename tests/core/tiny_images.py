"""A network and images on which whole trainings take a moment."""

import numpy as np

import weedout_core as wc

#: With a batch norm, so that there are statistics to carry over, on images, so that there are crops.
NET = wc.Network(
    (
        wc.nn.Flatten(),
        wc.nn.Dense("first", 6),
        wc.nn.BatchNorm("norm"),
        wc.nn.Relu(),
        wc.nn.Mask("hidden"),
        wc.nn.Dense("logits", 2),
    ),
    (2, 2, 1),
)
X = np.random.default_rng(5).normal(size=(30, 2, 2, 1))
Y = (X[:, 0, 0, 0] > X[:, 1, 1, 0]).astype(np.int64)
