"""The user's optimizer in place of SGD: a function of the weights that gives one of ``torch.optim``."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from weedout_core.errors import BackendError
from weedout_torch.devices import Tensor

Parameters = Mapping[str, Tensor]
Factory = Callable[[list[Tensor]], Any]

#: One step: from weights, the optimizer's state, the gradient and SGD's rate to new weights and a new state.
Update = Callable[[Parameters, Any, Parameters, float], tuple[dict[str, Tensor], Any]]


def checked_factory(given: Any) -> Factory:
    """What makes the user's optimizer, or BackendError where nothing can."""
    if not callable(given):
        raise BackendError(
            "the torch backends train with what a function of the weights gives, such as lambda weights: "
            f"torch.optim.Adam(weights); got {given!r}."
        )
    return given


def check_states(states: Any, networks: int) -> None:
    """Raise BackendError unless there is a state of an optimizer for each network."""
    if not isinstance(states, list) or len(states) != networks:
        raise BackendError("the state must be one that train_init gave for this plan; its optimizer is another.")


def of_users(factory: Factory) -> Update:
    """A step of one network's optimizer of ``torch.optim``, on copies: nothing handed in is changed."""

    def update(params: Parameters, states: Any, gradient: Parameters, rate: float) -> Any:
        del rate  # it has its own
        new = {path: value.detach().clone() for path, value in params.items()}
        optimizer = factory(list(new.values()))
        optimizer.load_state_dict(copy.deepcopy(states[0]))
        for path, value in new.items():
            value.grad = gradient[path]
        optimizer.step()
        for value in new.values():
            value.grad = None
        return new, [optimizer.state_dict()]

    return update
