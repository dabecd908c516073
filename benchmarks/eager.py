"""Training as a user of PyTorch writes it, eager and dense, in either layout of images."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.networks_torch import build, in_layout, inputs, laid_out, torch_device
from benchmarks.work import Work


def eager(
    task: Work, layout: torch.memory_format, device: torch.device | None = None, compiled: bool = False
) -> Callable[[], np.ndarray]:
    """An epoch: the losses of its steps. It trains on from call to call.

    Args:
        device: where; None is where PyTorch's peers run.
        compiled: whether the loss, and with it the gradient, goes through ``torch.compile``.
    """
    device, config = device or torch_device(), task.plan.config
    model = in_layout(build(task.net, task.params, device), layout)
    x, y = laid_out(inputs(task.x, device), layout), torch.from_numpy(task.y).to(device)
    order = torch.from_numpy(task.order[0].astype(np.int64)).to(device)
    kernels = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": kernels, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov,
    )  # fmt: skip

    def loss_of(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.compute == "bfloat16"):
            logits = model(images)
        return F.cross_entropy(logits.float(), labels)

    cost = torch.compile(loss_of) if compiled else loss_of

    def epoch() -> np.ndarray:
        losses: list[torch.Tensor] = []
        for batch in order:
            optimizer.zero_grad()
            loss = cost(x[batch], y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).numpy(force=True)

    return epoch
