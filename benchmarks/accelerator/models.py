"""The networks of the steps, and what each is scored and trained with; tiny ones, to see that everything runs."""

from typing import Literal, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks.accelerator.frameworks import Framework
from benchmarks.task import Task, search_task

SPARSITY = 0.8


class Scored(NamedTuple):
    """A population that is scored.

    Attributes:
        label: the network and its masks.
        net: the network.
        candidates, batch: how many are scored on how many examples.
        everybody: whether every engine, precision and peer scores it, or our choice alone.
        computed: what its candidates compute, by which engines are chosen.
    """

    label: str
    net: wc.Network
    candidates: int
    batch: int
    everybody: bool
    computed: wc.backend.Products

    @property
    def plan(self) -> wc.backend.MaskPlan:
        return wc.mask_plan(wc.mask_space(self.net), SPARSITY)

    @property
    def title(self) -> str:
        return f"{self.label}, {self.candidates} candidates, batch {self.batch:,}, η = {SPARSITY}"

    def task(self, one: Framework) -> Task:
        """What is scored, with weights that the framework's backend draws."""
        return search_task(self.net, SPARSITY, self.candidates, self.batch, weights(one, self.net))


def scored(quick: bool) -> list[Scored]:
    """An MLP, and Wide ResNets with masks of channels and of nodes; in small of channels alone."""
    cases = [_scored("MLP 784-1024-1024-10", mlp(quick), *((4, 32) if quick else (100, 1024)), True)]
    for depth, width, size, everybody in ((16, 4, 16, True), (28, 10, 4, False)):
        for granularity in ("channel",) if quick else ("channel", "node"):
            net = wide_resnet(depth, width, granularity, quick)
            label = f"WRN-{depth}-{width}, {granularity} masks"
            cases.append(_scored(label, net, *((2, 8) if quick else (size, 256)), everybody))
    return cases


def _scored(label: str, net: wc.Network, candidates: int, batch: int, everybody: bool) -> Scored:
    kept = wc.mask_plan(wc.mask_space(net), SPARSITY).counts
    computed = wc.backend.products(wc.compact(wc.backend.split_at_first_mask(net)[1], kept), own_weights=False)
    return Scored(label, net, candidates, batch, everybody, computed)


def weights(one: Framework, net: wc.Network) -> dict[str, np.ndarray]:
    """The parent's initial weights, drawn on the device: the reference takes long for the large ones."""
    device = one.connect()
    return {path: device.to_numpy(value) for path, value in device.initialise(net, wc.key(0)).items()}


def mlp(quick: bool) -> wc.Network:
    """784-1024-1024-10."""
    return wc.mlp(16, (32, 32), 10) if quick else wc.mlp(784, (1024, 1024), 10)


def wide_resnet(depth: int, width: int, granularity: str, quick: bool) -> wc.Network:
    """WRN-depth-width for CIFAR; in small a WRN-10-1 on images of 8 × 8."""
    masks: Literal["node", "channel"] = "node" if granularity == "node" else "channel"
    if quick:
        return wc.wide_resnet(10, 1, 10, (8, 8, 3), granularity=masks)
    return wc.wide_resnet(depth, width, 10, granularity=masks)


def batch_of(net: wc.Network, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal inputs and random labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(examples, *net.input_shape)).astype(np.float32), rng.integers(0, net.classes, examples)
