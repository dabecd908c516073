"""Adopting modules of PyTorch: ``watching`` sees what a module calls, ``finding`` its sites, ``module`` computes with
masks at them, and ``checks`` tries whether that is the module.
"""

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch

from weedout_core.backend import Adopted, Held, Place
from weedout_core.errors import BackendError
from weedout_core.nn import Units
from weedout_torch.adopt.checks import (
    check_gradients,
    check_logits,
    check_module,
    has_gradient,
    same_logits,
    sites_count,
)
from weedout_torch.adopt.failures import check_times, said, told
from weedout_torch.adopt.finding import Activation, chosen, find
from weedout_torch.adopt.learning import trained
from weedout_torch.adopt.masked import masks_of
from weedout_torch.adopt.module import Module, Spot, in_mode
from weedout_torch.adopt.states import seeded

_EXAMPLES, _MORE = 3, 5  # numbers that few axes of a model have


def adopt(
    model: Any,
    input_shape: tuple[int, ...],
    sites: tuple[str, ...] | None,
    names: Mapping[str, str],
    granularity: Units,
) -> Adopted:
    """A module as a layer that this backend computes, on any device."""
    check_module(model)
    given: torch.nn.Module = model
    name = type(given).__name__
    x, more = torch.randn(_MORE + _EXAMPLES, *input_shape, generator=torch.Generator().manual_seed(0)).split(
        (_EXAMPLES, _MORE)
    )
    try:
        evaluated = in_mode(given, "running")
    except Exception as error:
        raise BackendError(f"{name} cannot be copied by copy.deepcopy: {said(error)}.") from error
    shape = ", ".join(("examples", *map(str, input_shape)))
    with seeded(0, []), told(given, f"on inputs ({shape})"):
        found, others = find(evaluated, x, given), find(evaluated, more, given)
        learned = trained(given, x)
    check_logits(found.logits, _EXAMPLES, name)
    check_logits(learned.logits, _EXAMPLES, f"{name}, in training,")
    some = chosen(found, others, sites, names)
    check_gradients(some, name)
    spots = {one.name: Spot(site, one.axis, granularity) for site, one in some}
    module = Module(given, spots, learned.moving, found.times)
    for times, examples in ((others.times, _MORE), (learned.times, _EXAMPLES)):
        check_times(given, module.times, times, examples)
    places = tuple(_place(site, one, granularity) for site, one in some)
    full = {place.site: torch.ones(place.shape, dtype=torch.bool) for place in places}
    with told(given, f"on inputs ({shape})"):
        same_logits(evaluated, found.logits, module, x, full)
    sites_count(module, list(spots.items()), x, name)
    has_gradient(module, x, full, name)
    return Adopted(
        name,
        ("torch",),
        found.logits.shape[1],
        places,
        tuple(
            Held(path, value.shape, found.macs.get(path, 0), found.reads.get(path, 0), frozen=path in module.frozen)
            for path, value in module.params.items()
        ),
        tuple(Held(path, value.shape) for path, value in module.statistics.items()),
        _digest(given),
        trained_whole=learned.draws or module.frozen.issuperset(module.params),
        model=module,
    )


def _place(site: str, one: Activation, granularity: str) -> Place:
    channels = one.shape[one.axis]
    others = tuple(length for axis, length in enumerate(one.shape) if axis not in (0, one.axis))
    shape = (*others, channels) if granularity == "node" else (channels,)
    return Place(site, shape, f"{one.after or 'inputs'} → {one.name}", one.before or "logits")


def _digest(given: torch.nn.Module) -> str:
    """What a module computes: the text of its classes, its settings, its arrays, and the masks that it carries."""
    kinds = sorted({type(part) for part in given.modules()}, key=lambda kind: kind.__qualname__)
    own = [kind for kind in kinds if not kind.__module__.startswith("torch.nn.")]
    hashed = hashlib.sha256("\n".join([repr(given), *map(_text, own)]).encode())
    masks = {f"{path} {site}": mask for path, part in given.named_modules() for site, mask in masks_of(part).items()}
    for path, value in {**given.state_dict(), **masks}.items():
        if not isinstance(value, torch.Tensor):  # of get_extra_state
            hashed.update(f"{path} {value!r}".encode())
            continue
        hashed.update(f"{path} {value.dtype} {tuple(value.shape)}".encode())
        hashed.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def _text(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed in
        return kind.__qualname__
