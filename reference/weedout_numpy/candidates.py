"""Candidates: the sparse sub-networks of a population. Paper, Algorithm 1, line 2, RandomSubNetwork(𝔑, η).

A candidate is a mask over the nodes of the parent 𝔑 and the initial weights under it. The paper has two readings of
where these weights come from. In section 2, sub-networks are "sampled from this fully connected network", so that all
candidates share the weights of the parent. In section 3, "each randomly created sparse network is initialized", so that
each has weights of its own.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from weedout_core import Network, SearchConfig
from weedout_core.backend import Origin
from weedout_numpy.initial import draw_parameters, he_normal
from weedout_numpy.masks import draw_masks, erk, mask_plan, smart_ratio
from weedout_numpy.randomness import MASKS, WEIGHTS, Key, fold_in
from weedout_numpy.shapes import mask_space


class Parent(NamedTuple):
    """The weight initialised fully connected network 𝔑: its layers, and its weights, {name: float64 array}."""

    net: Network
    params: Mapping[str, np.ndarray]


class Candidate(NamedTuple):
    """A sparse sub-network nⁱ, before line 12.

    Attributes:
        origin: the generation in which it was drawn, and its index i there.
        mask: True at the nodes it keeps, for each masked layer a bool array, under the name of the mask.
        params: its initial weights, {name: float64 array}.
        fitness: on the batch that it was measured on last; NaN (not a number) as long as it has not been measured.
        learnt: the weights with which it was measured. They are the initial ones, but for limited training.
    """

    origin: Origin
    mask: Mapping[str, np.ndarray]
    params: Mapping[str, np.ndarray]
    fitness: float = math.nan
    learnt: Mapping[str, np.ndarray] = MappingProxyType({})


def initialised(net: Network, root: Key) -> Parent:
    """The parent: the weights of all layers are drawn as He et al. draw them (section 3)."""
    return Parent(net, draw_parameters(fold_in(root, WEIGHTS), he_normal(net)))


def random_sub_network(
    parent: Parent, sparsity: float | Mapping[str, float], config: SearchConfig, root: Key, origin: Origin
) -> Candidate:
    """Draw a candidate (line 2): which nodes it keeps and, in the reading of section 3, its own initial weights."""
    of_network = {"erk": erk, "smart_ratio": smart_ratio}.get(str(config.allocation))
    allocation = config.allocation if of_network is None else of_network(parent.net)
    plan = mask_plan(mask_space(parent.net), sparsity, config.sampling, allocation)
    mask = draw_masks(candidate_key(root, MASKS, origin), plan)
    if config.weights == "shared":
        return Candidate(origin, mask, parent.params)
    return Candidate(origin, mask, draw_parameters(candidate_key(root, WEIGHTS, origin), he_normal(parent.net)))


def candidate_key(root: Key, purpose: int, origin: Origin) -> Key:
    """The key that a candidate's random numbers are drawn from: the path seed / purpose / generation / index."""
    return fold_in(fold_in(fold_in(root, purpose), origin.generation), origin.candidate)
