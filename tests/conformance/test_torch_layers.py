"""PyTorch's layers against PyTorch's own modules, in float64, so that only the last bits of that may differ."""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.mutants.witnesses import FLAT, given, started

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'weedout-core[torch]'")

F = torch.nn.functional
layers, norms, batches, network, precision, training = (
    import_module(f"weedout_torch.{name}")
    for name in ("layers", "batch_norm", "batches", "network", "precision", "training")
)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}  # float64: sums of at most some thousand values of order 1, their gradients


def drawn(*shape: int) -> Any:
    seeded = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=seeded, dtype=torch.float64, requires_grad=True)


def same_with_gradients(mine: Callable[..., Any], theirs: Callable[..., Any], *inputs: Any) -> None:
    """Assert that two functions have one value and one gradient."""
    one, other = mine(*inputs), theirs(*inputs)
    torch.testing.assert_close(one, other, **CLOSE)
    weights = drawn(*one.shape).detach()
    gradients = [torch.autograd.grad((value * weights).sum(), inputs) for value in (one, other)]
    for got, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(got, wanted, **CLOSE)


def channels_first(h: Any) -> Any:
    return h.movedim(-1, -3)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 3, 5])
@pytest.mark.parametrize("size", [(6, 8), (5, 7)])
@pytest.mark.parametrize("networks", [1, 2])
def test_convolution(networks: int, size: tuple[int, int], window: int, stride: int) -> None:
    def padded_by_hand(h: Any, kernel: Any) -> Any:
        m = (window - 1) // 2
        images = F.pad(channels_first(h), (m, m, m, m))
        ones = [
            F.conv2d(x, k.permute(3, 2, 0, 1), stride=stride)
            for x, k in zip(images, kernel.expand(networks, *kernel.shape[-4:]), strict=True)
        ]
        return torch.stack(ones).movedim(-3, -1)

    def mine(h: Any, kernel: Any) -> Any:
        return layers.convolve(h, kernel, stride, torch.float64)

    h = drawn(networks, 3, *size, 4)
    same_with_gradients(mine, padded_by_hand, h, drawn(window, window, 4, 5))  # one kernel for all
    same_with_gradients(mine, padded_by_hand, h, drawn(networks, window, window, 4, 5))
    assert mine(h, drawn(window, window, 4, 5)).shape[2:4] == tuple(-(-length // stride) for length in size)


def test_each_network_convolves_what_all_share() -> None:
    h, kernel = drawn(1, 3, 6, 6, 4), drawn(2, 3, 3, 4, 5)
    together = layers.convolve(h, kernel, 1, torch.float64)
    for r in range(2):
        torch.testing.assert_close(together[r], layers.convolve(h, kernel[r], 1, torch.float64)[0], **CLOSE)


def test_max_pool_and_its_ties() -> None:
    def theirs(h: Any) -> Any:
        return h.reshape(2, 3, 2, 2, 3, 2, 5).amax(dim=(3, 5))

    same_with_gradients(lambda h: layers.max_pool(h, 2), theirs, drawn(2, 3, 4, 6, 5))
    flat = torch.ones(1, 1, 2, 2, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(layers.max_pool(flat, 2).sum(), [flat])
    assert gradient.flatten().tolist() == [1, 0, 0, 0], "of equals the first has the gradient, as in the reference"


NORMS = pytest.mark.parametrize("kernel", ["_group_by_group", "_all_groups"])


@NORMS
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("shape", [(4, 4, 5), (5,)], ids=["images", "flat"])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_batch_norm_of_groups(kernel: str, groups: int, shape: tuple[int, ...], own: bool) -> None:
    def theirs(h: Any, scale: Any, bias: Any) -> Any:
        rows = zip(h, scale.expand(2, 5), bias.expand(2, 5), strict=True)
        return torch.stack(
            [
                torch.cat([F.batch_norm(x.movedim(-1, 1), None, None, g, b, True, 0, 1e-3).movedim(1, -1)
                           for x in one.chunk(groups)])
                for one, g, b in rows
            ]
        )  # fmt: skip

    def mine(h: Any, scale: Any, bias: Any) -> Any:
        return getattr(norms, kernel)(h, groups, scale, bias, 1e-3)[0]

    h, channels = drawn(2, 6, *shape), (2, 5) if own else (5,)
    same_with_gradients(mine, theirs, h, drawn(*channels), drawn(*channels) * 2)
    _, mean, variance = getattr(norms, kernel)(h, groups, drawn(*channels), drawn(*channels), 1e-3)
    parts = h.detach().reshape(2, groups, -1, 5)
    torch.testing.assert_close(mean.detach(), parts.mean(dim=2).mean(dim=1), **CLOSE)
    torch.testing.assert_close(variance.detach(), parts.var(dim=2, correction=0).mean(dim=1), **CLOSE)


@NORMS
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("shape", [(4, 4, 5), (5,)], ids=["images", "flat"])
def test_batch_norm_with_own_weights_of_what_networks_share(kernel: str, groups: int, shape: tuple[int, ...]) -> None:
    """Where it is a network's first layer, all networks have the same input, and its γ and β are each one's own."""
    h, scale, bias = drawn(1, 6, *shape), drawn(2, 5), drawn(2, 5)

    def mine(h: Any, scale: Any, bias: Any) -> Any:
        return getattr(norms, kernel)(h, groups, scale, bias, 1e-3)[0]

    def theirs(h: Any, scale: Any, bias: Any) -> Any:
        return mine(h.expand(2, *h.shape[1:]), scale, bias)

    same_with_gradients(mine, theirs, h, scale, bias)
    shared, each = (getattr(norms, kernel)(x, groups, scale, bias, 1e-3)[1:] for x in (h, h.expand(2, 6, *shape)))
    torch.testing.assert_close(shared, each, rtol=0, atol=0)


@NORMS
def test_batch_norm_of_a_single_value(kernel: str) -> None:
    bias = drawn(5)
    y, mean, variance = getattr(norms, kernel)(drawn(1, 2, 5), 2, drawn(5), bias, 1e-3)
    torch.testing.assert_close(y[0], bias.expand(2, 5), **CLOSE)
    assert mean.shape == (1, 5)
    assert variance.tolist() == [[0.0] * 5]


def test_batch_norm_with_given_statistics() -> None:
    layer, params = wc.nn.BatchNorm("norm", epsilon=1e-3), {"norm/scale": drawn(5), "norm/bias": drawn(2, 5)}
    h, mean, variance = drawn(2, 3, 4, 4, 5), drawn(5), drawn(2, 5) ** 2
    y, taken = norms.batch_norm(layer, params, h, {"norm/mean": mean, "norm/variance": variance})
    assert taken == {}
    for r in range(2):
        theirs = F.batch_norm(
            h[r].movedim(-1, 1), mean.detach(), variance[r].detach(), params["norm/scale"], params["norm/bias"][r],
            eps=1e-3,
        )  # fmt: skip
        torch.testing.assert_close(y[r], theirs.movedim(1, -1), **CLOSE)


@pytest.mark.parametrize("granularity", ["node", "channel"])
def test_a_removed_node_is_absent(granularity: str) -> None:
    shape = (4, 4, 3) if granularity == "node" else (3,)
    mask = drawn(2, *shape) > 0
    h = drawn(2, 5, 4, 4, 3).detach().float()
    h[:, 0] = torch.inf
    h[:, 1] = torch.nan
    h[:, 2] = -0.0
    h.requires_grad_()
    broadcast = mask.reshape(2, 1, *shape) if granularity == "node" else mask.reshape(2, 1, 1, 1, 3)
    wanted = torch.where(broadcast, h, torch.zeros(()))
    got = layers.masked(h, mask, rescale=False)
    torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)
    gradient = torch.full_like(h, torch.inf)
    assert torch.equal(*(torch.autograd.grad(y, [h], gradient)[0] for y in (got, wanted))), "gradients"


#: Layers that begin with what changes its input in place where it may, once in a branch and once after a sum.
CAREFUL = wc.Network(
    (
        wc.nn.Residual((wc.nn.Relu(), wc.nn.Mask("a"), wc.nn.Relu()), (wc.nn.Mask("b"), wc.nn.Relu())),
        wc.nn.Mask("c", rescale=True),
        wc.nn.Residual((), (wc.nn.Relu(),)),
        wc.nn.Relu(),
        wc.nn.Dense("logits", 3),
    ),
    (7,),
)


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("net", [CAREFUL, wc.mlp(7, (9, 8), 4), wc.vgg(2, 4, (4, 4, 3))])
def test_what_is_changed_in_place_is_nobody_elses(net: wc.Network, networks: int) -> None:
    params = {path: drawn(*shape).detach().float() for path, shape in wc.nn.parameter_shapes(net).items()}
    masks = {site: drawn(2, *shape) > 0 for site, shape in wc.mask_space(net).items()}
    h = drawn(networks, 6, *net.input_shape).detach().float()
    before = h.clone()
    wanted, _ = network.forward(net.layers, params, h, masks, 2)
    with torch.no_grad():
        got, _ = network.forward(net.layers, params, h, masks, 2)
    assert torch.equal(h, before), "the activations handed in"
    assert torch.equal(got, wanted)


def test_crops_are_windows_of_the_padded_image() -> None:
    rng, margin = np.random.default_rng(0), wc.backend.CROP_MARGIN
    x = rng.standard_normal((40, 6, 8, 3)).astype(np.float32)
    crops = np.stack([rng.integers(0, high, 40) for high in (2 * margin + 1, 2 * margin + 1, 2)], axis=1)
    shown = batches.crop_images(torch.from_numpy(x), torch.from_numpy(crops)).numpy()
    for image, (row, column, mirrored), got in zip(x, crops, shown, strict=True):
        window = np.pad(image, ((margin, margin), (margin, margin), (0, 0)))[row : row + 6, column : column + 8]
        np.testing.assert_array_equal(got, window[:, ::-1] if mirrored else window)


class Block(torch.nn.Module):
    """The blocks of a Wide ResNet as PyTorch's users write them."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.norm_0 = torch.nn.BatchNorm2d(channels)
        self.conv_0 = torch.nn.Conv2d(channels, features, 3, stride, 1, bias=False)
        self.norm_1 = torch.nn.BatchNorm2d(features)
        self.conv_1 = torch.nn.Conv2d(features, features, 3, 1, 1, bias=False)
        changes = channels != features or stride != 1
        self.shortcut = torch.nn.Conv2d(channels, features, 1, stride, bias=False) if changes else None

    def forward(self, x: Any) -> Any:
        h = F.relu(self.norm_0(x))
        x = x if self.shortcut is None else self.shortcut(h)
        return x + self.conv_1(F.relu(self.norm_1(self.conv_0(h))))


class WideResNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.group_0 = torch.nn.ModuleDict({"block_0": Block(16, 16, 1)})
        self.group_1 = torch.nn.ModuleDict({"block_0": Block(16, 32, 2)})
        self.group_2 = torch.nn.ModuleDict({"block_0": Block(32, 64, 2)})
        self.norm = torch.nn.BatchNorm2d(64)
        self.logits = torch.nn.Linear(64, 4)

    def forward(self, x: Any) -> Any:
        h = self.conv(x)
        for group in (self.group_0, self.group_1, self.group_2):
            h = group["block_0"](h)
        return self.logits(F.relu(self.norm(h)).mean((2, 3)))


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 100, 1000])
def test_a_prediction_is_the_references(classes: int) -> None:
    """Correct is what it predicts: in ties the first of the largest, with a NaN none. Along sizes beyond those that a
    kernel reads at once."""
    seeded = np.random.default_rng(classes)
    logits = seeded.choice(np.array([0, -0.0, 1, math.inf, -math.inf, -1], np.float32), size=(2, 600, classes))
    logits[:, ::3][seeded.random(logits[:, ::3].shape) < 1 / classes] = math.nan
    wanted = wc.backend.predictions(logits)
    assert {0, classes} <= set(wanted.ravel())
    for labels in (np.minimum(wanted, classes - 1), seeded.integers(0, classes, wanted.shape, dtype=np.int32)):
        got = training._correct(torch.from_numpy(logits), torch.from_numpy(labels))
        np.testing.assert_array_equal(got.numpy(), wanted == labels)


def test_a_wide_resnet_is_pytorchs() -> None:
    net, module = wc.wide_resnet(10, 1, 4, (8, 8, 3)), WideResNet().double()
    params = {path: drawn(*shape) for path, shape in wc.nn.parameter_shapes(net).items()}
    names = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    own = dict(module.named_parameters())
    assert len(own) == len(params)
    x, weights = drawn(6, 8, 8, 3).detach(), drawn(6, 4).detach()
    paired: dict[str, Any] = {}
    with torch.no_grad():
        for path, value in params.items():
            layer, _, name = path.rpartition("/")
            paired[path] = own[f"{layer.replace('/', '.')}.{names[name]}"]
            paired[path].copy_(value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T if value.ndim == 2 else value)

    def gradients(loss: Any, leaves: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "_DTYPES", {"float64": torch.float64})
        logits, taken = network.forward(net.layers, params, x.unsqueeze(0), None, 1, "float64")
    theirs = module(x.movedim(-1, 1))
    # Ten layers with weights of order 1 and not 1/√n: values grow, and so do their roundings, to 1e-9 of themselves.
    torch.testing.assert_close(logits[0], theirs, rtol=1e-9, atol=1e-9)
    wanted = gradients((theirs * weights).sum(), paired)
    for path, got in gradients((logits[0] * weights).sum(), params).items():
        other = wanted[path]
        other = other.permute(2, 3, 1, 0) if other.ndim == 4 else other.T if other.ndim == 2 else other
        torch.testing.assert_close(got, other, rtol=1e-9, atol=1e-9 * float(other.abs().max()), msg=path)
    np.testing.assert_allclose(taken["norm/mean"][0], 10 * module.norm.running_mean, rtol=1e-9)


@pytest.mark.parametrize("layer", ["dense", "convolution"])
def test_bfloat16_rounds_the_operands_of_products(layer: str) -> None:
    def product(h: Any, kernel: Any, compute: Any) -> Any:
        if layer == "dense":
            return layers.dense(h, kernel[0, 0], torch.zeros(5), compute)
        return layers.convolve(h, kernel, 1, compute)

    h, kernel = drawn(1, 2, 4, 4, 3).detach().float(), drawn(1, 1, 3, 5).detach().float()
    got = product(h, kernel, torch.bfloat16)
    rounded = product(h.bfloat16().float(), kernel.bfloat16().float(), torch.float32)
    assert got.dtype == torch.float32
    assert not torch.equal(got, product(h, kernel, torch.float32))
    # The operands are rounded once; the product may be too, to 8 bits.
    torch.testing.assert_close(got, rounded, rtol=2**-8, atol=1e-6)


def test_highest_precision_is_that_of_convolutions_too() -> None:
    backends: Any = torch.backends
    settings = [backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.mkldnn.conv]
    before = [setting.fp32_precision for setting in settings]
    chosen = ["tf32", "bf16", "tf32", "bf16"]
    try:
        for setting, value in zip(settings, chosen, strict=True):
            setting.fp32_precision = value
        with precision.precise("default"):
            assert [setting.fp32_precision for setting in settings] == chosen
        with precision.precise("highest"):
            assert [setting.fp32_precision for setting in settings] == ["ieee"] * 4
        assert [setting.fp32_precision for setting in settings] == chosen, "the user's settings are put back"
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.int32, torch.int64])
def test_labels_of_any_integers_have_the_same_loss(dtype: Any) -> None:
    """PyTorch stores more kinds of integers than it computes with."""
    logits, y = drawn(2, 5, 3), torch.tensor([[0, 2, 1, 1, 0], [2, 2, 0, 1, 0]])
    cross_entropy = import_module("weedout_torch.loss").cross_entropy
    assert torch.equal(cross_entropy(logits, y.to(dtype)), cross_entropy(logits, y))


@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int64"])
def test_an_epoch_takes_labels_of_any_integers(dtype: str) -> None:
    backend, made = connected("torch"), given(FLAT, 2, 9)
    plan, keys = wc.backend.train_plan(wc.TrainConfig(epochs=1, batch_size=4), 9), wc.random.split(wc.key(3), 2)
    state = started(backend, FLAT, plan, keys, made)
    masks, x = wc.backend.map_tree(backend.asarray, made.masks), backend.asarray(made.x)
    batches = wc.backend.epoch_batches(list(keys), 0, plan)
    one, other = (
        backend.to_numpy(
            backend.train_epoch(FLAT, plan, state, masks, x, torch.tensor(made.y).to(kind), batches)[1].loss
        )
        for kind in (torch.int32, getattr(torch, dtype))
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_weights_under_a_mask_are_those_kept_and_0_and_so_are_their_gradients(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(*shape, generator=generator).requires_grad_()
    mask = torch.rand(2, 3, 4, generator=generator) > 0.5
    factors = torch.randn(2, 3, 4, generator=generator)
    removed = torch.where(mask.any(0), 0.0, torch.nan)  # NaN where no network keeps the weight
    broken = kernel + removed
    mine, theirs = layers.masked_weights(broken, mask), torch.where(mask, broken, torch.zeros(()))
    assert torch.equal(mine, theirs)
    assert mine.isfinite().all()
    gradients = [torch.autograd.grad((factors * one).sum(), kernel, retain_graph=True)[0] for one in (mine, theirs)]
    assert torch.equal(*gradients)
