"""A user's own PyTorch optimizers: each sees a network's weights as it would alone, and loses nothing in silence."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected, imported

torch = imported("torch", "torch")

NETS = {"dense": wc.mlp(8, (32, 16), 4), "images": wc.vgg(2, 4, (4, 4, 3))}
CONFIG = wc.TrainConfig(epochs=2, batch_size=8)
REFUSED = {"LBFGS", "SparseAdam"}
KINDS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
}
SWITCHES: tuple[dict[str, Any], ...] = (
    {}, {"foreach": True}, {"fused": True}, {"capturable": True}, {"differentiable": True},
    {"maximize": True}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"amsgrad": True}, {"lr": torch.tensor(0.01)},
)  # fmt: skip
LAYOUTS = SWITCHES[:3]
CASES = [
    pytest.param(name, switches, net, id=f"{name} {' '.join(switches)} {kind}")
    for name in sorted({*KINDS} - REFUSED)
    for switches in SWITCHES
    for kind, net in NETS.items()
    if {*switches} <= {*inspect.signature(KINDS[name]).parameters} and (kind == "dense" or switches in LAYOUTS)
]
Factory = Callable[[list[Any]], Any]


def networks(net: wc.Network, count: int) -> list[wc.Subnetwork]:
    backend = connected("torch")
    return [
        wc.Subnetwork(
            net,
            {path: backend.to_numpy(value) for path, value in backend.initialise(net, key).items()},
            statistics=wc.nn.initial_statistics(net) or None,
        )
        for key in wc.random.split(wc.key(1), count)
    ]


def examples(net: wc.Network) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((16, *net.input_shape)).astype(np.float32), rng.integers(0, 4, 16)


def trained(
    optimizer: Any, net: wc.Network = NETS["dense"], count: int = 1, config: wc.TrainConfig = CONFIG, **more: Any
) -> Any:
    keys = list(wc.random.split(wc.key(0), count))
    return wc.train_together(
        networks(net, count), examples(net), backend=connected("torch"), keys=keys, config=config, optimizer=optimizer,
        **more,
    )  # fmt: skip


def made(name: str, switches: dict[str, Any]) -> Factory:
    matrices = name == "Muon"  # takes nothing else
    kind: Any = KINDS[name]
    return lambda weights: kind([one for one in weights if one.ndim == 2] if matrices else weights, **switches)


def recording(factory: Factory, seen: list[tuple[Any, list[Any]]]) -> Factory:
    """An optimizer that notes, at each step, whose weights have which gradients."""

    def hook(weights: list[Any], *_: Any) -> None:
        seen.append((weights[0], [weight.grad.clone() for weight in weights]))

    def recorded(weights: list[Any]) -> Any:
        optimizer = factory(weights)
        optimizer.register_step_pre_hook(functools.partial(hook, weights))
        return optimizer

    return recorded


@pytest.mark.parametrize(("name", "switches", "net"), CASES)
@pytest.mark.filterwarnings("ignore:lr as a Tensor")
@pytest.mark.slow
def test_each_network_learns_as_plain_parameters_do(name: str, switches: dict[str, Any], net: wc.Network) -> None:
    factory = made(name, switches)
    seen: list[tuple[Any, list[Any]]] = []
    mine = networks(net, 2)
    plain = [
        {path: torch.nn.Parameter(torch.from_numpy(one.params[path].copy())) for path in wc.nn.parameter_shapes(net)}
        for one in mine
    ]
    try:
        theirs = [factory(list(weights.values())) for weights in plain]
        spare = factory([torch.nn.Parameter(torch.ones(2, 2))])
        spare.param_groups[0]["params"][0].grad = torch.ones(2, 2)
        spare.step()
    except Exception:
        with pytest.raises(wc.errors.BackendError):
            trained(factory, net, 2)
        return
    ours = trained(recording(factory, seen), net, 2)
    assert len(seen) == 2 * 2 * 2, "networks, epochs and steps"
    for epoch in range(2):
        for r in range(2):
            for step in range(2):
                gradients = seen[4 * epoch + 2 * r + step][1]
                for weight, gradient in zip(plain[r].values(), gradients, strict=True):
                    assert weight.shape == gradient.shape, "no leading axis"
                    weight.grad = gradient.contiguous()
                theirs[r].step()
    for r in range(2):
        for path, weight in plain[r].items():
            np.testing.assert_array_equal(ours[r].network.params[path], weight.detach().numpy(), err_msg=path)
            if weight.ndim == 2:
                assert not np.array_equal(mine[r].params[path], weight.detach().numpy()), "nothing was learnt"


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@pytest.mark.parametrize("name", sorted({*KINDS} - REFUSED))
def test_together_is_alone(name: str, net: wc.Network) -> None:
    def clipped(weights: list[Any]) -> Any:
        """With the norm of all gradients together."""
        optimizer = made(name, {})(weights)
        optimizer.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(weights, 0.5) and None)
        return optimizer

    together = trained(clipped, net, 2)
    for r, (one, key) in enumerate(zip(networks(net, 2), wc.random.split(wc.key(0), 2), strict=True)):
        alone = wc.train(one, examples(net), backend=connected("torch"), key=key, config=CONFIG, optimizer=clipped)
        for path, value in alone.network.params.items():
            np.testing.assert_array_equal(together[r].network.params[path], value, err_msg=f"{path} of network {r}")


def test_weights_come_as_parameters_in_the_networks_order() -> None:
    net, backend = NETS["dense"], connected("torch")
    shapes: list[list[tuple[int, ...]]] = []

    def factory(weights: list[Any]) -> Any:
        assert all(isinstance(one, torch.nn.Parameter) and one.is_contiguous() for one in weights)
        shapes.append([tuple(one.shape) for one in weights])
        return torch.optim.SGD([one for one in weights if one.requires_grad])

    plan = wc.backend.train_plan(CONFIG, 16, factory)
    params = {path: value[None] for path, value in reversed([*backend.initialise(net, wc.key(0)).items()])}
    state = backend.train_init(net, plan, wc.key(0)[None], params, {})
    x, y = (backend.asarray(part) for part in examples(net))
    batches = wc.backend.epoch_batches([wc.key(0)], 0, plan)
    state, _ = backend.train_epoch(net, plan, state, None, x, y, batches)
    again, _ = backend.train_epoch(net, plan, state._replace(epoch=0), None, x, y, batches)
    twice, _ = backend.train_epoch(net, plan, state._replace(epoch=0), None, x, y, batches)
    for path, value in again.params.items():
        assert torch.equal(value, twice.params[path]), "an epoch is a function of its state"
    assert len(shapes) == 1 + 2 * 3
    assert all(one == list(wc.nn.parameter_shapes(net).values()) for one in shapes)


ELSEWHERE = torch.nn.Parameter(torch.zeros(3))


def clamped(weights: list[Any]) -> Any:
    for weight in weights:
        weight.register_hook(lambda gradient: gradient.clamp(-0.001, 0.001))
    return torch.optim.SGD(weights)


def noting(weights: list[Any]) -> Any:
    weights[0].register_post_accumulate_grad_hook(lambda weight: None)
    return torch.optim.SGD(weights)


def scheduler(weights: list[Any]) -> Any:
    return torch.optim.lr_scheduler.StepLR(torch.optim.SGD(weights), 1)


def reset(weights: list[Any]) -> Any:
    for weight in weights:
        weight.data.zero_()
    return torch.optim.SGD(weights)


class Mute:
    def __repr__(self) -> str:
        raise RecursionError


BEFORE: dict[str, tuple[Any, str]] = {
    "not a function": (
        torch.optim.SGD([ELSEWHERE]),
        "a function of the weights gives, such as lambda weights: .* got SGD",
    ),
    "nothing": (lambda weights: None, "the function given gives None"),
    "scheduler": (scheduler, "the function given gives <torch.optim.lr_scheduler.StepLR"),
    "of other weights": (lambda weights: torch.optim.SGD([ELSEWHERE]), "the SGD that the function gives is over other"),
    "of copies": (lambda weights: torch.optim.SGD([one.clone().detach() for one in weights]), "is over other tensors"),
    "of some others": (lambda weights: torch.optim.SGD([*weights, ELSEWHERE]), "is over other tensors"),
    "fails": (lambda weights: torch.optim.SGD(weights, lr=-1), "the function given fails: Invalid learning rate: -1"),
    "no argument": (lambda: None, "the function given fails: .* takes 0 positional arguments but 1 was given"),
    "LBFGS": (torch.optim.LBFGS, "the step of LBFGS needs closure"),
    "SparseAdam": (torch.optim.SparseAdam, "SparseAdam takes only sparse gradients"),
    "Muon": (torch.optim.Muon, "the function given fails: Muon only supports 2D parameters"),
    "differentiable": (lambda weights: torch.optim.Adam(weights, differentiable=True), "=True has no use"),
    "hooks of weights": (clamped, "hooks of a weight are not called here"),
    "hooks of gradients": (noting, "hooks of a weight are not called here"),
    "resets": (reset, "leaves the weights it is handed as they are"),
    "no text": (Mute(), "got Mute, which has no text"),
    "makes what has no text": (lambda _: Mute(), "the function given gives Mute, which has no text"),
}


@pytest.mark.parametrize(("optimizer", "text"), BEFORE.values(), ids=BEFORE)
def test_what_cannot_train_is_refused_before_any_work(optimizer: Any, text: str) -> None:
    net, backend = NETS["dense"], connected("torch")
    plan = wc.backend.train_plan(CONFIG, 16, optimizer)
    params = {path: value[None] for path, value in backend.initialise(net, wc.key(0)).items()}
    with pytest.raises(wc.errors.BackendError, match=text):
        backend.train_init(net, plan, wc.key(0)[None], params, {})


class Counting(torch.optim.SGD):
    """Counts its steps where no state_dict looks."""

    def __init__(self, weights: Any) -> None:
        super().__init__(weights, lr=0.1)
        self.count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        return super().step(closure)


class Anchored(torch.optim.SGD):
    """Remembers where it began."""

    def __init__(self, weights: Any) -> None:
        super().__init__(weights, lr=0.1)
        self._slow = [one.detach().clone() for one in weights]


class Hung(torch.optim.SGD):
    """Keeps what it remembers on the weights."""

    def step(self, closure: Any = None) -> Any:
        for weight in self.param_groups[0]["params"]:
            weight.average = weight.detach().clone()
        return super().step(closure)


class Typed(torch.optim.Optimizer):
    """Has a momentum of 64 bits in its state, and integers, which load_state_dict makes float32."""

    def __init__(self, weights: Any) -> None:
        super().__init__(weights, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for weight in self.param_groups[0]["params"]:
            state = self.state[weight]
            momentum = state.setdefault("momentum", torch.zeros_like(weight, dtype=torch.float64))
            steps = state.setdefault("steps", torch.zeros((), dtype=torch.int64))
            assert (momentum.dtype, steps.dtype) == (torch.float64, torch.int64)
            momentum.mul_(0.9).add_(weight.grad)
            weight.sub_((0.1 * momentum).float() / (1 + steps))
            steps += 1


def scheduled(weights: list[Any]) -> Any:
    optimizer = torch.optim.SGD(weights, lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    return optimizer


def counted_by_a_hook(weights: list[Any]) -> Any:
    optimizer, steps = torch.optim.SGD(weights, lr=0.1), 0

    def hook(*_: Any) -> None:
        nonlocal steps
        steps += 1

    optimizer.register_step_post_hook(hook)
    return optimizer


def generated(weights: list[Any]) -> Any:
    optimizer, rates = torch.optim.SGD(weights, lr=0.1), (0.5**step for step in range(9))
    optimizer.register_step_pre_hook(lambda one, *_: one.param_groups[0].update(lr=next(rates)))
    return optimizer


def classed(weights: list[Any]) -> Any:
    """Of a class of its own, whose method counts in the function's variable."""
    steps = 0

    class Own(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            nonlocal steps
            steps += 1
            return super().step(closure)

    return Own(weights, lr=0.1)


def attributed(weights: list[Any]) -> Any:
    """Of a class of its own, which counts."""

    class Own(torch.optim.SGD):
        steps = 0

        def step(self, closure: Any = None) -> Any:
            type(self).steps += 1
            return super().step(closure)

    return Own(weights, lr=0.1)


class Aliased(torch.optim.SGD):
    """Remembers the weights themselves."""

    def step(self, closure: Any = None) -> Any:
        for weight in self.param_groups[0]["params"]:
            self.state[weight]["slow"] = weight.detach()[:1]
        return super().step(closure)


class Halving(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        for weight in self.param_groups[0]["params"]:
            weight.data = weight.data.half()


class Shrinking(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        for weight in self.param_groups[0]["params"]:
            weight.data = weight.data[:1]


def stale(weights: list[Any]) -> Any:
    """A hook that changes options which the optimizer has no more."""
    optimizer = torch.optim.SGD(weights, lr=0.1)
    (group,) = optimizer.param_groups
    optimizer.register_step_pre_hook(lambda *_: group.update(lr=group["lr"] / 2))
    return optimizer


def unfreezing(weights: list[Any]) -> Any:
    optimizer = torch.optim.SGD(weights[:2], lr=0.1)
    rest = iter(weights[2:])
    optimizer.register_step_post_hook(lambda one, *_: one.add_param_group({"params": [next(rest)]}))
    return optimizer


LOST: dict[str, tuple[Any, str]] = {
    "counter": (Counting, r"Counting keeps something in count that is not in its state_dict\(\)"),
    "slow weights": (Anchored, "Anchored keeps something in _slow"),
    "on the weights": (Hung, "Hung keeps something in weight 0, weight 1"),
    "scheduler": (scheduled, "SGD keeps something in .*_optimizer_step_post_hooks"),
    "closure": (counted_by_a_hook, "keeps something in _optimizer_step_post_hooks"),
    "generator": (generated, "keeps something in _optimizer_step_pre_hooks"),
    "a method's variable": (classed, "Own keeps something in class Own that"),
    "a class's attribute": (attributed, "Own keeps something in class Own that"),
    "the weights' memory": (Aliased, "Aliased keeps a weight's own memory in its state"),
    "types of weights": (Halving, r"Halving changes dense_0/kernel to torch.float16 \(8, 32\)"),
    "shapes of weights": (Shrinking, r"Shrinking changes dense_0/kernel to torch.float32 \(1, 32\)"),
    "stale options": (stale, "keeps something in _optimizer_step_pre_hooks"),
    "groups": (unfreezing, r"a new SGD cannot take the state_dict\(\) of the one before it"),
}


@pytest.mark.parametrize(("optimizer", "text"), LOST.values(), ids=LOST)
@pytest.mark.parametrize("epochs", [1, 2])
def test_what_would_be_lost_between_epochs_is_refused(optimizer: Factory, text: str, epochs: int) -> None:
    with pytest.raises(wc.errors.BackendError, match=text):
        trained(optimizer, config=wc.TrainConfig(epochs=epochs, batch_size=8))


def in_state(weights: list[Any]) -> Any:
    """A schedule that counts where state_dict looks."""
    optimizer = torch.optim.SGD([{"params": weights, "steps": 0}], lr=0.1)

    def hook(one: Any, *_: Any) -> None:
        (group,) = one.param_groups
        group.update(steps=group["steps"] + 1, lr=0.1 * 0.5 ** group["steps"])

    optimizer.register_step_pre_hook(hook)
    return optimizer


def test_a_schedule_in_the_options_goes_on_from_epoch_to_epoch() -> None:
    (ours,) = trained(in_state)
    (one,) = trained(in_state, config=wc.TrainConfig(epochs=2, batch_size=8, compaction=False))
    rates: list[float] = []

    def noting(weights: list[Any]) -> Any:
        optimizer = in_state(weights)
        optimizer.register_step_pre_hook(lambda one, *_: rates.append(one.param_groups[0]["lr"]))
        return optimizer

    trained(noting)
    assert rates == [0.1, 0.05, 0.025, 0.0125]
    np.testing.assert_array_equal(ours.losses, one.losses)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_rate_that_changes_outside_is_refused(in_place: bool) -> None:
    rate: Any = torch.tensor(0.1)

    def factory(weights: list[Any]) -> Any:
        return torch.optim.SGD(weights, lr=rate if in_place else float(rate))

    with pytest.raises(wc.errors.BackendError, match="the options of SGD have changed since training began"):
        trained(factory, on_epoch=lambda _: rate.mul_(0.5))


def test_some_weights_alone_and_options_of_their_own() -> None:
    net = NETS["dense"]
    (before,), (one,) = networks(net, 1), trained(lambda weights: torch.optim.SGD(weights[-2:], lr=0.1))
    moved = [path for path, value in one.network.params.items() if not np.array_equal(before.params[path], value)]
    assert set(moved) == {*list(wc.nn.parameter_shapes(net))[-2:]}
    (other,) = trained(
        lambda weights: torch.optim.SGD(
            [{"params": weights[:-2], "lr": 0.0}, {"params": weights[-2:], "weight_decay": 0.0}], lr=0.1
        )
    )
    for path, value in one.network.params.items():
        np.testing.assert_array_equal(other.network.params[path], value)


def test_weights_that_the_user_has_frozen_stay() -> None:
    net = NETS["dense"]

    def factory(weights: list[Any]) -> Any:
        for weight in weights[:-2]:
            weight.requires_grad_(False)
        return torch.optim.AdamW(weights, lr=0.1, weight_decay=1.0)

    (before,), (one,) = networks(net, 1), trained(factory)
    moved = [path for path, value in one.network.params.items() if not np.array_equal(before.params[path], value)]
    assert set(moved) == {*list(wc.nn.parameter_shapes(net))[-2:]}


def test_a_state_of_another_type_than_the_weights_stays_what_it_is() -> None:
    net, seen = NETS["dense"], list[tuple[Any, list[Any]]]()
    (ours,) = trained(recording(Typed, seen), net, 1)
    (start,) = networks(net, 1)
    weights = [torch.nn.Parameter(torch.from_numpy(start.params[path].copy())) for path in wc.nn.parameter_shapes(net)]
    plain = Typed(weights)
    for _, gradients in seen:
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        plain.step()
    for path, weight in zip(wc.nn.parameter_shapes(net), weights, strict=True):
        np.testing.assert_array_equal(ours.network.params[path], weight.detach().numpy(), err_msg=path)


@pytest.mark.parametrize("name", sorted({*KINDS} - REFUSED - {"Muon"}))
@pytest.mark.slow
def test_what_trains_on_pytorch_trains_on_xla(name: str) -> None:
    """Where an optimizer keeps some of its state on the host."""
    data = np.ones((8, 4), np.float32), np.arange(8) % 2
    start = wc.Subnetwork(net := wc.mlp(4, (3,), 2), connected("numpy").initialise(net, wc.key(0)))
    config = wc.TrainConfig(epochs=2, batch_size=8)
    ours, wanted = (
        wc.train(start, data, backend=connected(on), key=wc.key(0), config=config, optimizer=made(name, {}))
        for on in ("torch_xla", "torch")
    )
    np.testing.assert_allclose(ours.losses, wanted.losses, rtol=1e-5)  # two steps of some tens of roundings each


def test_a_class_made_for_each_optimizer_trains() -> None:
    def factory(weights: list[Any]) -> Any:
        class Scaled(torch.optim.SGD):
            factor = torch.tensor(0.5)

            def step(self, closure: Any = None) -> Any:
                for weight in self.param_groups[0]["params"]:
                    weight.grad.mul_(self.factor)
                return super().step(closure)

        return Scaled(weights, lr=0.2)

    (ours,), (same,) = trained(factory), trained(lambda weights: torch.optim.SGD(weights, lr=0.1))
    for path, value in ours.network.params.items():
        np.testing.assert_array_equal(value, same.network.params[path], "a power of 2 rounds nothing")


def test_gradients_are_cleared_by_the_optimizer_itself() -> None:
    """As in a loop of PyTorch's: once before each step."""
    calls: list[str] = []

    class Noting(torch.optim.SGD):
        def zero_grad(self, set_to_none: bool = True) -> None:
            calls.append("zero_grad")
            super().zero_grad(set_to_none)

        def step(self, closure: Any = None) -> Any:
            calls.append("step")
            return super().step(closure)

    trained(Noting)
    assert calls == ["zero_grad", "step"] * 4


def test_an_error_of_a_step_is_one_of_the_librarys() -> None:
    class Broken(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            raise RuntimeError("no such step.")

    with pytest.raises(wc.errors.BackendError, match=r"^Broken cannot take a step: no such step\.$"):
        trained(Broken)
