"""What a module does in training and not in evaluation: running statistics that move, and random numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from weedout_core.errors import BackendError
from weedout_torch.adopt.module import in_mode
from weedout_torch.adopt.states import generators, remembered, seeded
from weedout_torch.adopt.watching import called
from weedout_torch.devices import Tensor

_LARGE = 100.0  # a statistic such as a maximum moves for inputs larger than any before


class Trained(NamedTuple):
    """What was seen of a module in training.

    Attributes:
        logits: what it gave.
        moving: the buffers that change: running statistics.
        times: how often each activation was called, by its name without its number.
        draws: whether it draws random numbers.
    """

    logits: Any
    moving: list[str]
    times: Mapping[str, int]
    draws: bool


def trained(given: torch.nn.Module, x: Tensor) -> Trained:
    """Run a module as in training.

    Raises:
        BackendError: its logits depend on earlier calls, or a buffer moves that is not of floats and counts no batches.
    """
    module = in_mode(given, "train")
    _check_forgets(module, x)
    logits, times, after = _called(module, x)
    before = generators()
    _, _, moved = _called(module, _LARGE * x)
    draws = generators() != before
    buffers = dict(module.named_buffers())
    moving = [path for path, own in buffers.items() if not all(torch.equal(own, one[path]) for one in (after, moved))]
    counts = "num_batches_tracked"
    if strange := [path for path in moving if not (buffers[path].is_floating_point() or path.endswith(counts))]:
        raise BackendError(
            f"{strange[0]!r} of {type(given).__name__} changes in training and is not of floats. Adopt a module "
            "without."
        )
    return Trained(logits, [path for path in moving if buffers[path].is_floating_point()], times, draws)


def _called(module: torch.nn.Module, x: Tensor) -> tuple[Any, Mapping[str, int], dict[str, Tensor]]:
    arrays = _arrays(module)
    with torch.no_grad():
        logits, times = called(module, arrays, x, lambda _, made: made)
    return logits, times, arrays


def _arrays(module: torch.nn.Module) -> dict[str, Tensor]:
    """Its parameters, and copies of its buffers, which may be changed."""
    return {**dict(module.named_parameters()), **{path: value.clone() for path, value in module.named_buffers()}}


def _check_forgets(given: torch.nn.Module, x: Tensor) -> None:
    """Raise BackendError if a second call in training gives other logits for the same arrays and random numbers."""
    module = in_mode(given, "train")
    before, found = remembered(module), []
    for _ in range(2):
        with torch.no_grad(), seeded(0, []):
            found.append(torch.func.functional_call(module, _arrays(module), (x,)))
    if isinstance(found[0], Tensor) and not torch.equal(*found):
        after = remembered(module)
        changed = [path for path, value in after.items() if path not in before or before[path] is not value]
        which = f": {', '.join(changed)}" if changed else ""
        raise BackendError(
            f"{type(given).__name__} gives other logits in training when it was called before, by what it keeps in "
            f"attributes that are no buffers{which}. Make them buffers, or leave them out."
        )
