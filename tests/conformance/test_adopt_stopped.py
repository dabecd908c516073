"""A module of PyTorch that stops in the middle: the caller's module, random numbers and settings are as they were."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.callers import torch_settings
from tests.conformance.connected import imported
from weedout_core.errors import BackendError

torch = imported("torch", "torch")
nn = torch.nn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3, 4, 4)).astype(np.float32), np.arange(12) % 3
GIVEN: Any = {"backend": "torch", "key": wc.key(0)}
SEARCH = wc.SearchConfig(population=2, generations=2, validation_batch=12)
TRAIN = wc.TrainConfig(epochs=1, batch_size=4)
#: The settings in which a caller may be.
SETTINGS = [callers[0] for callers in torch_settings("cpu").values()]


class Clock:
    """Counts the calls of a module and of all its copies, and stops one of them."""

    calls, stop, error = 0, 0, KeyboardInterrupt

    @classmethod
    def start(cls, stop: int = 0, error: type[BaseException] = KeyboardInterrupt) -> None:
        cls.calls, cls.stop, cls.error = 0, stop, error

    @classmethod
    def tick(cls) -> None:
        cls.calls += 1
        if cls.calls == cls.stop:
            raise cls.error("stopped")


class Part(nn.Module):
    """The calls are counted in a part, so that the module around it is in the middle of its own."""

    def forward(self, x: Any) -> Any:
        Clock.tick()
        return torch.relu(x)


class Stopping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.part = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Part()
        self.drop, self.hidden, self.last = nn.Dropout(0.3), nn.Linear(4, 5), nn.LayerNorm(5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        h = self.drop(self.part(self.norm(self.stem(x))).mean((2, 3)))
        return self.head(self.last(torch.tanh(self.hidden(h))))


def made() -> Any:
    """A module that has a hook, a weight that is not trained, and a part in evaluation mode."""
    torch.manual_seed(0)
    module = Stopping()
    module.hidden.weight.requires_grad_(False)
    module.norm.eval()
    module.head.register_forward_hook(_nothing)
    return module


def _nothing(*_: Any) -> None:
    return None


def state(module: Any) -> list[Any]:
    """All that a caller could see: arrays, whether they are trained, modes and hooks of a module."""
    arrays = [*module.named_parameters(), *module.named_buffers()]
    hooks = [name for name in vars(module) if name.endswith("_hooks")]
    return [
        [(path, id(one), one.requires_grad, one.grad, one.detach().clone().numpy().tobytes()) for path, one in arrays],
        [(path, part.training, sorted(vars(part))) for path, part in module.named_modules()],
        [[list(getattr(part, name)) for name in hooks] for part in module.modules()],
    ]


def process() -> list[Any]:
    """What PyTorch draws from, and all of its settings."""
    return [torch.get_rng_state().tolist(), torch.get_num_threads(), *(caller.read() for caller in SETTINGS)]


def adopt(module: Any) -> Any:
    return wc.adopt(module, (3, 4, 4), backend="torch")


def search(net: Any) -> Any:
    return wc.search(net, (X, Y), sparsity=0.4, config=SEARCH, **GIVEN)


def train(network: Any) -> Any:
    return wc.train(network, (X, Y), config=TRAIN, **GIVEN)


def evaluate(network: Any) -> Any:
    return wc.evaluate(network, (X, Y), backend="torch")


def use(rebuilt: Any) -> Any:
    with torch.no_grad():
        return rebuilt(torch.from_numpy(X)).tolist()


def network_of(module: Any) -> Any:
    return wc.draw_control(adopt(module), sparsity=0.4, config=SEARCH, **GIVEN).network


#: The calls, and of what, which is made of a module.
CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "adopt": (adopt, lambda module: module),
    "search": (search, adopt),
    "train": (train, network_of),
    "evaluate": (evaluate, network_of),
    "rebuilt": (use, lambda module: network_of(module).rebuild()),
}


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", CALLS)
def test_wherever_it_stops_all_is_as_it_was(name: str, error: type[BaseException]) -> None:
    call, of = CALLS[name]
    module = made()
    Clock.start()
    given = of(module)
    Clock.start()
    wanted, calls = call(given), Clock.calls
    seen = [module, given] if name == "rebuilt" else [module]
    for stop in sorted({1, (calls + 1) // 2, calls}):
        with ExitStack() as stack:
            for setting in SETTINGS:
                stack.enter_context(setting.set())
            before = [state(one) for one in seen], process()
            Clock.start(stop, error)
            # What tries whether there is a smaller module takes an error as a no.
            may = suppress(BackendError, RuntimeError) if (name, error) == ("adopt", RuntimeError) else None
            ours = BackendError if error is RuntimeError and name != "rebuilt" else error  # it says what a model raises
            with may or pytest.raises(ours):
                call(given)
            assert Clock.calls >= stop
            assert ([state(one) for one in seen], process()) == before
    Clock.start()
    assert call(given) == wanted, "the next call is not touched"
