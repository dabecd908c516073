"""The loss, by PyTorch's own kernel."""

import torch
import torch.nn.functional as F

from weedout_torch.devices import Tensor


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of each example, in nats: logits ``(R, examples, classes)`` and labels → ``(R, examples)``.

    Those of a network are NaN, and so is their gradient, where one of its logits is not finite or a label is no class.
    PyTorch's would be finite where a logit is −∞, skip an example whose label is −100, and refuse other labels on a CPU
    alone. With any other logit that is not finite it is NaN by itself.
    """
    y = y.long()
    true = y.clamp(0, logits.shape[-1] - 1)
    sound = logits.detach().amin(dim=(1, 2)).isfinite() & (true == y).all(dim=-1)
    losses = F.cross_entropy(logits.mT, true, reduction="none")
    return losses * torch.where(sound, 1.0, torch.nan).unsqueeze(-1)
