"""Models of torchvision and timm, one of each kind, small: what they compute under masks, and the page of all."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError

torch = imported("torch", "torch")
models = pytest.importorskip("torchvision.models")
timm = pytest.importorskip("timm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they build
]

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)


def convnext() -> Any:
    kind = models.convnext
    return kind.ConvNeXt([kind.CNBlockConfig(8, 16, 1), kind.CNBlockConfig(16, None, 1)], 0.2, num_classes=4)


def densenet(**given: Any) -> Any:
    return models.DenseNet(4, (2, 2), 8, num_classes=4, **given)


def swin() -> Any:
    """Whose windows are examples of its attention."""
    return models.SwinTransformer([2, 2], 8, [2, 2], [2, 2], [2, 2], num_classes=4)


def vit() -> Any:
    return models.VisionTransformer(16, 8, 2, 2, 8, 16, dropout=0.1, num_classes=4)


def mobilenet() -> Any:
    kind, of = models.mobilenetv3, models.mobilenetv3.InvertedResidualConfig
    blocks = [of(16, 3, 16, 16, True, "RE", 2, 1, 1.0), of(16, 5, 72, 24, False, "HS", 2, 1, 1.0)]
    return kind.MobileNetV3([*blocks, of(24, 5, 96, 24, True, "HS", 1, 1, 1.0)], 64, num_classes=4)


def ghostnet() -> Any:
    """With and without a stride, a shortcut and an excitation."""
    blocks = [[3, 16, 16, 0, 1]], [[3, 48, 24, 0, 2]], [[5, 72, 40, 0.25, 1]], [[5, 120, 40, 0.25, 1]]
    return timm.models.ghostnet.GhostNet(blocks, num_classes=4, width=0.5)


def small(name: str, **given: Any) -> Callable[[], Any]:
    return lambda: timm.create_model(name, num_classes=4, **given)


#: How it is built, the pixels of its images, and some of its sites, {path of the module, which is an activation alone:
#: the shape of a mask, the axis of channels}.
SMALL: dict[str, tuple[Callable[[], Any], int, dict[str, tuple[tuple[int, ...], int]]]] = {
    "resnet": (
        lambda: models.resnet18(num_classes=4), 32,
        {"relu": ((16, 16, 64), 1), "layer2.0.relu": ((4, 4, 128), 1), "layer2.0.relu#2": ((4, 4, 128), 1)},
    ),
    "densenet": (
        densenet, 32,
        {"features.relu0": ((16, 16, 8), 1), "features.denseblock1.denselayer2.relu1": ((8, 8, 12), 1)},
    ),
    "mobilenet": (
        mobilenet, 32,
        {"features.0.2": ((16, 16, 16), 1), "features.1.block.1.activation": ((1, 1, 8), 1),
         "features.1.block.1.scale_activation": ((1, 1, 16), 1), "classifier.1": ((64,), 1)},
    ),
    "convnext": (convnext, 32, {"features.1.0.block.4": ((8, 8, 32), 3), "features.3.0.block.4": ((4, 4, 64), 3)}),
    "swin": (swin, 16, {"features.1.1.mlp.1": ((8, 8, 32), 3), "features.3.0.mlp.1": ((4, 4, 64), 3)}),
    "vit": (vit, 16, {"encoder.layers.encoder_layer_1.mlp.1": ((5, 16), 2)}),
    "mambaout": (
        small("mambaout_femto", depths=(1, 1), dims=(8, 16)), 32,
        {"stem.act": ((16, 16, 4), 1), "stages.0.blocks.0.act": ((8, 8, 21), 3)},
    ),
    "mixer": (
        lambda: timm.models.mlp_mixer.MlpMixer(4, 64, patch_size=32, num_blocks=2, embed_dim=32), 64,
        {"blocks.0.mlp_tokens.act": ((32, 16), 2), "blocks.1.mlp_channels.act": ((4, 128), 2)},
    ),
    "ghostnet": (ghostnet, 32, {"act1": ((16, 16, 8), 1)}),
}  # fmt: skip


def made(name: str) -> tuple[Any, tuple[int, int, int]]:
    torch.manual_seed(0)
    return SMALL[name][0](), (3, SMALL[name][1], SMALL[name][1])


def outputs(module: Any, site: str, x: Any) -> tuple[Any, Any]:
    """The logits of a module, and what the module of a site gives, as a hook on it sees that."""
    path, _, nth = site.partition("#")
    seen: list[Any] = []
    hook = module.get_submodule(path).register_forward_hook(lambda part, given, value: seen.append(value.clone()))
    with torch.no_grad():
        logits = module(x)
    hook.remove()
    return logits, seen[int(nth or 1) - 1]


@pytest.mark.parametrize("name", SMALL)
def test_masks_of_a_site_remove_its_nodes_and_nothing_else(name: str) -> None:
    module, shape = made(name)
    module.eval()
    net = wc.adopt(module, shape, backend="torch")
    space, (_, _, sites) = wc.mask_space(net), SMALL[name]
    start = wc.draw_control(net, sparsity=0.5, backend="torch", key=wc.key(0)).network
    x = torch.from_numpy(RNG.normal(size=(4, *shape)).astype(np.float32))
    for site, (mask_shape, axis) in sites.items():
        assert space[site] == mask_shape
        for of in (lambda size: np.ones(size, bool), lambda size: RNG.random(size) < 0.5):
            mask = {other: np.ones(size, bool) for other, size in space.items()} | {site: of(mask_shape)}
            rebuilt = wc.Subnetwork(net, start.params, mask, start.statistics).rebuild()
            (logits, seen), (dense, whole) = outputs(rebuilt, site, x), outputs(module, site, x)
            kept = torch.from_numpy(np.moveaxis(mask[site], -1, axis - 1)).expand_as(whole)
            assert not seen[~kept].any()
            # Attention has another kernel where its functions are not seen: sums of some hundred terms below 10.
            torch.testing.assert_close(seen[kept], whole[kept], rtol=0, atol=1e-4)
            if mask[site].all():
                torch.testing.assert_close(logits, dense, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_it_is_searched_and_trained(name: str) -> None:
    """With dropout, stochastic depth, batch normalisation, and functions that change their arguments."""
    module, shape = made(name)
    net = wc.adopt(module, shape, backend="torch", granularity="channel")
    data = RNG.normal(size=(8, *shape)).astype(np.float32), np.arange(8) % 4
    config = wc.SearchConfig(population=2, generations=1, validation_batch=8)
    found, again = (wc.search(net, data, sparsity=0.3, backend="torch", key=wc.key(0), config=config) for _ in range(2))
    assert found == again, "to the bit"
    trained = wc.train(found.network, data, backend="torch", key=wc.key(1), config=wc.TrainConfig(1, 4))
    assert np.isfinite(trained.losses).all()
    assert wc.evaluate(trained.network, data, backend="torch").not_finite == 0


def test_a_model_that_computes_its_layers_again_for_the_gradient_is_refused() -> None:
    with pytest.raises(BackendError, match=r"no gradient of DenseNet .* without checkpointing"):
        wc.adopt(densenet(memory_efficient=True), (3, 32, 32), backend="torch")


def test_the_page_lists_what_the_program_adopts() -> None:
    from benchmarks import adopted

    rows = re.findall(r"^\| (.*?) \| \w+ \| +(\d+) \| (\d+|refused) \|", adopted.PAGE.read_text("utf-8"), re.MULTILINE)
    assert [(name, int(pixels)) for name, pixels, _ in rows] == [
        (name, of.pixels) for name, of in adopted.MODELS.items()
    ]
    assert sum(sites != "refused" for *_, sites in rows) >= 50


def test_the_program_writes_a_page(tmp_path: Path) -> None:
    from benchmarks import adopted

    adopted.main(["resnet18", "googlenet, with its second classifiers", "--out", str(tmp_path / "page.md")])
    text = (tmp_path / "page.md").read_text("utf-8")
    assert "Of 2 models 1 were adopted." in text
    assert re.search(r"\| resnet18 \| torchvision \| 32 \| 17 \| 8 \| 9 \| [\d.]+ \| `relu` 64, `layer4", text)
    assert re.search(
        r"\| refused \|  \|  \| [\d.]+ \| GoogLeNet, in training, must give logits .* the logits alone\. \|", text
    )


def test_a_page_of_some_models_is_asked_for_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import adopted

    for given, said in ((["resnet18"], "say --out"), (["resnet8"], "got resnet8")):
        with pytest.raises(SystemExit):
            adopted.main(given)
        assert said in capsys.readouterr().err
