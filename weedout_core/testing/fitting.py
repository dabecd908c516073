"""The check that there is something to try on a backend at all."""

from weedout_core._contract.record import Backend
from weedout_core.testing.networks import masked, networks


def computes_a_network(backend: Backend, reference: Backend) -> None:
    """The backend computes the layers of at least one network of the kit, each of which has a mask."""
    del reference
    layers = ", ".join(kind.__name__ for kind in backend.layers) or "none"
    assert masked(networks(backend)), (
        f"the backend computes no network with a mask that the kit has: its layers are {layers}; "
        "the least is Dense, Relu and Mask. Name those that it computes in Backend.layers."
    )
