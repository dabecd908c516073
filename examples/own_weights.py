"""A module of PyTorch goes in, is searched and trained, and comes out again as a file of its own weights."""

import tempfile
from pathlib import Path

import safetensors.torch
import torch
from sklearn.datasets import load_digits
from torch import nn

import weedout_core as wc


def small():
    """A module of PyTorch, with new weights."""
    convolution = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*convolution, nn.Linear(16 * 64, 64), nn.ReLU(), nn.Linear(64, 10))


x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 1, 8, 8) / 16
validation, training, test = [(x[part], y[part]) for part in (slice(300), slice(300, 1500), slice(1500, None))]
torch.manual_seed(0)
given = {"backend": "torch", "key": wc.key(0)}
net = wc.adopt(small(), (1, 8, 8), backend="torch")
found = wc.search(net, validation, sparsity=0.8, config=wc.SearchConfig(population=20, generations=3), **given)
trained = wc.train(found.network, training, config=wc.TrainConfig(epochs=20), **given).network
print(f"test accuracy {wc.evaluate(trained, test, backend='torch').accuracy:.1%}")

path, module, images = Path(tempfile.mkdtemp()) / "small.safetensors", trained.rebuild(), torch.tensor(test[0]).float()
masks = {f"mask/{site}": torch.tensor(kept) for site, kept in trained.mask.items()}
safetensors.torch.save_file({**module.state_dict(), **masks}, path)
read, fresh = safetensors.torch.load_file(path), small()
mask = {site: read.pop(f"mask/{site}").numpy() for site in trained.mask}
fresh.load_state_dict(read)
arrays = [{name: read[name].numpy() for name in part} for part in (trained.params, trained.statistics)]
again = wc.Subnetwork(wc.adopt(fresh, (1, 8, 8), backend="torch"), arrays[0], mask, arrays[1]).rebuild()
print("the largest difference of a logit", (again(images) - module(images)).abs().max().item())
