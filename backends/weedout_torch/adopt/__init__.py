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
from weedout_core.nn import Granularity
from weedout_torch.adopt.checks import check_logits, check_module, has_gradient, same_logits, sites_count
from weedout_torch.adopt.finding import Activation, chosen, find
from weedout_torch.adopt.module import Module, Spot, in_mode
from weedout_torch.devices import Tensor

_EXAMPLES = 3  # a number that few axes of a model have


def adopt(
    model: Any,
    input_shape: tuple[int, ...],
    sites: tuple[str, ...] | None,
    names: Mapping[str, str],
    granularity: Granularity,
) -> Adopted:
    """A module as a layer that this backend computes, on any device."""
    check_module(model)
    given: torch.nn.Module = model
    name = type(given).__name__
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_EXAMPLES, *input_shape, generator=generator)
    try:
        evaluated = in_mode(given, "running")
        found = find(evaluated, x)
        logits, moving = _trained(given, x)
    except Exception as error:
        raise BackendError(f"{name} cannot be run on inputs (examples, *{input_shape}): {_said(error)}.") from error
    check_logits(found.logits, _EXAMPLES, name)
    check_logits(logits, _EXAMPLES, f"{name}, in training,")
    _check_moving(moving, name)
    some = chosen(found.activations, _EXAMPLES, sites, names)
    spots = {one.name: Spot(site, one.axis, granularity) for site, one in some}
    module = Module(given, spots, [path for path, value in moving.items() if value.is_floating_point()])
    places = tuple(_place(site, one, granularity) for site, one in some)
    full = {place.site: torch.ones(place.shape, dtype=torch.bool) for place in places}
    same_logits(evaluated, found.logits, module, x, full)
    sites_count(module, list(spots.items()), x, name)
    has_gradient(module, x, full, name)
    return Adopted(
        name,
        ("torch",),
        found.logits.shape[1],
        places,
        tuple(
            Held(path, value.shape, found.macs.get(path, 0), found.reads.get(path, 0))
            for path, value in module.params.items()
        ),
        tuple(Held(path, value.shape) for path, value in module.statistics.items()),
        _digest(given),
        model=module,
    )


def _place(site: str, one: Activation, granularity: str) -> Place:
    channels = one.shape[one.axis]
    others = tuple(length for axis, length in enumerate(one.shape) if axis not in (0, one.axis))
    shape = (*others, channels) if granularity == "node" else (channels,)
    return Place(site, shape, f"{one.after or 'inputs'} → {one.name}", one.before or "logits")


def _trained(given: torch.nn.Module, x: Tensor) -> tuple[Any, dict[str, Tensor]]:
    """What a module gives in training, and the buffers that this changes: running statistics."""
    trained = in_mode(given, "train")
    before = {path: value.clone() for path, value in trained.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        logits = trained(x)
    return logits, {path: value for path, value in trained.named_buffers() if not torch.equal(value, before[path])}


def _check_moving(moving: Mapping[str, Tensor], name: str) -> None:
    """Raise BackendError for a buffer that training changes and that is not of floats, unless it counts batches."""
    counts = ("num_batches_tracked",)
    if strange := [path for path, value in moving.items() if not (value.is_floating_point() or path.endswith(counts))]:
        raise BackendError(
            f"{strange[0]!r} of {name} changes in training and is not of floats. Adopt a module without."
        )


def _digest(given: torch.nn.Module) -> str:
    """What a module computes: the text of its classes, its settings, its arrays."""
    kinds = sorted({type(part) for part in given.modules()}, key=lambda kind: kind.__qualname__)
    own = [kind for kind in kinds if not kind.__module__.startswith("torch.nn.")]
    hashed = hashlib.sha256("\n".join([repr(given), *map(_text, own)]).encode())
    for path, value in given.state_dict().items():
        hashed.update(f"{path} {value.dtype} {tuple(value.shape)}".encode())
        hashed.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()


def _text(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed in
        return kind.__qualname__


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
