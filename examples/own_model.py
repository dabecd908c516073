"""Judge SNIP on a model of your own; on the command line: weedout judge snip --model own_model:model."""

import tempfile
from pathlib import Path

import torch

import weedout_core as wc
from weedout_core import lab


class Small(torch.nn.Module):
    """A small convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = torch.nn.Conv2d(1, 16, 3, stride=2), torch.nn.BatchNorm2d(16)
        self.hidden, self.head = torch.nn.Linear(144, 64), torch.nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.norm(self.stem(x.movedim(-1, 1))))  # the digits have their channels last
        return self.head(torch.relu(self.hidden(h.flatten(1))))


def model(seed: int) -> wc.Network:
    """The parent of a repeat: the seed decides its initial weights."""
    torch.manual_seed(seed)
    return wc.adopt(Small(), (8, 8, 1), backend="torch")


if __name__ == "__main__":
    search, train = wc.SearchConfig(population=5, generations=2), wc.TrainConfig(epochs=15, batch_size=200)
    config = lab.ExperimentConfig(backend="torch", search=search, train=train)
    judging = lab.JudgeConfig(sparsity=(0.8,), repeats=(2,), sanity=False)
    run = lab.RunOptions(out=Path(tempfile.mkdtemp(), "run"))
    judgement = lab.judge("snip", config, judging, run, model=model)
    for finding in judgement.decision.findings:
        print(finding.sentence)
    for row in judgement.results:
        print(f"{row.arm:7} {row.repeat} {row.test_accuracy:6.1%}")
