"""Where masks lie in a module, and which entries of its weights they keep."""

from typing import NamedTuple

import torch

from weedout_core.backend import Follows
from weedout_torch.devices import Tensor


class Spot(NamedTuple):
    """Where the mask of a site lies.

    Attributes:
        site: the name of the site.
        axis: the axis of the channels in the activation.
        granularity: "node" or "channel".
    """

    site: str
    axis: int
    granularity: str

    def laid(self, mask: Tensor, made: Tensor) -> Tensor:
        """A mask with its channels last, as it is multiplied with an activation."""
        if self.granularity == "node":
            # What a mask makes lies in memory as the mask does, and for another layout kernels sum in another order.
            return torch.empty_like(made[:1], dtype=mask.dtype).copy_(mask.movedim(-1, self.axis - 1))
        shape = [1] * made.ndim
        shape[self.axis] = -1
        return mask.view(shape)


def kept_entries(follows: Follows, mask: Tensor) -> Tensor:
    """The places along an axis that belong to the nodes which a mask keeps: int64 ``(n,)``."""
    rows = (mask.reshape(-1) != 0).repeat_interleave(follows.each).repeat(follows.repeats)
    return rows.nonzero().reshape(-1)
