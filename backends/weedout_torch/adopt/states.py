"""What a call of a module must not leave behind: attributes that are no buffers, and generators of random numbers."""

import copy
import random
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

#: The attributes that every module has: its parameters, buffers and parts, its hooks, its mode.
_EVERY = frozenset(vars(torch.nn.Module()))
#: NumPy's generator of the whole process.
_NUMPY: Any = np.random.mtrand._rand
_CONTAINERS = (list, deque, dict, set)


@contextmanager
def as_before(module: torch.nn.Module) -> Generator[None]:
    """After this context the attributes of a module and of its parts are as they were, lists and the like included."""
    before = [(vars(part), _own(part)) for part in module.modules()]
    held = [(value, copy.copy(value)) for _, own in before for value in own.values() if isinstance(value, _CONTAINERS)]
    try:
        yield
    finally:
        for attributes, own in before:
            for name in set(attributes) - set(own) - _EVERY:
                del attributes[name]
            attributes.update(own)
        for value, content in held:
            _refill(value, content)


def _own(part: torch.nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(part).items() if name not in _EVERY}


def _refill(value: Any, content: Any) -> None:
    value.clear()
    (value.extend if isinstance(value, list | deque) else value.update)(content)


def remembered(module: torch.nn.Module) -> dict[str, Any]:
    """The attributes of a module and of its parts, beside parameters and buffers: {path: value}."""
    parts = module.named_modules()
    return {f"{path}.{name}".lstrip("."): value for path, part in parts for name, value in _own(part).items()}


@contextmanager
def seeded(seed: int | None, devices: list[torch.device]) -> Generator[None]:
    """Inside this context PyTorch, Python and NumPy draw from a seed; what the caller draws later is not touched."""
    before = random.getstate(), _NUMPY.get_state()
    try:
        with torch.random.fork_rng(devices=devices):
            if seed is not None:
                torch.manual_seed(seed)
                random.seed(seed)
                _NUMPY.seed(seed % 2**32)
            yield
    finally:
        random.setstate(before[0])
        _NUMPY.set_state(before[1])


def generators() -> tuple[Any, ...]:
    """The states of the generators from which a module may draw on the host, to be compared."""
    numpys = _NUMPY.get_state(legacy=False)
    return torch.random.get_rng_state().tolist(), random.getstate(), str(numpys)
