"""Modules that compute in unusual ways: adopted and right, or refused in one sentence, and never wrong in silence."""

import random
import threading
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError, ConfigError

torch = imported("torch", "torch")
nn, F = torch.nn, torch.nn.functional

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(48, 8)).astype(np.float32), np.arange(48) % 3
GIVEN: Any = {"backend": "torch", "key": wc.key(0)}


def layer_of(net: wc.Network) -> Any:
    return net.layers[0]


class Net(nn.Module):
    """Three weight layers, of which others differ in how they are called."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


class Auxiliary(Net):
    """Calls one activation more in training, between two of its name."""

    def forward(self, x: Any) -> Any:
        h = F.relu(self.a(x))
        if self.training:
            F.relu(h * 0.5)
        return self.c(F.relu(self.b(h)))


class Parts(Net):
    def forward(self, x: Any) -> Any:
        return torch.cat([super(Parts, self).forward(part) for part in x.split(32)])


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Any) -> Any:
        ctx.save_for_backward(given)
        return given * torch.sigmoid(given)

    @staticmethod
    def backward(ctx: Any, *of: Any) -> Any:
        (given,) = ctx.saved_tensors
        sigmoid = torch.sigmoid(given)
        return of[0] * sigmoid * (1 + given * (1 - sigmoid))


class OwnGradient(Net):
    def forward(self, x: Any) -> Any:
        return self.c(Swish.apply(self.b(F.relu(self.a(x)))))


class Counting(Net):
    """Keeps a number in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Any) -> Any:
        self.steps += self.training
        return super().forward(x) * (1 + 0.01 * self.steps)


class Closed(Net):
    """Keeps a function of itself, which is no method."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = lambda x: F.relu(self.a(x))

    def forward(self, x: Any) -> Any:
        return self.c(F.relu(self.b(self.hidden(x))))


class Skipping(Net):
    """Leaves a layer out at random, with the activation after it."""

    def forward(self, x: Any) -> Any:
        h = F.relu(self.a(x))
        if not self.training or torch.rand(()) > 0.5:
            h = h + F.relu(self.b(h))
        return self.c(h)


class Times(nn.Module):
    """Time comes first, and is as long as there are examples in a trial."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        return self.c(F.relu(self.a(x.transpose(0, 1)))).mean(0)


def counted(module: Any, at: int) -> Any:
    """A module that fails at a call of its copies."""
    calls: list[int] = []

    def count(*_: Any) -> None:
        calls.append(1)
        if len(calls) >= at:
            raise ValueError("full")

    module.register_forward_pre_hook(count)
    return module


def old_weight_norm() -> Any:
    with pytest.warns(FutureWarning):
        module = nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 4)), nn.ReLU(), nn.Linear(4, 3))
    module(torch.zeros(1, 8))
    return module


@pytest.mark.parametrize(
    ("make", "shape", "said"),
    [
        (Auxiliary, (8,), "Auxiliary must call .* 'relu' was called 2 times then, and 3 times for 3 examples now"),
        (OwnGradient, (8,), "'sigmoid' of OwnGradient is within a torch.autograd.Function"),
        (Counting, (8,), "gives other logits in training when it was called before, .* buffers: steps. Make them"),
        (Closed, (8,), "'a.weight' is read by a function that a copy of the module keeps"),
        (old_weight_norm, (8,), "cannot be copied by copy.deepcopy: Only Tensors created explicitly"),
        (lambda: nn.DataParallel(Net()), (8,), "Adopt that one, its .module"),
        *[(lambda at=at: counted(Net(), at), (8,), "with ValueError: full") for at in (1, 3, 5, 7, 9, 12)],
    ],
)  # fmt: skip
def test_what_would_be_wrong_is_refused(make: Any, shape: Any, said: str) -> None:
    module = make()
    with pytest.raises(BackendError, match=said):
        wc.adopt(module, shape, backend="torch")
    assert all(one.grad is None for one in module.parameters())


def test_time_that_is_as_long_as_a_trial_has_examples_is_no_axis_of_examples() -> None:
    said = r"'relu' has the shape \(3, 3, 6\) for 3 examples and \(3, 5, 6\) for 5. Let the model"
    with pytest.raises(ConfigError, match=said):
        wc.adopt(Times(), (3, 8), backend="torch")


def test_other_calls_than_adopted_are_refused_when_they_come() -> None:
    torch.manual_seed(0)
    network = wc.draw_control(wc.adopt(Parts(), (8,), backend="torch"), sparsity=0.5, **GIVEN).network
    said = "Parts must call .* 'relu' was called 2 times then, and 4 times for 48 examples now"
    with pytest.raises(BackendError, match=said):
        wc.evaluate(network, (X, Y), backend="torch")
    with pytest.raises(BackendError, match=said):
        network.rebuild()(torch.from_numpy(X))


def skipped() -> None:
    net = wc.adopt(Skipping(), (8,), backend="torch")
    wc.train(wc.draw_control(net, sparsity=0.5, **GIVEN).network, (X, Y), **GIVEN)


def test_layers_that_are_left_out_at_random_are_refused() -> None:
    with pytest.raises(BackendError, match=r"Skipping must call .* 'relu' was called"):
        skipped()


class Moving(Net):
    """A mean that is assigned, and a maximum that only large inputs move."""

    mean: Any
    largest: Any

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(16))
        self.register_buffer("largest", torch.tensor(10.0))

    def forward(self, x: Any) -> Any:
        h = self.a(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.mean(0)
            self.largest.copy_(torch.maximum(self.largest, x.detach().abs().max()))
        return self.c(F.relu(h - self.mean))


def test_statistics_move_however_they_are_kept() -> None:
    torch.manual_seed(0)
    net = wc.adopt(Moving(), (8,), backend="torch")
    x = 20 * X
    config = wc.TrainConfig(epochs=1, batch_size=48, learning_rate=1e-6)
    after = wc.train(wc.draw_control(net, sparsity=0.5, **GIVEN).network, (x, Y), config=config, **GIVEN).network
    rebuilt = after.rebuild()
    wanted = 0.1 * (torch.from_numpy(x) @ rebuilt.a.weight.T + rebuilt.a.bias).mean(0)
    kept = torch.tensor(dict(after.mask or {})["relu"])  # those of removed nodes end as they were
    torch.testing.assert_close(rebuilt.mean[kept], wanted[kept], rtol=1e-3, atol=1e-3)  # the weights moved by 1e-6
    assert float(rebuilt.largest) == np.abs(x).max()


class Cached(Net):
    """Keeps in evaluation what it has computed of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.p, self.kept, self.seen = nn.Parameter(torch.zeros(8)), None, []

    def forward(self, x: Any) -> Any:
        self.seen.append(x)
        if self.training:
            self.kept = None
            return super().forward(x + torch.tanh(self.p))
        self.kept = torch.tanh(self.p) if self.kept is None else self.kept
        return super().forward(x + self.kept)


def test_nothing_is_remembered_from_call_to_call() -> None:
    torch.manual_seed(0)
    module = Cached()
    net = wc.adopt(module, (8,), backend="torch")
    start = wc.draw_control(net, sparsity=0.5, **GIVEN).network
    other = wc.Subnetwork(net, {**start.params, "p": np.ones(8, np.float32)}, start.mask)
    first = wc.evaluate(start, (X, Y), backend="torch").loss
    second = wc.evaluate(other, (X, Y), backend="torch").loss
    wanted = F.cross_entropy(other.rebuild()(torch.from_numpy(X)), torch.from_numpy(Y))
    assert first != second == pytest.approx(wanted.item(), rel=1e-6)
    assert module.seen == []
    assert module.kept is None


class Drawn(Net):
    """Draws from each generator of the process."""

    def forward(self, x: Any) -> Any:
        h = super().forward(x)
        return h * (random.random() + np.random.random() + float(torch.rand(()))) if self.training else h  # noqa: NPY002


@pytest.mark.usefixtures("unchecked")  # the checks of annotations draw from Python's generator
def test_what_is_drawn_is_of_the_key_and_of_nobody_else() -> None:
    torch.manual_seed(0)
    states = lambda: (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist())  # noqa: E731, NPY002
    module = Drawn()
    before = states()
    net = wc.adopt(module, (8,), backend="torch")
    network = wc.draw_control(net, sparsity=0.5, **GIVEN).network
    config = wc.TrainConfig(epochs=1, batch_size=8)
    one, two = (wc.train(network, (X, Y), config=config, **GIVEN).network for _ in range(2))
    assert one == two
    assert states() == before
    assert layer_of(net).trained_whole
    rare = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(1e-3), nn.Linear(16, 3))
    assert layer_of(wc.adopt(rare, (8,), backend="torch")).trained_whole, "though a step may drop nothing"


@pytest.mark.parametrize("optimizer", [None, lambda weights: torch.optim.AdamW(weights, weight_decay=0.1)])
def test_frozen_weights_stay(optimizer: Any) -> None:
    torch.manual_seed(0)
    module = Net()
    module.a.requires_grad_(False)
    network = wc.draw_control(wc.adopt(module, (8,), backend="torch"), sparsity=0.5, **GIVEN).network
    config = wc.TrainConfig(epochs=2, batch_size=8, weight_decay=0.1, decayed="all")
    config = config if optimizer is None else wc.TrainConfig(epochs=2, batch_size=8)
    after = wc.train(network, (X, Y), config=config, optimizer=optimizer, **GIVEN).network
    for path, value in network.params.items():
        assert np.array_equal(after.params[path], value) == path.startswith("a."), path
    module.requires_grad_(False)
    with pytest.raises(BackendError, match="every parameter of Net is frozen"):
        wc.train(
            wc.draw_control(wc.adopt(module, (8,), backend="torch"), sparsity=0.5, **GIVEN).network, (X, Y), **GIVEN
        )


class Tied(Net):
    def __init__(self) -> None:
        super().__init__()
        self.d = nn.Linear(16, 16)
        self.d.weight = self.b.weight
        self.unused, self.scale = nn.Linear(3, 3), nn.Parameter(torch.tensor(2.0))

    def get_extra_state(self) -> Any:
        return {"version": 1}

    def set_extra_state(self, state: Any) -> None: ...

    def forward(self, x: Any) -> Any:
        return self.c(F.relu(self.d(F.relu(self.b(F.relu(self.a(x)))))) * self.scale)


def test_weights_that_are_one_or_unused_are_right() -> None:
    torch.manual_seed(0)
    module = Tied()
    net = wc.adopt(module, (8,), backend="torch")
    network = wc.draw_control(net, sparsity=0.5, **GIVEN).network
    config = wc.TrainConfig(epochs=1, batch_size=8, weight_decay=0)
    after = wc.train(network, (X, Y), config=config, **GIVEN).network
    rebuilt, x, mask = after.rebuild(), torch.from_numpy(X), dict(network.mask or {})
    assert rebuilt.d.weight is rebuilt.b.weight
    hidden = F.relu(rebuilt.a(x)) * torch.tensor(mask["relu"])
    hidden = F.relu(rebuilt.b(hidden)) * torch.tensor(mask["relu#2"])
    hidden = F.relu(rebuilt.d(hidden)) * torch.tensor(mask["relu#3"])
    torch.testing.assert_close(rebuilt(x), rebuilt.c(hidden * rebuilt.scale), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after.compact().rebuild()(x), rebuilt(x), rtol=1e-4, atol=1e-5)
    assert np.array_equal(after.params["unused.weight"], network.params["unused.weight"])


class Square(nn.Module):
    """As many time steps as channels, which change their places after the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(4, 8, 3, padding=1), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.c(self.b(F.relu(self.a(x).transpose(1, 2))).mean(1))


@pytest.mark.parametrize("time", [8, 10])
def test_channels_are_told_from_other_axes_of_their_length(time: int) -> None:
    torch.manual_seed(0)
    net = wc.adopt(Square(), (4, time), backend="torch", granularity="channel")
    start = wc.draw_control(net, sparsity=0.5, **GIVEN).network
    rebuilt, seen = start.rebuild(), []
    rebuilt.b.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    rebuilt(torch.randn(2, 4, time))
    kept = torch.tensor(dict(start.mask or {})["relu"])
    assert seen[0].any(1).any(0).tolist() == kept.tolist()


class Range(Net):
    """Looks at the zeros of an activation, and at how long it is."""

    def forward(self, x: Any) -> Any:
        h = F.relu(self.a(x))
        low, high = h.amin(1, keepdim=True), h.amax(1, keepdim=True)
        h = F.relu(self.b((h - low) / (high - low + 0.1)))
        return self.c(h * 2 if h.shape[1] > 8 else h)


class Summed(Net):
    """Two sites whose nodes are added, as many of each."""

    def forward(self, x: Any) -> Any:
        h = F.relu(self.a(x))
        return self.c(F.relu(self.b(h) + 0 * h))


class Normalised(nn.Module):
    """A bias before batch normalisation, whose gradient is nothing but roundings."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.c = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.c(F.relu(self.n(self.a(x.view(-1, 1, 2, 4).repeat(1, 1, 3, 1)))).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("make", [Range, Summed, Normalised])
def test_a_smaller_model_computes_the_same_at_every_sparsity(make: Any) -> None:
    for seed in range(2):
        torch.manual_seed(seed)
        net = wc.adopt(make(), (8,), backend="torch", granularity="channel")
        assert not layer_of(net).trained_whole
        for kept in (1, 5, 11):
            mask = {site: RNG.permutation(shape[0]) < kept for site, shape in wc.mask_space(net).items()}
            start = wc.draw_control(net, sparsity=0.5, **GIVEN).network
            network = wc.Subnetwork(net, start.params, mask, start.statistics)
            logits = network.rebuild()(torch.from_numpy(X))
            wanted = F.cross_entropy(logits, torch.from_numpy(Y)).item()
            assert wc.evaluate(network, (X, Y), backend="torch").loss == pytest.approx(wanted, rel=1e-5)
            torch.testing.assert_close(network.compact().rebuild()(torch.from_numpy(X)), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_threads_do_not_meet_in_a_module() -> None:
    torch.manual_seed(0)
    net = wc.adopt(Net(), (8,), backend="torch")
    start = wc.draw_control(net, sparsity=0.5, **GIVEN).network
    masks = [{site: RNG.random(16) < 0.5 for site in ("relu", "relu#2")} for _ in range(4)]
    networks = [wc.Subnetwork(net, start.params, mask) for mask in masks]
    wanted = [wc.evaluate(one, (X, Y), backend="torch").loss for one in networks]
    found: list[list[float]] = [[] for _ in networks]

    def work(i: int) -> None:
        for _ in range(10):
            found[i].append(wc.evaluate(networks[i], (X, Y), backend="torch").loss)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(networks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[one] * 10 for one in wanted]


def test_instances_are_normalised_by_given_statistics() -> None:
    torch.manual_seed(0)
    parts = (
        nn.Conv2d(2, 8, 3),
        nn.InstanceNorm2d(8, track_running_stats=True),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    net = wc.adopt(nn.Sequential(*parts), (2, 6, 6), backend="torch", granularity="channel")
    assert [one.path for one in layer_of(net).statistics] == ["1.running_mean", "1.running_var"]
