"""The benchmarked networks as a user of PyTorch writes them: modules, NCHW, masks that are multiplied."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

import weedout_core as wc

Tensor = torch.Tensor
TorchMasks = Mapping[str, Tensor]

Layouts = Mapping[str, torch.memory_format]
Model = TypeVar("Model", bound=nn.Module)


def torch_device() -> torch.device:
    """Where PyTorch peers run: as the torch backend chooses."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Mlp(nn.Module):
    """Fully connected layers, a mask after each hidden ReLU. A site that is not in the masks has none."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        widths = (inputs, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(widths))
        self.logits = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor, masks: TorchMasks | None = None) -> Tensor:
        for index, layer in enumerate(self.hidden):
            x = _masked(torch.relu(layer(x)), masks, f"hidden_{index}")
        return self.logits(x)


class Block(nn.Module):
    """A pre-activation block of a Wide ResNet, a mask after each ReLU."""

    def __init__(self, name: str, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.name = name
        self.norm_0 = _norm(channels)
        self.conv_0 = nn.Conv2d(channels, features, 3, stride, padding=1, bias=False)
        self.norm_1 = _norm(features)
        self.conv_1 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        same = channels == features and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels, features, 1, stride, bias=False)

    def forward(self, x: Tensor, masks: TorchMasks | None) -> Tensor:
        active = _masked(torch.relu(self.norm_0(x)), masks, f"{self.name}/mask_0")
        h = _masked(torch.relu(self.norm_1(self.conv_0(active))), masks, f"{self.name}/mask_1")
        return self.conv_1(h) + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    """WRN-depth-width."""

    def __init__(self, depth: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        blocks, channels = [], 16
        for group in range(3):
            features = 16 * width * 2**group
            for block in range((depth - 4) // 6):
                stride = 2 if group and not block else 1
                blocks.append(Block(f"group_{group}/block_{block}", channels, features, stride))
                channels = features
        self.blocks = nn.ModuleList(blocks)
        self.norm = _norm(channels)
        self.logits = nn.Linear(channels, classes)

    def forward(self, x: Tensor, masks: TorchMasks | None = None) -> Tensor:
        x = self.conv(x)
        for block in self.blocks:
            x = block(x, masks)
        return self.logits(_masked(torch.relu(self.norm(x)).mean(dim=(2, 3)), masks, "pooled"))


def build(net: wc.Network, params: Mapping[str, np.ndarray], device: torch.device) -> Mlp | WideResNet:
    """The module of one of the benchmarked networks, with these weights."""
    classes = net.output_shape[0]
    blocks = sorted(path.removesuffix("/conv_0/kernel") for path in params if path.endswith("/conv_0/kernel"))
    if len(net.input_shape) == 1:
        hidden = tuple(layer.units for layer in net.layers if isinstance(layer, wc.nn.Dense))[:-1]
        model: Mlp | WideResNet = Mlp(net.input_shape[0], hidden, classes)
    else:
        width = params["group_0/block_0/conv_0/kernel"].shape[-1] // 16
        model = WideResNet(2 * len(blocks) + 4, width, classes)
    model.load_state_dict({_path(path, blocks): _weight(path, value) for path, value in params.items()})
    return model.to(device)


def inputs(x: np.ndarray, device: torch.device) -> Tensor:
    """Examples in PyTorch's layout: images are NCHW."""
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if x.ndim == 4 else x))
    return tensor.to(device)


def layouts(x: np.ndarray) -> Layouts:
    """The layouts in which PyTorch computes on such inputs, by what is added to a name: images have two."""
    default = {"": torch.contiguous_format}
    return default | {", channels_last": torch.channels_last} if x.ndim == 4 else default


def in_layout(model: Model, layout: torch.memory_format) -> Model:
    """The same module, its kernels in the layout of the images it is to compute on."""
    for weight in model.parameters():
        weight.data = laid_out(weight.data, layout)
    return model


def laid_out(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    """Images, their masks or kernels in a layout; what has no height and width has none."""
    return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor


def masks(found: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """Masks of candidates as floats ``(m, *shape)`` that broadcast over activations in PyTorch's layout."""

    def one(site: str, mask: np.ndarray) -> np.ndarray:
        if site == "pooled" or site.startswith("hidden_"):
            return mask
        return mask[:, :, None, None] if mask.ndim == 2 else np.moveaxis(mask, -1, 1)

    return {site: torch.from_numpy(one(site, mask).astype(np.float32)).to(device) for site, mask in found.items()}


def _masked(h: Tensor, masks: TorchMasks | None, site: str) -> Tensor:
    return h if masks is None or site not in masks else h * masks[site]


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the statistics of the batch."""
    return nn.BatchNorm2d(channels, track_running_stats=False)


def _path(path: str, blocks: Sequence[str]) -> str:
    """Our path of a parameter as PyTorch's name of it."""
    layer, leaf = path.rsplit("/", 1)
    for index, name in enumerate(blocks):
        layer = layer.replace(f"{name}/", f"blocks.{index}.")
    return f"{layer.replace('dense_', 'hidden.')}.{'bias' if leaf == 'bias' else 'weight'}"


def _weight(path: str, value: np.ndarray) -> Any:
    if path.endswith("/kernel"):
        value = value.T if value.ndim == 2 else value.transpose(3, 2, 0, 1)
    return torch.from_numpy(np.array(value, dtype=np.float32))
