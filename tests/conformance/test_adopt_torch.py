"""Modules of PyTorch as networks: their sites, what they compute with masks, and that they are left as they were."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected, imported
from weedout_core.errors import BackendError, ConfigError

torch = imported("torch", "torch")
nn, F = torch.nn, torch.nn.functional

RNG = np.random.default_rng(0)
SEARCH = wc.SearchConfig(population=5, generations=2, validation_batch=16)
TRAIN = wc.TrainConfig(epochs=2, batch_size=16)
#: The same operations on arrays that lie elsewhere in memory: kernels may sum in another order, at most some hundred
#: float32 terms of logits below 1.
ROUNDED: Any = {"rtol": 0, "atol": 1e-6}


class Block(nn.Module):
    """Of a residual network: one ReLU in place, used twice."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.c2, self.b2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Any) -> Any:
        h = self.relu(self.b1(self.c1(x)))
        h = self.b2(self.c2(h)) + self.down(x)
        self.relu(h)  # what it returns is not used: it changes h
        return h


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 4, 3, 1, 1), Block(4, 6, 1), Block(6, 8, 2)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        h = self.two(self.one(F.relu(self.stem(x))))
        return self.head(self.drop(h.mean((2, 3))))


class Normalised(nn.Module):
    """A normalisation written by hand, whose ReLU of a variance is no activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        h = self.first(x)
        mean = h.mean(-1, keepdim=True)
        variance = F.relu((h * h).mean(-1, keepdim=True) - mean * mean)
        return self.last(F.gelu((h - mean) / (variance + 1e-5).sqrt()))


class Attention(nn.Module):
    """A block of a vision transformer: patches, attention, and a perceptron with channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 4, 4), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        h = self.patches(x).flatten(2).transpose(1, 2)
        n = self.norm(h)
        h = h + self.attention(n, n, n, need_weights=False)[0]
        return self.head((h + self.mlp(h)).mean(1))


def double(x):
    return 2 * x


SCRIPT = torch.jit.script(double)  # into which nobody sees


class Gated(nn.Module):
    """Channels last; the activation comes after a convolution, of which it is not computed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 1), nn.LayerNorm(4)
        self.wide, self.mix, self.narrow = nn.Linear(4, 14), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Linear(6, 4)
        self.project, self.head = nn.Linear(8, 6), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        gate, mixed = self.wide(self.norm(self.stem(x).permute(0, 2, 3, 1))).split((6, 8), -1)
        mixed = self.mix(mixed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.head(self.narrow(F.silu(gate) * self.project(mixed)).mean((1, 2)))


class Branched(nn.Module):
    """Branches that are computed side by side, and one activation of all that was concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 6, 1)
        self.three, self.four, self.head = nn.Conv2d(4, 8, 1), nn.Conv2d(6, 8, 1), nn.Conv2d(16, 4, 8)

    def forward(self, x: Any) -> Any:
        one, two = F.relu(self.one(x)), F.gelu(self.two(x))
        three, four = self.three(one), self.four(SCRIPT(two))
        return self.head(torch.tanh(torch.cat([three, four], 1))).flatten(1)


def perceptron() -> Any:
    return nn.Sequential(nn.Linear(12, 10), nn.Tanh(), nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 4))


IMAGE = (3, 8, 8)
MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "residual": (
        ResNet, IMAGE,
        {"relu": (8, 8, 4), "one.relu": (8, 8, 6), "one.relu#2": (8, 8, 6), "two.relu": (4, 4, 8),
         "two.relu#2": (4, 4, 8)},
    ),
    "normalised": (Normalised, (12,), {"gelu": (8,)}),
    "attention": (Attention, IMAGE, {"mlp.1": (4, 16)}),
    "gated": (Gated, IMAGE, {"silu": (8, 8, 6)}),
    "branched": (Branched, IMAGE, {"relu": (8, 8, 4), "gelu": (8, 8, 6), "tanh": (8, 8, 16)}),
    "perceptron": (perceptron, (12,), {"1": (10,), "3": (6,)}),
}  # fmt: skip


def made(name: str) -> tuple[Any, tuple[int, ...]]:
    torch.manual_seed(0)
    return MODELS[name][0](), MODELS[name][1]


def own(net: wc.Network) -> Any:
    """The module as it was adopted."""
    return own_layer(net).model


def own_layer(net: wc.Network) -> Any:
    return net.layers[0]


def split(shape: tuple[int, ...], examples: int = 48) -> tuple[np.ndarray, np.ndarray]:
    x = RNG.normal(size=(examples, *shape)).astype(np.float32)
    return x, (x.reshape(examples, -1)[:, 0] > 0).astype(np.int64) + 2 * (x.reshape(examples, -1)[:, 1] > 0)


@pytest.mark.parametrize("name", MODELS)
def test_the_sites_are_the_activations_between_weight_layers(name: str) -> None:
    module, shape = made(name)
    net = wc.adopt(module, shape, backend="torch")
    assert wc.mask_space(net) == MODELS[name][2]
    channels = wc.adopt(module, shape, backend="torch", granularity="channel")
    assert wc.mask_space(channels) == {site: of[-1:] for site, of in MODELS[name][2].items()}
    assert set(wc.nn.parameter_shapes(net)) == {path for path, _ in module.named_parameters()}


def test_a_site_is_said_to_be_where_its_values_come_from_and_go_to() -> None:
    """In the order of calls another convolution comes before the activation, and a branch after it."""
    around: dict[str, list[tuple[str, str]]] = {}
    for name in ("gated", "branched"):
        places = own_layer(wc.adopt(*made(name), backend="torch")).places
        around[name] = [(place.after.partition(" ")[0], place.before) for place in places]
    assert around == {
        "gated": [("wide", "narrow")], "branched": [("one", "three"), ("two", "four"), ("four", "head")]
    }  # fmt: skip


@pytest.mark.parametrize("granularity", ["node", "channel"])
@pytest.mark.parametrize("name", MODELS)
def test_masks_remove_activations_and_nothing_else(name: str, granularity: Any) -> None:
    """Each site alone, against hooks that know nothing of names: the value of the n-th activation is multiplied."""
    module, shape = made(name)
    module.eval()
    backend = connected("torch")
    net = wc.adopt(module, shape, backend="torch", granularity=granularity)
    x, _ = split(shape, 6)
    params, statistics = own(net).params, own(net).statistics or None
    dense = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(backend.to_numpy(backend.apply(net, params, x, None, statistics)), dense, **ROUNDED)
    for site, of in wc.mask_space(net).items():
        masks = {other: np.ones(shape, bool) for other, shape in wc.mask_space(net).items()}
        np.testing.assert_allclose(backend.to_numpy(backend.apply(net, params, x, masks, statistics)), dense, **ROUNDED)
        masks[site] = RNG.random(of) < 0.5
        masks[site].flat[:2] = False, True
        found = backend.to_numpy(backend.apply(net, params, x, masks, statistics))
        rebuilt = wc.Subnetwork(net, params, masks, statistics).rebuild()
        np.testing.assert_allclose(rebuilt(torch.from_numpy(x)).detach().numpy(), found, **ROUNDED)
        assert not np.allclose(found, dense, **ROUNDED)


class Strided(nn.Module):
    """It notes how its activations lie in memory: of images, and of the same images with their channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, 4)
        self.seen: list[Any] = []

    def forward(self, x: Any) -> Any:
        one = F.relu(self.first(x))
        two = F.relu(self.second(one.contiguous(memory_format=torch.channels_last)))
        self.seen += [one.stride(), two.stride()]
        return self.last(two.mean((2, 3)))


def test_an_activation_under_a_mask_lies_in_memory_as_without() -> None:
    module = Strided()
    net = wc.adopt(module, IMAGE, backend="torch")
    x = torch.from_numpy(split(IMAGE, 6)[0])
    mask = {site: RNG.random(shape) < 0.5 for site, shape in wc.mask_space(net).items()}
    module(x)
    for given in (mask, None):
        rebuilt = wc.Subnetwork(net, own(net).params, given).rebuild()
        rebuilt(x)
        assert rebuilt.seen[-2:] == module.seen, "another layout means other kernels, and time"


IN_PLACE = ("ReLU", "SiLU", "Hardswish", "Mish", "ELU", "LeakyReLU", "Hardtanh", "Hardsigmoid", "ReLU6", "SELU", "CELU")


@pytest.mark.parametrize("kind", IN_PLACE)
def test_functions_that_change_their_argument_have_the_gradient_of_those_that_do_not(kind: str) -> None:
    data, given = split((12,)), {"backend": "torch", "key": wc.key(1)}
    losses: list[Any] = []
    for in_place in (True, False):
        torch.manual_seed(0)
        middle = getattr(nn, kind)(inplace=in_place), nn.Dropout(0.5, inplace=in_place)
        net = wc.adopt(nn.Sequential(nn.Linear(12, 8), *middle, nn.Linear(8, 4)), (12,), backend="torch")
        start = wc.draw_control(net, sparsity=0.5, config=SEARCH, **given).network
        losses.append(wc.train(start, data, config=TRAIN, **given).losses)
    np.testing.assert_array_equal(*losses)


@pytest.mark.parametrize("name", MODELS)
def test_masks_are_those_of_the_reference(name: str) -> None:
    module, shape = made(name)
    net = wc.adopt(module, shape, backend="torch")
    space, key = wc.mask_space(net), wc.key(3)
    drawn = connected("torch").sample_masks(key, space, 0.5, 4)
    for site, mask in connected("numpy").sample_masks(key, space, 0.5, 4).items():
        np.testing.assert_array_equal(connected("torch").to_numpy(drawn[site]), mask)


@pytest.mark.parametrize("name", MODELS)
def test_a_search_a_training_and_an_evaluation_take_it(name: str) -> None:
    module, shape = made(name)
    module.train()
    before, mode = copy.deepcopy(module.state_dict()), [part.training for part in module.modules()]
    data, state = split(shape), torch.random.get_rng_state()
    net = wc.adopt(module, shape, backend="torch")
    given: Any = {"sparsity": 0.5, "backend": "torch", "key": wc.key(1), "config": SEARCH}
    found = wc.search(net, data, **given)
    again = wc.search(wc.adopt(module, shape, backend="torch"), data, **given)
    assert found == again, "to the bit"
    control = wc.draw_control(net, sparsity=0.5, backend="torch", key=wc.key(1), config=SEARCH)
    assert control.network.net == net
    trained = wc.train(found.network, data, backend="torch", key=wc.key(2), config=TRAIN, test=data)
    assert trained == wc.train(found.network, data, backend="torch", key=wc.key(2), config=TRAIN, test=data)
    assert np.isfinite(trained.losses).all()
    rebuilt = trained.network.rebuild()
    assert list(rebuilt.state_dict()) == list(before)
    logits = rebuilt(torch.from_numpy(data[0])).detach().numpy()
    shown = wc.evaluate(trained.network, data, backend="torch")
    np.testing.assert_array_equal(shown.predictions, logits.argmax(1))
    assert [part.training for part in module.modules()] == mode
    assert all(torch.equal(value, before[path]) for path, value in module.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state), "what the caller draws is not touched"


def test_what_is_removed_is_as_it_was_and_running_statistics_move() -> None:
    module, shape = made("residual")
    net = wc.adopt(module, shape, backend="torch", granularity="channel")
    start = wc.draw_control(net, sparsity=0.5, backend="torch", key=wc.key(1), config=SEARCH).network
    trained = wc.train(start, split(shape), backend="torch", key=wc.key(2), config=TRAIN).network
    assert not np.array_equal(trained.moving["one.b1.running_mean"], start.moving["one.b1.running_mean"])
    assert not np.array_equal(trained.params["head.weight"], start.params["head.weight"])


def test_training_moves_statistics_as_the_module_itself_does() -> None:
    module, shape = made("residual")
    module.drop.p = 0.0
    x, y = split(shape, 16)
    net = wc.adopt(module, shape, backend="torch")
    start = wc.Subnetwork(net, own(net).params, None, own(net).statistics)
    config = wc.TrainConfig(
        epochs=1, batch_size=16, momentum=0.0, nesterov=False, weight_decay=0.0, schedule="constant"
    )
    trained = wc.train(start, (x, y), backend="torch", key=wc.key(2), config=config)
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=config.learning_rate)
    F.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    optimizer.step()
    state = module.state_dict()
    for path, value in {**trained.network.params, **trained.network.moving}.items():
        # Another order of the examples is another order of the sums, of at most 16·64 float32 terms.
        np.testing.assert_allclose(value, state[path].numpy(), rtol=1e-4, atol=2e-6, err_msg=path)


def test_our_own_network_as_a_module_is_the_same_network() -> None:
    net, key = wc.mlp(12, (10, 6), 4), wc.key(5)
    backend = connected("torch")
    weights = backend.initialise(net, wc.random.fold_in(key, 0))
    module = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 6), nn.ReLU(), nn.Linear(6, 4))
    for layer, name in zip((module[0], module[2], module[4]), ("dense_0", "dense_1", "logits"), strict=True):
        layer.weight.data = torch.from_numpy(backend.to_numpy(weights[f"{name}/kernel"]).T.copy())
        layer.bias.data = torch.from_numpy(backend.to_numpy(weights[f"{name}/bias"]).copy())
    adopted = wc.adopt(module, (12,), backend="torch", names={"1": "hidden_0", "3": "hidden_1"})
    data = split((12,))
    given: Any = {"sparsity": 0.5, "backend": "torch", "key": key, "config": SEARCH}
    theirs, ours = wc.search(adopted, data, **given), wc.search(net, data, **given)
    assert theirs.origin == ours.origin
    for mask, other in zip((theirs.network.mask or {}).values(), (ours.network.mask or {}).values(), strict=True):
        np.testing.assert_array_equal(mask, other)
    for one, other in zip(theirs.history, ours.history, strict=True):
        np.testing.assert_allclose(one.fitness, other.fitness, atol=1e-6)
    config = wc.TrainConfig(epochs=5, batch_size=24)  # ten steps
    one, other = (wc.train(start.network, data, backend="torch", key=key, config=config) for start in (theirs, ours))
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)
    for path, name in zip(("0", "2", "4"), ("dense_0", "dense_1", "logits"), strict=True):
        for theirs_part, ours_part in (("weight", "kernel"), ("bias", "bias")):
            adopted_array = one.network.params[f"{path}.{theirs_part}"].T
            # Ten steps, each with sums of at most 24·12 float32 terms.
            np.testing.assert_allclose(adopted_array, other.network.params[f"{name}/{ours_part}"], rtol=1e-4, atol=1e-5)


def failing() -> Any:
    class Failing(nn.Module):
        def forward(self, x: Any) -> Any:
            return {"logits": x}

    return Failing()


class Helped(nn.Module):
    """As a classifier that has a second one, whose logits it gives too while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        logits = self.last(F.relu(self.first(x)))
        return (logits, logits) if self.training else logits


class Unfit(Helped):
    """It computes in evaluation alone."""

    def forward(self, x: Any) -> Any:
        if self.training:
            raise ValueError("no second classifier")
        return super().forward(x)


class Unread(nn.Module):
    """What is computed of its activation is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.other, self.last = nn.Linear(12, 8), nn.Linear(8, 4), nn.Linear(12, 4)

    def forward(self, x: Any) -> Any:
        self.other(F.relu(self.first(x)))
        return self.last(x)


class Second(nn.Module):
    """A transformer whose batches are the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.TransformerEncoderLayer(6, 2, 8), nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        return self.last(self.layer(x.reshape(len(x), 2, 6).transpose(0, 1)).mean(0))


@pytest.mark.parametrize(
    ("model", "given", "error", "said"),
    [
        (lambda: 3, {}, BackendError, "adopts an nn.Module; got int"),
        (failing, {}, BackendError, r"must give logits \(examples, classes\).*it gives dict"),
        (lambda: nn.Linear(7, 4), {}, BackendError, r"failed on inputs \(examples, 12\), with RuntimeError: mat1"),
        (Helped, {}, BackendError, "Helped, in training, must give logits .* it gives tuple. Adopt a module that"),
        (Unfit, {}, BackendError, r"Unfit failed on inputs \(examples, 12\), with ValueError: no second classifier\."),
        (lambda: nn.Linear(12, 4), {}, ConfigError, "activation between its first and its last weight layer; got none"),
        (Second, {}, ConfigError, r"'layer.relu' has the shape \(2, 3, 8\) for 3 examples.*batch_first=True"),
        (Unread, {}, BackendError, "the site 'relu' of Unread decides no logit"),
        (perceptron, {"sites": ["3", "h*"]}, ConfigError, r"none is called .h\*.\. The activations of .* 1, 3"),
        (perceptron, {"names": {"2": "h"}}, ConfigError, "names must be those of sites; '2' is none"),
        (perceptron, {"names": {"1": "3"}}, ConfigError, "sites must have names of their own; got '3' twice"),
        (lambda: nn.Sequential(nn.LazyLinear(4)), {}, BackendError, "has no shape yet. Run the module once"),
        (lambda: torch.jit.script(perceptron()), {}, BackendError, "compiled script"),
        (lambda: nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4, momentum=None)), {}, BackendError, "momentum"),
    ],
)  # fmt: skip
def test_what_cannot_be_adopted_is_one_sentence(model: Any, given: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        wc.adopt(model(), (12,), backend="torch", **given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_a_module_of_another_precision_is_computed_in_float32(dtype: str) -> None:
    module, shape = made("residual")
    net = wc.adopt(module.to(getattr(torch, dtype)), shape, backend="torch")
    start = wc.draw_control(net, sparsity=0.5, backend="torch", key=wc.key(1)).network
    assert {value.dtype for value in start.params.values()} == {np.dtype(np.float32)}
    assert wc.evaluate(start, split(shape), backend="torch").not_finite == 0
    assert next(start.rebuild().parameters()).dtype == getattr(torch, dtype), "it is the module that it was"


def test_patterns_choose_sites() -> None:
    module, shape = made("residual")
    net = wc.adopt(module, shape, backend="torch", sites=["one.*", "relu"], names={"relu": "stem"})
    assert list(wc.mask_space(net)) == ["stem", "one.relu", "one.relu#2"]


def test_choices_without_effect_are_refused() -> None:
    module, shape = made("perceptron")
    net = wc.adopt(module, shape, backend="torch")
    given: Any = {"sparsity": 0.5, "backend": "torch", "key": wc.key(1)}
    with pytest.raises(ConfigError, match=r"per_candidate.*those of Sequential are its own"):
        wc.search(net, split(shape), config=wc.SearchConfig(weights="per_candidate"), **given)
    with pytest.raises(ConfigError, match="fan='fan_out' has no effect"):
        wc.search(net, split(shape), config=wc.SearchConfig(fan="fan_out"), **given)
    images = wc.adopt(*made("residual"), backend="torch")
    with pytest.raises(ConfigError, match=r"recalibrated.*ResNet gives their running mean alone"):
        wc.search(images, split(IMAGE), config=wc.SearchConfig(batch_norm="recalibrated"), **given)
    start = wc.draw_control(net, config=SEARCH, **given).network
    image = wc.draw_control(images, config=SEARCH, **given).network
    with pytest.raises(ConfigError, match="augmentation='crop_flip' has no effect without the library's own layers"):
        wc.train(image, split(IMAGE), config=wc.TrainConfig(augmentation="crop_flip"), backend="torch", key=wc.key(0))
    for config in (wc.TrainConfig(batch_norm_group=16), wc.TrainConfig(compute="bfloat16")):
        with pytest.raises(ConfigError, match="has no effect without the library's own layers"):
            wc.train(start, split(shape), backend="torch", key=wc.key(0), config=config)
    with pytest.raises(BackendError, match="Sequential was adopted by torch, which alone computes it"):
        wc.evaluate(start, split(shape), backend="numpy")
    with pytest.raises(BackendError, match="numpy backend adopts no models"):
        wc.adopt(module, shape, backend="numpy")
    with pytest.raises(ConfigError, match="adopted model Sequential"):
        wc.scores.magnitude(net, start.params)


def test_a_file_has_its_arrays_and_not_the_model(tmp_path: Any) -> None:
    module, shape = made("residual")
    net = wc.adopt(module, shape, backend="torch")
    start = wc.draw_control(net, sparsity=0.5, backend="torch", key=wc.key(1)).network
    start.save(tmp_path / "one")
    read = wc.Subnetwork.load(tmp_path / "one")
    assert read == start
    with pytest.raises(ConfigError, match="Adopt it again"):
        read.rebuild()
    with pytest.raises(ConfigError, match="Adopt it again"):
        wc.evaluate(read, split(shape), backend="torch")
    again = wc.Subnetwork(net, read.params, read.mask, read.statistics)
    assert wc.evaluate(again, split(shape), backend="torch").not_finite == 0


def test_costs_count_its_weight_layers() -> None:
    module, shape = made("perceptron")
    net = wc.adopt(module, shape, backend="torch")
    ours = wc.costs(wc.mlp(12, (10, 6), 4))
    assert (wc.costs(net).parameters, wc.costs(net).macs) == (ours.parameters, ours.macs)
    module, shape = made("residual")
    net = wc.adopt(module, shape, backend="torch")
    # stem, then each block: a 3x3, another, and a 1x1; the head.
    assert wc.costs(net).macs == 64 * (27 * 4 + 36 * 6 + 54 * 6 + 4 * 6) + 16 * (54 * 8 + 72 * 8 + 6 * 8) + 8 * 4
