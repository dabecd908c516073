"""A candidate of any origin: a mask and weights that a search did not find, as what is trained, measured and judged."""

from weedout_core._contract.calls import Parameters
from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend, check_layers, map_tree
from weedout_core._guard.guarded import guarded
from weedout_core._guard.hosted import frozen
from weedout_core._masks.plan import Masks
from weedout_core._networks.initial import he_normal
from weedout_core._networks.network import Network, adopted, checked_network_masks, initial_statistics, the_model
from weedout_core._phases.drawing import check_parent
from weedout_core._phases.subnetwork import Subnetwork
from weedout_core._random.annotations import Key
from weedout_core._random.keys import of_parent
from weedout_core.errors import ConfigError, MaskError


@guarded
@fenced_phase
def candidate(
    net: Network,
    mask: Masks,
    params: Parameters | None = None,
    *,
    statistics: Parameters | None = None,
    backend: str | Backend | None = None,
    key: Key | None = None,
) -> Subnetwork:
    """A mask of any origin on a network, with weights of any origin: what a search finds, without the search.

    ``train``, ``evaluate`` and an arm of ``weedout judge`` take it as they take a winner; ``backend.score`` takes its
    params, beside the masks of several candidates.

    Args:
        net: the parent.
        mask: {site: bool ``shape``} of any framework, True where a node is kept: at least one node of each site.
        params: the weights, {path: float ``shape``}, of any framework. None takes an adopted model's own or, with
            backend and key, the initial weights that all candidates share in a search of this key.
        statistics: the running statistics of batch normalisation that belong to the weights; None takes those before
            training.
        backend, key: what draws the weights, where there are none.
    Raises:
        ConfigError: weights or statistics are not those of the network; or there are neither weights nor what draws
            them, or both.
        MaskError: the mask does not fit the network, or removes all nodes of a site.
        BackendError: the backend is not there, or does not compute the network.
    """
    check_parent(net)
    checked_network_masks(net, mask, leading=0)
    kept = {site: frozen(one) for site, one in mask.items()}
    for site, one in kept.items():
        if not one.any():
            raise MaskError(f"the mask must keep at least one node of site {site!r}; it removes all {one.size}.")
    weights = _weights(net, params, backend, key)
    return Subnetwork(net, weights, kept, statistics or initial_statistics(net) or None)


def _weights(net: Network, params: Parameters | None, backend: str | Backend | None, key: Key | None) -> Parameters:
    """The weights that are handed in, an adopted model's own, or those that are drawn; exactly one of the three."""
    own = adopted(net) if params is None else None
    found = params if own is None else the_model(own).params
    if found is None and backend is not None and key is not None:
        there = load_backend(backend)
        check_layers(there, net)
        return map_tree(there.to_numpy, there.draw_parameters(of_parent(key), he_normal(net)))
    if found is None or backend is not None or key is not None:
        raise ConfigError(
            "a candidate needs params, or a backend and a key, by which the initial weights of a search are drawn; an "
            f"adopted model has its own. Got {'weights' if found is not None else 'no weights'} and "
            f"{'a backend' if backend is not None else 'no backend'}, {'a key' if key is not None else 'no key'}."
        )
    return found
