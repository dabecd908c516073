"""Modules of PyTorch that their masks make smaller: which sites, and that the smaller module is the masked one."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported

torch = imported("torch", "torch")
nn, F = torch.nn, torch.nn.functional

IMAGE = (3, 8, 8)
RNG = np.random.default_rng(0)
#: Logits are sums of at most some hundred float32 terms of order 1, in another order; so are gradients.
ROUNDED: Any = {"rtol": 1e-5, "atol": 1e-5}


class Steps(nn.Module):
    """Modules one after the other, and a function that says how they are joined."""

    def __init__(self, joined: Callable[[Any, Any], Any], **parts: Any) -> None:
        super().__init__()
        self.joined = joined
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        return self.joined(self, x)


def _conv(before: int, after: int, kernel: int = 3, **options: Any) -> Any:
    return nn.Conv2d(before, after, kernel, padding=kernel // 2, **options)


def _shortcut() -> Any:
    """The sum of a block and what came to it, which needs every channel."""

    def joined(m: Any, x: Any) -> Any:
        h = F.relu(m.stem(x))
        h = F.relu(m.norm(m.two(F.relu(m.one(h)))) + h)
        return m.head(h.mean((2, 3)))

    return Steps(
        joined, stem=_conv(3, 6), one=_conv(6, 8), two=_conv(8, 6), norm=nn.BatchNorm2d(6), head=nn.Linear(6, 4)
    )


def _depthwise() -> Any:
    def joined(m: Any, x: Any) -> Any:
        h = F.relu6(m.first(m.wide(x)), inplace=True)
        h = F.relu6(m.second(m.each(h)), inplace=True)
        return m.head(F.relu(m.narrow(h)).mean((2, 3)))

    return Steps(
        joined, wide=_conv(3, 16, 1), first=nn.BatchNorm2d(16), each=_conv(16, 16, groups=16, bias=False),
        second=nn.BatchNorm2d(16), narrow=_conv(16, 12, 1), head=nn.Linear(12, 4),
    )  # fmt: skip


def _one_channel() -> Any:
    """Images of one channel, and a site that keeps one: convolutions over one channel that have no groups."""

    def joined(m: Any, x: Any) -> Any:
        return m.head(F.relu(m.second(F.relu(m.one(F.relu(m.first(x)))))).mean((2, 3)))

    return Steps(joined, first=_conv(1, 6), one=_conv(6, 2), second=_conv(2, 6), head=nn.Linear(6, 4))


def _flattened() -> Any:
    def joined(m: Any, x: Any) -> Any:
        return m.head(F.relu(m.hidden(F.max_pool2d(F.relu(m.conv(x)), 2).flatten(1))))

    return Steps(joined, conv=_conv(3, 6), hidden=nn.Linear(96, 8), head=nn.Linear(8, 4))


def _concatenated() -> Any:
    def joined(m: Any, x: Any) -> Any:
        first = m.first(x)
        both = torch.cat([first, m.second(F.relu(first))], 1)
        return m.head(m.third(F.relu(m.norm(both))).mean((2, 3)))

    return Steps(
        joined, first=_conv(3, 6), second=_conv(6, 5), norm=nn.BatchNorm2d(11), third=_conv(11, 6, 1),
        head=nn.Linear(6, 4),
    )  # fmt: skip


def _normalised_after() -> Any:
    def joined(m: Any, x: Any) -> Any:
        return m.head(m.norm(F.relu(m.first(x))))

    return Steps(joined, first=nn.Linear(12, 8), norm=nn.LayerNorm(8), head=nn.Linear(8, 4))


def _numbered() -> Any:
    """A shape that is written down."""

    def joined(m: Any, x: Any) -> Any:
        return m.head(F.relu(m.first(x)).view(-1, 2, 4).mean(1))

    return Steps(joined, first=nn.Linear(12, 8), head=nn.Linear(4, 4))


def _grouped() -> Any:
    def joined(m: Any, x: Any) -> Any:
        return m.head(F.gelu(m.second(F.gelu(m.first(x)))).mean((2, 3)))

    return Steps(joined, first=_conv(3, 8), second=_conv(8, 8, groups=2), head=nn.Linear(8, 4))


def _zero_head() -> Any:
    def joined(m: Any, x: Any) -> Any:
        return m.head(F.gelu(m.first(x)))

    found = Steps(joined, first=nn.Linear(12, 8), head=nn.Linear(8, 4))
    nn.init.zeros_(found.head.weight)
    return found


def _dropped() -> Any:
    return nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Dropout(0.5), nn.Linear(10, 4))


class Shifted(nn.Module):
    """It adds a parameter while it is trained alone, of which nothing is seen after training."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 8), nn.Linear(8, 4)
        self.shift = nn.Parameter(torch.zeros(8))

    def forward(self, x: Any) -> Any:
        h = F.gelu(self.first(x))
        return self.last(h + self.shift if self.training else h)


SMALLER, READ, WITHIN, MASKED = "smaller", "read", "within", "masked"
MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...], list[str]]] = {
    "shortcut": (_shortcut, IMAGE, [READ, SMALLER, READ]),
    "depthwise": (_depthwise, IMAGE, [WITHIN, SMALLER, SMALLER]),
    "one channel": (_one_channel, (1, 8, 8), [SMALLER, SMALLER, SMALLER]),
    "flattened": (_flattened, IMAGE, [SMALLER, SMALLER]),
    "concatenated": (_concatenated, IMAGE, [READ, READ]),
    "normalised after": (_normalised_after, (12,), [MASKED]),
    "numbered": (_numbered, (12,), [MASKED]),
    "grouped": (_grouped, IMAGE, [MASKED, READ]),
    "zero head": (_zero_head, (12,), [SMALLER]),
    "dropped": (_dropped, (12,), [SMALLER]),
    "shifted": (Shifted, (12,), [SMALLER]),
}


def adopted(name: str) -> tuple[wc.Network, Any]:
    torch.manual_seed(0)
    make, shape, _ = MODELS[name]
    given = make()
    return wc.adopt(given, shape, backend="torch", granularity="channel"), given


def masked(net: wc.Network, seed: int = 1) -> wc.Subnetwork:
    """Under a mask, with weights that have moved from where they began."""
    model = cast(Any, net).layers[0].model
    rng = np.random.default_rng(seed)
    params = {path: value + rng.normal(scale=0.2, size=value.shape) for path, value in model.params.items()}
    statistics = {path: value + rng.uniform(size=value.shape) for path, value in model.statistics.items()}
    masks = wc.backend.masks_from_keys(wc.random.split(wc.key(seed), 1), wc.mask_plan(wc.nn.mask_space(net), 0.5))
    mask = {site: one[0] for site, one in masks.items()}
    single = {path: value.astype(np.float32) for path, value in params.items()}
    return wc.Subnetwork(net, single, mask, {path: one.astype(np.float32) for path, one in statistics.items()} or None)


def examples(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(size=(32, *shape)).astype(np.float32), np.arange(32) % 4


@pytest.mark.parametrize("name", MODELS)
def test_the_sites_that_leave_a_smaller_module(name: str) -> None:
    layer = cast(Any, adopted(name)[0].layers[0])
    followed = {one.site for held in layer.params for one in held.follows}

    def state(one: wc.backend.Place) -> str:
        if one.site in followed:
            return READ if one.whole else SMALLER
        return WITHIN if one.within else MASKED

    assert [state(one) for one in layer.places] == MODELS[name][2]
    assert layer.trained_whole == (name in ("dropped", "shifted"))


@pytest.mark.parametrize("name", MODELS)
def test_a_smaller_module_computes_what_the_masked_one_does(name: str) -> None:
    net, _ = adopted(name)
    network = masked(net)
    small, (x, y) = network.compact(), examples(net.input_shape)
    whole, smaller = network.rebuild(), small.rebuild()
    with torch.no_grad():
        expected, logits = whole(torch.from_numpy(x)), smaller(torch.from_numpy(x))
    np.testing.assert_allclose(logits, expected, **ROUNDED)
    assert wc.evaluate(small, (x, y), backend="torch").loss == pytest.approx(
        float(F.cross_entropy(expected, torch.from_numpy(y))), rel=1e-5
    )
    entries = [sum(value.numel() for value in one.state_dict().values()) for one in (smaller, whole)]
    assert (entries[0] < entries[1]) == (set(MODELS[name][2]) != {MASKED})
    if set(MODELS[name][2]) == {SMALLER}:
        assert not smaller._forward_hooks, "it is a module as any other, whose layers have fewer channels"
    again = small.compact()
    assert again.net == small.net, "a network that was compacted stays as it is"


@pytest.mark.parametrize("name", MODELS)
def test_a_smaller_module_is_trained_as_the_masked_one(name: str) -> None:
    net, _ = adopted(name)
    network, data = masked(net), examples(net.input_shape)
    config = wc.TrainConfig(epochs=2, batch_size=16)
    one, other = (
        wc.train(
            network,
            data,
            config=wc.TrainConfig(**{**vars(config), "compaction": small}),
            backend="torch",
            key=wc.key(3),
        )
        for small in (True, False)
    )
    for path, value in other.network.params.items():
        np.testing.assert_allclose(one.network.params[path], value, **ROUNDED)
    for path, value in other.network.moving.items():
        np.testing.assert_allclose(one.network.moving[path], value, **ROUNDED)


@pytest.mark.parametrize("batch_norm", ["running", "batch"])
@pytest.mark.parametrize("name", ["shortcut", "depthwise"])
def test_a_search_scores_smaller_modules_as_masked_ones(name: str, batch_norm: Any) -> None:
    net, _ = adopted(name)
    data = examples(net.input_shape)
    config = wc.SearchConfig(population=4, generations=1, validation_batch=32, batch_norm=batch_norm)
    found = wc.search(net, data, sparsity=0.5, config=config, backend="torch", key=wc.key(0))
    with torch.no_grad():
        logits = found.network.rebuild().train(batch_norm == "batch")(torch.from_numpy(data[0]))
    assert found.fitness == pytest.approx(-float(F.cross_entropy(logits, torch.from_numpy(data[1]))), rel=1e-5)
