"""How a loss changes with the numbers of the masks, in float64: what SNIP and SynFlow rate nodes by."""

from typing import Any

import torch

from weedout_core import Network
from weedout_torch.devices import Place, Tensor
from weedout_torch.loss import cross_entropy
from weedout_torch.network import forward


def mask_gradient(
    place: Place, net: Network, params: Any, statistics: Any, masks: Any, x: Any, y: Any | None
) -> dict[str, Tensor]:
    """∂L/∂m of one network: {site: float64 ``shape``}."""
    params, statistics, masks = (
        {path: value.to(torch.float64).unsqueeze(0) for path, value in place.placed(tree).items()}
        for tree in (params, statistics, masks)
    )
    x, y = place.placed(x).to(torch.float64), place.placed(y)
    with torch.enable_grad():
        factors = {site: mask.requires_grad_() for site, mask in masks.items()}
        logits, _ = forward(net.layers, params, x.unsqueeze(0), factors, statistics, "float64")
        loss = logits.sum() if y is None else cross_entropy(logits, y.unsqueeze(0)).sum()
        gradients = torch.autograd.grad(loss, list(factors.values())) if factors else ()
    found = {site: gradient.squeeze(0) for site, gradient in zip(factors, gradients, strict=True)}
    place.sync()
    return found
