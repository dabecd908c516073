"""Adopting models of flax, equinox and plain JAX. Each kind of model becomes a pure function (``of_nnx``, ``of_linen``,
``of_equinox``, ``of_function``). That is traced to a program: ``walking`` goes through its equations, ``activations``
knows which are activations, ``finding`` sees the weight layers too, ``axes`` follows their channels, ``choosing`` takes
the sites, ``matching`` finds them in other traces, ``model`` computes with masks at them, ``reading`` with weights that
read a part of one, and ``checks`` tries whether that is the user's model.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, cast

import jax
import numpy as np

from weedout_core.backend import Adopted, Held, Place
from weedout_core.errors import BackendError
from weedout_core.nn import Units
from weedout_jax.adopt.checks import same_logits, sites_count
from weedout_jax.adopt.choosing import Activation, calls_of, chosen
from weedout_jax.adopt.finding import macs_of, reads_of
from weedout_jax.adopt.matching import same_for_more, same_in_training
from weedout_jax.adopt.model import Model, Spot, Traced, draws, traced
from weedout_jax.adopt.pure import SAID, Mode, Pure, explained, summary
from weedout_jax.jaxprs import arrays_in

_FEW, _MORE = 3, 5  # numbers of examples
_MODES: tuple[Mode, ...] = ("running", "batch", "train")


def adopt(
    model: Any,
    input_shape: tuple[int, ...],
    sites: tuple[str, ...] | None,
    names: Mapping[str, str],
    granularity: Units,
) -> Adopted:
    """A model as a layer that this backend computes."""
    pure = _pure(model)
    few, more = (_seen(pure, (count, *input_shape)) for count in (_FEW, _MORE))
    calls: dict[Mode, list[Activation]] = {}
    for mode in _MODES:
        both = few[mode].events, more[mode].events
        same_for_more(*both, (_FEW, _MORE), f"{pure.name}, {SAID[mode]},")
        calls[mode] = calls_of(*both, (_FEW, _MORE))
    some = chosen([one for one in calls["running"] if one.name], sites, names, pure.name, granularity)
    same_in_training(calls, pure.name)
    spots = [Spot(site, one, granularity) for site, one in some]
    adopted, places = Model(pure, calls, spots), tuple(map(_place, spots))
    x = np.random.default_rng(0).standard_normal((_FEW, *input_shape), np.float32)
    same_logits(pure, adopted, x, {place.site: np.ones(place.shape, np.bool_) for place in places})
    sites_count(pure, adopted, spots, x)
    macs = macs_of(few["running"].events, {path: value.size for path, value in pure.params.items()}, _FEW)
    reads = reads_of(few["running"].events)
    return Adopted(
        pure.name,
        ("jax",),
        few["running"].program.out_avals[0].shape[1],
        places,
        tuple(Held(path, value.shape, macs.get(path, 0), reads.get(path, 0)) for path, value in pure.params.items()),
        tuple(Held(path, value.shape) for path, value in pure.statistics.items()),
        _digest(pure, few),
        trained_whole=draws(few["train"].program.jaxpr),
        model=adopted,
    )


def _pure(model: Any) -> Pure:
    """The model as a pure function. Its library is imported by whoever made it.

    Raises BackendError for what is no model, and for one that cannot be read.
    """
    first = model[0] if isinstance(model, tuple) and len(model) == 2 else model
    pair = first is not model
    libraries = {".".join(kind.__module__.split(".")[:2]) for kind in type(first).__mro__}
    if "flax.nnx" in libraries and not pair:
        from weedout_jax.adopt.of_nnx import read
    elif "flax.linen" in libraries and pair:
        from weedout_jax.adopt.of_linen import read
    elif any(name.partition(".")[0] == "equinox" for name in libraries):
        from weedout_jax.adopt.of_equinox import read
    elif pair and callable(first):
        from weedout_jax.adopt.of_function import read
    else:
        raise BackendError(
            "the jax backend adopts an nnx.Module, (a linen module, its variables), an eqx.Module, (a stateful one, "
            f"its state), or (a function apply(params, x), its params); got {type(model).__name__}."
        )
    try:
        return explained(cast(Any, read)(model))
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"{type(first).__name__} cannot be read: {summary(error)}.") from error


def _seen(pure: Pure, shape: tuple[int, ...]) -> dict[Mode, Traced]:
    """The model as it computes in each mode.

    Raises BackendError for one that cannot be traced, gives no logits, or calls back into Python.
    """
    x = jax.ShapeDtypeStruct(shape, np.float32)
    seen: dict[Mode, Traced] = {mode: traced(pure, pure.params, pure.statistics, x, mode, "highest") for mode in _MODES}
    again = traced(pure, pure.params, pure.statistics, x, "running", "highest")
    if _text(again) != _text(seen["running"]):
        raise BackendError(f"{pure.name} changes when it is traced, which happens once and not at each step.")
    if any("callback" in _text(one) for one in seen.values()):
        raise BackendError(f"{pure.name} calls back into Python, which no program can be known by. Take that out.")
    return seen


def _place(spot: Spot) -> Place:
    one = spot.activation
    channel = one.channels - (one.channels > one.examples)
    others = tuple(length for axis, length in enumerate(one.shape) if axis != channel)
    shape = (*others, one.shape[channel]) if spot.granularity == "node" else (one.shape[channel],)
    return Place(spot.site, shape, f"{one.after or 'inputs'} → {one.name}", one.before or "logits")


def _digest(pure: Pure, seen: Mapping[Mode, Traced]) -> str:
    """What a model computes: its programs, the arrays in them, its weights and statistics."""
    hashed = hashlib.sha256()
    for mode, one in seen.items():
        hashed.update(f"{mode} {_text(one)}".encode())
        for array in arrays_in(one.program):
            hashed.update(array)
    for path, value in {**pure.params, **pure.statistics}.items():
        hashed.update(f"{path} {value.shape}".encode())
        hashed.update(value.tobytes())
    return hashed.hexdigest()


def _text(one: Traced) -> str:
    return re.sub(r"0x[0-9a-f]+", "", str(one.program))  # without the places of functions in memory
