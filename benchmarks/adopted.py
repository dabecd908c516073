"""``python -m benchmarks adopted [MODEL ...]``: adopt models of torchvision and timm, and write what became of each.

Needs the extra ``test``. Weights are random; nothing is downloaded.
"""

import argparse
import importlib
import importlib.metadata
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import weedout_core as wc
from weedout_core.backend import Adopted
from weedout_core.errors import WeedoutError

PAGE = Path(__file__).parents[1] / "docs" / "adopted-models.md"
_CLASSES = 10
_LIBRARIES = ("torch", "torchvision", "timm")

_INTRODUCTION = """\
# Models that were adopted

Written by `python -m benchmarks adopted`; nothing is typed by hand. Models of torchvision and timm as their libraries
build them, with random weights and {classes} classes, were handed to
[`wc.adopt`](adopt.md), with masks of channels; the versions are {versions}.
Of {all} models {adopted} were adopted. Each of these gave, under masks that keep all, the logits of the model itself:
`wc.adopt` refuses any other. *Sites* counts the activations that are masked, *smaller* those that a mask makes smaller,
*read* those that stay whole and of which the next weights read the kept channels alone; the rest are masked only.
Seconds are of one machine, and say no more than how long one waits.
"""


class Made(NamedTuple):
    """How a model is built, for images of some size, with arguments of its own."""

    library: str
    pixels: int
    given: dict[str, Any]


def _vision(pixels: int = 32, **given: Any) -> Made:
    return Made("torchvision", pixels, given)


def _timm(pixels: int = 32, **given: Any) -> Made:
    return Made("timm", pixels, given)


def _timm_sized(pixels: int) -> Made:
    """A model whose weights depend on the size of its images."""
    return Made("timm", pixels, {"img_size": pixels})


MODELS: dict[str, Made] = {
    "alexnet": _vision(64),
    "convnext_tiny": _vision(),
    "densenet121": _vision(),
    "efficientnet_b0": _vision(),
    "efficientnet_v2_s": _vision(),
    "googlenet": _vision(aux_logits=False, init_weights=False),
    "googlenet, with its second classifiers": _vision(init_weights=False),
    "inception_v3": _vision(96, aux_logits=False, init_weights=False),
    "maxvit_t": _vision(224, input_size=(224, 224)),
    "mnasnet0_5": _vision(),
    "mobilenet_v2": _vision(),
    "mobilenet_v3_small": _vision(),
    "regnet_y_400mf": _vision(),
    "resnet18": _vision(),
    "resnet50": _vision(),
    "resnext50_32x4d": _vision(),
    "shufflenet_v2_x0_5": _vision(),
    "squeezenet1_1": _vision(),
    "swin_t": _vision(),
    "swin_v2_t": _vision(),
    "vgg11_bn": _vision(),
    "vit_b_16": _vision(image_size=32),
    "wide_resnet50_2": _vision(),
    "cait_xxs24_224": _timm_sized(32),
    "coat_lite_tiny": _timm_sized(64),
    "convnextv2_atto": _timm(64),
    "crossvit_tiny_240": _timm(240),
    "deit_tiny_patch16_224": _timm_sized(32),
    "dla34": _timm(64),
    "edgenext_xx_small": _timm(64),
    "efficientformer_l1": _timm(224),
    "eva02_tiny_patch14_224": _timm_sized(28),
    "fastvit_t8": _timm(64),
    "focalnet_tiny_srf": _timm(64),
    "ghostnet_050": _timm(),
    "gmlp_ti16_224": _timm_sized(32),
    "hgnetv2_b0": _timm(),
    "levit_128s": _timm(224),
    "mambaout_femto": _timm(),
    "mixer_s32_224": _timm_sized(64),
    "mobileone_s0": _timm(),
    "mobilevit_xxs": _timm(64),
    "nfnet_l0": _timm(),
    "pit_ti_224": _timm(224),
    "poolformer_s12": _timm(64),
    "regnetz_b16": _timm(),
    "repvgg_a0": _timm(),
    "resmlp_12_224": _timm_sized(32),
    "resnet26": _timm(),
    "rexnet_100": _timm(),
    "seresnet50": _timm(),
    "starnet_s1": _timm(),
    "tiny_vit_5m_224": _timm(224),
    "twins_svt_small": _timm_sized(64),
    "visformer_tiny": _timm(224),
    "xcit_nano_12_p16_224": _timm_sized(64),
}


def built(name: str) -> tuple[Any, tuple[int, int, int]]:
    """A model with random weights, the same each time, and the shape of its inputs."""
    import torch

    library, pixels, given = MODELS[name]
    create: Callable[..., Any] = importlib.import_module(
        "torchvision.models" if library == "torchvision" else library
    ).__dict__["get_model" if library == "torchvision" else "create_model"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return create(name.partition(",")[0], num_classes=_CLASSES, **given), (3, pixels, pixels)


class Row(NamedTuple):
    """What became of a model: its layer without the model, or why it was refused, and the seconds that this took."""

    name: str
    layer: Adopted | None
    seconds: float
    refused: str


def tried(name: str) -> Row:
    model, shape = built(name)
    began = time.perf_counter()
    layer: Any = None
    refused = ""
    try:
        layer = replace(cast(Any, wc.adopt(model, shape, backend="torch", granularity="channel").layers[0]), model=None)
    except WeedoutError as error:
        refused = str(error)
    return Row(name, layer, time.perf_counter() - began, refused)


def page(rows: Sequence[Row]) -> str:
    """The page, in Markdown."""
    versions = ", ".join(f"{library} {importlib.metadata.version(library).partition('+')[0]}" for library in _LIBRARIES)
    adopted = sum(row.layer is not None for row in rows)
    return "\n".join([
        _INTRODUCTION.format(classes=_CLASSES, versions=versions, all=len(rows), adopted=adopted),
        "| model | of | pixels | sites | smaller | read | seconds | the first and the last site, with its channels |",
        "|---|---|---:|---:|---:|---:|---:|---|",
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
        "",
    ])  # fmt: skip


def _cells(row: Row) -> Iterator[str]:
    made = MODELS[row.name]
    yield from (row.name, made.library, str(made.pixels))
    if row.layer is None:
        yield from ("refused", "", "", f"{row.seconds:.1f}", row.refused)
        return
    followed = {follows.site for held in row.layer.params for follows in held.follows}
    whole = [place.whole and not place.within for place in row.layer.places if place.site in followed or place.within]
    yield from (str(len(row.layer.places)), str(whole.count(False)), str(whole.count(True)), f"{row.seconds:.1f}")
    ends = dict.fromkeys((row.layer.places[0], row.layer.places[-1]))
    yield ", ".join(f"`{place.site}` {' × '.join(map(str, place.shape))}" for place in ends)


def main(arguments: Sequence[str]) -> None:
    """Adopt the models that were asked for, all of them if none was, and write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks adopted", description="Adopt models of other libraries."
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {'; '.join(MODELS)} (default: all)")
    parser.add_argument(
        "--out", type=Path, help="the page (default: docs/adopted-models.md, if all models are asked for)"
    )
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.models if name not in MODELS]:
        parser.error(f"the models are {'; '.join(MODELS)}; got {', '.join(unknown)}.")
    if asked.models and asked.out is None:
        parser.error("a page of some models needs a place of its own: say --out.")
    rows: list[Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries, while they build
        for name in asked.models or MODELS:
            rows.append(tried(name))
            print(f"{rows[-1].seconds:5.1f} s  {name}  {rows[-1].refused}", file=sys.stderr, flush=True)
    (asked.out or PAGE).write_text(page(rows), encoding="utf-8")
