"""A step of training: dense, masked, compacted, against PyTorch eager and compiled, and both limits."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.clock import measure
from benchmarks.accelerator.frameworks import Framework, exact, framework
from benchmarks.accelerator.limits import Limits, limits, training_step
from benchmarks.accelerator.models import SPARSITY, mlp, weights, wide_resnet
from benchmarks.accelerator.peers import within
from benchmarks.accelerator.search import say_limits
from benchmarks.ours import our_epoch
from benchmarks.work import BATCH, Work, work

#: Float32 gradients in other orders, over a few steps: what a loss may be off by, of itself.
AGREEMENT = 1e-3


class Trained(NamedTuple):
    """A training that is measured.

    Attributes:
        label: the network.
        net: the network.
        steps, batch: of an epoch.
        compute: what weight layers multiply in.
        kinds: which of dense, masked and compacted.
        compiled: whether ``torch.compile`` is measured too.
    """

    label: str
    net: wc.Network
    steps: int
    batch: int
    compute: Literal["float32", "bfloat16"]
    kinds: tuple[str, ...]
    compiled: bool

    @property
    def title(self) -> str:
        return f"{self.label}, batch {self.batch:,}, {self.compute}"


def trainings(quick: bool) -> list[Trained]:
    """Few programs, for each is compiled; the largest last."""
    every, few = ("dense", "masked", "compacted"), ("compacted",) if quick else ("compacted", "dense")
    small, large = (wide_resnet(depth, width, "channel", quick) for depth, width in ((16, 4), (28, 10)))
    big = 8 if quick else 1024
    return [
        Trained("MLP 784-1024-1024-10", mlp(quick), 3 if quick else 20, BATCH, "float32", every, True),
        Trained(
            "WRN-16-4, channel masks",
            small,
            2 if quick else 8,
            8 if quick else BATCH,
            "float32",
            few if quick else every,
            not quick,
        ),
        Trained("WRN-28-10, channel masks", large, 2, big, "bfloat16", few, not quick),
    ]


def run(asked: Asked) -> None:
    """Ours of the framework; in PyTorch's process also what a user of it writes."""
    one = framework(asked.part)
    fastest = limits(one, asked.quick)
    say_limits(asked, fastest)
    for case in trainings(asked.quick):
        task = work(case.net, case.steps, case.batch, case.compute, weights(one, case.net))
        wanted = _wanted(case, task)
        for name, kind, make in _runners(one, case, task):
            columns = partial(_columns, case, kind, make, wanted.get(kind), fastest, asked.quick)
            asked.attempt(case.title, name, columns)


Make = Callable[[], Callable[[], np.ndarray]]


def _runners(one: Framework, case: Trained, task: Work) -> Iterator[tuple[str, str, Make]]:
    """Name, kind, and what makes the epoch that is timed."""
    backend = one.connect()
    for kind in case.kinds:
        sparsity = None if kind == "dense" else SPARSITY
        at = "" if kind == "dense" else f" at {SPARSITY}"
        yield f"weedout {one.name}, {kind}{at}", kind, partial(our_epoch, backend, task, sparsity, kind == "compacted")
    if one.name == "torch":
        from benchmarks.eager import eager
        from benchmarks.networks_torch import layouts

        *_, fastest = found = list(layouts(task.x).items())
        # What is compiled takes minutes of the little time there is: in the faster layout alone.
        for name, compiled, some in (
            ("PyTorch eager", False, found),
            ("torch.compile", True, [fastest][: case.compiled]),
        ):
            for added, layout in some:
                make = partial(eager, task, layout, compiled=compiled)
                yield f"{name}, dense{added}", "dense", lambda make=make: within(exact, make())


def _wanted(case: Trained, task: Work) -> dict[str, np.ndarray]:
    """The losses of an epoch on the CPU, by kind: a plain PyTorch loop's, and, under masks, our torch backend's.

    In bfloat16 with batches of 1,024 a CPU takes minutes: the table shows the losses beside each other.
    """
    if case.compute != "float32":
        return {}
    import torch

    from benchmarks.eager import eager

    losses = eager(task, torch.contiguous_format, torch.device("cpu"))()
    cpu = wc.load_backend("torch", "cpu")
    sparse = our_epoch(cpu, task, SPARSITY, compacted=True)()
    return {"dense": losses, "masked": sparse, "compacted": sparse}


def _columns(
    case: Trained, kind: str, make: Make, wanted: np.ndarray | None, fastest: Limits, quick: bool
) -> dict[str, float]:
    first: list[float] = []

    def check(losses: np.ndarray) -> None:
        assert np.isfinite(losses).all(), f"losses that are not finite: {losses}"
        first.append(float(losses[0]))
        if wanted is not None:
            off = float(np.max(np.abs(losses / wanted - 1)))
            assert off <= AGREEMENT, f"a loss is off the CPU's by {off:.2g} of itself"

    taken = measure(make(), check, quick)
    net = case.net
    if kind == "compacted":
        net = wc.compact(net, wc.mask_plan(wc.mask_space(net), SPARSITY).counts).net
    work = training_step(net, case.batch)
    precision = "highest" if case.compute == "float32" else "bfloat16"
    return taken.columns(case.steps) | fastest.columns(work, precision, 1) | {"first loss": first[0]}
