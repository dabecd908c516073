"""Adoption: a model of another library becomes a network that a search, a training and an evaluation take."""

from collections.abc import Mapping, Sequence
from typing import Any

from weedout_core._contract.fence import fenced_phase
from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend
from weedout_core._guard.guarded import guarded
from weedout_core._guard.kinds import Name
from weedout_core._networks.connections import with_connections
from weedout_core._networks.layers import Granularity, InputShape
from weedout_core._networks.network import Network
from weedout_core._phases.adopted_smaller import made_smaller
from weedout_core.errors import BackendError, ConfigError


@guarded
@fenced_phase
def adopt(
    model: Any,
    input_shape: InputShape,
    *,
    backend: str | Backend,
    sites: Sequence[Name] | None = None,
    names: Mapping[str, Name] = {},
    granularity: Granularity = "node",
) -> Network:
    """A network of a model of another library: its weights, its names, and sites where its activations are masked.

    The model is copied, and never changed. What its sites are is shown by ``network.sites``. Before it is adopted, the
    model is run on random inputs, to see that masks that keep all change no logit, that every site decides the logits,
    and which sites leave a smaller model when they are masked.

    Args:
        model: the model. PyTorch: an ``nn.Module``. JAX: an ``nnx.Module`` of flax; a linen module with its variables;
            an ``eqx.Module``, with its state if it has one; or a function ``apply(params, x)`` with its params.
        input_shape: the shape of one input, as the model takes it.
        backend: the backend of its library, a name or a Backend.
        sites: the activations that are masked, by their names or patterns of them, as in "layer1.*"; None takes all
            that have the shape of the weight layer before them, between the first and the last weight layer. With
            granularity "connection" they are the weights, by their paths, and None takes all of weight layers.
        names: other names for sites, {name: new name}. Masks are drawn by name: sites that are called alike and have
            one shape have the same masks for a key, in every library.
        granularity: "node", a bit for every unit of an activation (the paper), "channel", one for each channel, or
            "connection", one for each weight, and no activation is masked. ``wc.nn.with_connections`` masks the weights
            beside the activations of a network that was adopted.
    Raises:
        ConfigError: an argument does not fit, the model has no site, or a site is none of those that there are.
        BackendError: the backend adopts no models, or cannot adopt this one; the message says why.
    """
    backend = load_backend(backend)
    if backend.adopt is None:
        raise BackendError(f"the {backend.name} backend adopts no models of other libraries. Take jax or torch.")
    some = None if sites is None else tuple(sites)
    if granularity == "connection":
        layer = backend.adopt(model, input_shape, (), names, "node")
        return with_connections(Network((layer,), input_shape), ("*",) if some is None else some)
    layer = backend.adopt(model, input_shape, some, names, granularity)
    if not layer.places:
        raise ConfigError('sites must be some; got none. Masks of single weights need granularity="connection".')
    with backend.fence():  # for the gradients of the model, which are no call of the backend
        return Network((made_smaller(layer, input_shape, backend),), input_shape)
