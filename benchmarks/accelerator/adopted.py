"""A model of one's own on the device: what it elects, and how it trains, held to the same model on the CPU."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.equal import judge
from benchmarks.accelerator.frameworks import framework
from benchmarks.accelerator.train import AGREEMENT

_WIDTH, _CLASSES = 64, 10


class Model(NamedTuple):
    """A model as its library builds it, and the shape of one input as it takes it."""

    label: str
    model: Any
    input_shape: tuple[int, ...]


def run(asked: Asked) -> None:
    """A search and two epochs, of a model of the part's library."""
    for what, answer, apart, wrong in compare(asked.part, asked.quick):
        asked.say(f"{what}: {answer}")
        values = {asked.part: answer, f"{asked.part}, largest difference": apart}
        asked.notes.row("Held to the same model on the CPU", what, values, wrong=wrong)


def compare(part: str, quick: bool) -> Iterator[tuple[str, str, float, bool]]:
    """What is compared, the answer, by how much it is off, and whether it is wrong."""
    one = {"torch": _module, "jax": _function}[part](*((6, 3) if quick else (16, 16)))
    x = np.random.default_rng(3).normal(size=(64 if quick else 512, *one.input_shape)).astype(np.float32)
    y = np.arange(len(x)) % _CLASSES
    config = wc.SearchConfig(population=3 if quick else 20, generations=3, validation_batch=len(x) // 4)
    training = wc.TrainConfig(epochs=2, batch_size=64, learning_rate=0.02, precision="highest")
    searches, losses = [], []
    for backend in (framework(part).connect(), wc.load_backend(part, "cpu")):
        net = wc.adopt(one.model, one.input_shape, backend=backend, granularity="channel")
        searches.append(wc.search(net, (x, y), sparsity=0.5, backend=backend, key=wc.key(3), config=config))
        trained = wc.train(searches[-1].network, (x, y), config=training, backend=backend, key=wc.key(3))
        losses.append(np.asarray(trained.losses))
    outcome = judge(*searches)
    yield f"{one.label}: search", outcome.answer, outcome.apart, outcome.wrong
    apart = float(np.max(np.abs(losses[0] / losses[1] - 1)))
    wrong = not apart <= AGREEMENT
    yield f"{one.label}: losses of two epochs", "WRONG" if wrong else "equal", apart, wrong


def _module(size: int, channels: int) -> Model:
    import torch
    from torch import nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(channels, channels, 3, padding=1)
            self.norm = nn.BatchNorm2d(channels)
            self.second = nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))

    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = (
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, _WIDTH),
            nn.ReLU(),
            nn.Linear(_WIDTH, _CLASSES),
        )
        model = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), Residual(), *head)
    return Model("nn.Module, residual", model, (3, size, size))


def _function(size: int, channels: int) -> Model:
    import jax

    def conv(x: Any, kernel: Any) -> Any:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def apply(params: Any, x: Any) -> Any:
        x = jax.nn.relu(conv(x, params["stem"]))
        x = jax.nn.relu(x + conv(jax.nn.relu(conv(x, params["first"])), params["second"])).mean((1, 2))
        return jax.nn.relu(x @ params["hidden"]) @ params["logits"]

    rng = np.random.default_rng(3)
    shapes = {
        "stem": (3, 3, 3, channels), "first": (3, 3, channels, channels), "second": (3, 3, channels, channels),
        "hidden": (channels, _WIDTH), "logits": (_WIDTH, _CLASSES),
    }  # fmt: skip
    params = {
        name: (rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
        for name, shape in shapes.items()
    }
    return Model("a function and its weights, residual", (apply, params), (size, size, 3))
