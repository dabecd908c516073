"""What a network costs: parameters, multiply-adds (MACs) for one example, bytes. Dense, and active under masks.

A removed node takes with it the weights that lead to it and away from it. A masked network still *computes*
the dense MACs; the active ones are what a compacted network needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from weedout_core._errors import MaskError
from weedout_core._masks import Masks
from weedout_core._networks import Network, mask_space, weight_layers

_BYTES_PER_PARAMETER = 4  # float32


@dataclass(frozen=True)
class Costs:
    """Counts for one network. MACs are for the forward pass of one example, zeros included in the dense count.

    Attributes:
        parameters, active_parameters: numbers stored, and those that act on something.
        macs, active_macs: multiply-adds of the weight layers, of the parent and of what is kept.
        bytes, active_bytes: parameters × 4, float32.
    """

    parameters: int
    active_parameters: int
    macs: int
    active_macs: int

    @property
    def bytes(self) -> int:
        return self.parameters * _BYTES_PER_PARAMETER

    @property
    def active_bytes(self) -> int:
        return self.active_parameters * _BYTES_PER_PARAMETER


def costs(net: Network, masks: Masks | Mapping[str, int] | None = None) -> Costs:
    """Count a network's costs under masks.

    Args:
        net: the parent.
        masks: {site: bool array} of one candidate, or {site: nodes kept}; None keeps every node.
    Raises:
        MaskError: a site is not the network's.
    """
    space = mask_space(net)
    masks = {} if masks is None else masks
    if unknown := set(masks) - set(space):
        raise MaskError(f"the network has the sites {sorted(space)}; got {sorted(unknown)}.")
    kept = {site: mask if isinstance(mask, int) else int(mask.sum()) for site, mask in masks.items()}
    parameters = active_parameters = macs = active_macs = 0
    for layer in weight_layers(net):
        inputs = kept.get(layer.site_before or "", layer.inputs)
        outputs = kept.get(layer.site_after or "", layer.outputs)
        macs += layer.inputs * layer.outputs
        active_macs += inputs * outputs
        parameters += (layer.inputs + 1) * layer.outputs
        active_parameters += (inputs + 1) * outputs
    return Costs(parameters, active_parameters, macs, active_macs)
