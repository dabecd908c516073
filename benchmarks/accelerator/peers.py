"""Who scores a population: ours by each engine, what others would write, and on the CPU the truth."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks import peers_torch
from benchmarks.accelerator.frameworks import Framework, exact, faster
from benchmarks.ours import our_search
from benchmarks.task import Task

LOOP = "PyTorch loop"


class Runner(NamedTuple):
    """One who scores a population.

    Attributes:
        name: in the table.
        make: what is timed, made of the task.
    """

    name: str
    make: Callable[[Task], Callable[[], np.ndarray]]


def ours(one: Framework, engine: str, precision: str) -> Runner:
    """Our backend with an engine."""

    def make(task: Task) -> Callable[[], np.ndarray]:
        run = our_search(one.connect(engine), task, "highest" if precision == "highest" else "default").run
        return run if precision == "highest" else within(one.faster, run)

    return Runner(f"weedout {one.name}, {engine}, {precision}", make)


def others(one: Framework, net: wc.Network, precision: str, quick: bool) -> Iterator[Runner]:
    """What a user of the framework would write: loops, a ``vmap`` of masks, compiled.

    What is compiled takes minutes of the little time there is: in full precision, and for images in the faster layout.
    """
    if one.name == "jax":
        from benchmarks import peers_jax  # here: PyTorch's process does without JAX

        yield Runner(f"JAX vmap of masks, {precision}", lambda task: peers_jax.vmap(task, precision).run)
        return
    setting = exact if precision == "highest" else faster
    layouts = ("", ", channels_last") if len(net.input_shape) == 3 else ("",)
    makers: list[tuple[str, peers_torch.Make, tuple[str, ...]]] = [
        (LOOP, peers_torch.loop, layouts),
        ("torch.func.vmap", peers_torch.vmap, layouts),
    ]
    if precision == "highest" and not (quick and len(layouts) > 1):
        makers.append(("torch.compile of the loop", peers_torch.compiled, layouts[-1:]))
    for name, maker, some in makers:
        for added in some:

            def make(task: Task, maker: Any = maker, added: str = added) -> Callable[[], np.ndarray]:
                return within(setting, peers_torch.in_each_layout(maker)(task)[added].run)

            yield Runner(f"{name}{added}, {precision}", make)


def within(setting: Callable[[], AbstractContextManager[Any]], run: Callable[[], np.ndarray]) -> Callable[[], Any]:
    """A call under a setting of the framework's."""

    def held() -> Any:
        with setting():
            return run()

    return held


def truth(task: Task) -> np.ndarray:
    """The fitness of the task's candidates by a plain PyTorch loop on the CPU: nothing of ours, no accelerator."""
    import torch

    (loop, *_) = peers_torch.in_each_layout(peers_torch.loop, torch.device("cpu"))(task).values()
    return loop.run()


def agreement(precision: str, net: wc.Network) -> float:
    """By how much a fitness may differ, nats.

    In float32 sums in other orders, 1e-4. In TF32, the fastest that a device does with float32 operands, each operand
    is rounded to 11 bits, so a product is off by 2^-11 of itself at most, and each weight layer adds its own.
    """
    layers = sum(isinstance(layer, wc.nn.Dense | wc.nn.Conv) for layer in wc.nn.every_layer(net.layers))
    return 1e-4 if precision == "highest" else layers * 2**-11
