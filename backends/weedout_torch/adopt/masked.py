"""A module that masks its own activations: an ordinary module again, for a loop of the user's."""

from collections.abc import Callable, Mapping
from functools import cache, partial, wraps
from types import new_class
from typing import Any, cast

import torch

from weedout_core.backend import Follows
from weedout_core.errors import BackendError
from weedout_torch.adopt.failures import check_times
from weedout_torch.adopt.spots import Spot, kept_entries
from weedout_torch.adopt.watching import Watch, paths_followed
from weedout_torch.devices import Tensor

Forward = Callable[..., Any]

_MASKS = "_weedout_masks"  # the attribute of a module that holds them


class Masks:
    """The masks of a module, which it carries beside its weights. They are none of its buffers.

    Args:
        spots: by the names of activations, where masks lie.
        times: how often each activation is called, by its name without its number.
        masks: {site: bool ``shape``}.
        reads: {path of weights: what they read of a whole activation}, of a smaller module.
        forward: the module's own, if it has one in place of that of its class.
    """

    def __init__(
        self,
        spots: Mapping[str, Spot],
        times: Mapping[str, int],
        masks: Mapping[str, Tensor],
        reads: Mapping[str, Follows],
        forward: Forward | None,
    ) -> None:
        self.spots = {name: spot for name, spot in spots.items() if spot.site in masks}
        self.times, self.masks, self.forward = dict(times), dict(masks), forward
        self.entries = {path: kept_entries(one, masks[one.site]) for path, one in reads.items()}

    def called(self, module: torch.nn.Module, forward: Forward, *args: Any, **kwargs: Any) -> Any:
        """What a module gives under the masks, by a forward without."""
        paths = {id(value): path for path, value in module.named_parameters()}

        def read(weight: Tensor) -> Tensor:
            return self.entries[paths[id(weight)]].to(weight.device)

        watch = Watch(self.change, read=read if self.entries else None)
        with paths_followed(module, watch), watch:
            made = forward(*args, **kwargs)
        traced = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        examples = 1 if traced or not isinstance(made, torch.Tensor) else len(made)  # of a traced one it is a tensor
        check_times(module, self.times, watch.times, examples)
        return made

    def change(self, name: str, made: Tensor) -> Tensor:
        if name not in self.spots:
            return made
        spot = self.spots[name]
        return torch.where(spot.laid(self.masks[spot.site].to(made.device), made), made, 0.0)


def lay(
    module: torch.nn.Module,
    spots: Mapping[str, Spot],
    times: Mapping[str, int],
    masks: Mapping[str, Tensor],
    reads: Mapping[str, Follows],
) -> None:
    """Make a module mask its own activations, wherever it is called or copied. Arguments are those of :class:`Masks`.

    It becomes one of a class that differs from its own in its forward alone. A hook would not do, as PyTorch runs none
    after a KeyboardInterrupt, nor would a forward of the object, which torch.fx does not call.
    """
    module.__dict__[_MASKS] = Masks(spots, times, masks, reads, module.__dict__.pop("forward", None))
    module.__class__ = _masking(type(module))


def masks_of(module: torch.nn.Module) -> dict[str, Tensor]:
    """The masks that a module carries, {site: bool ``shape``}; {} for one that carries none."""
    found: Masks | None = module.__dict__.get(_MASKS)
    return {} if found is None else found.masks


@cache
def _masking(kind: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """The class whose modules are those of ``kind``, and mask their activations."""
    name = kind.__name__

    @wraps(kind.forward)
    def forward(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        found: Masks | None = self.__dict__.get(_MASKS)
        if found is None:  # as a slice of Sequential is
            raise BackendError(
                f"a module of the class of a masked {name} must be a copy of it, which has its masks; this one was "
                "made anew, as a slice is, and has none. Make it of the class of the model that was adopted."
            )
        if any(isinstance(one, torch.fx.Proxy) for one in (*args, *kwargs.values())):
            raise _without_graph(name, "torch.fx, as for create_feature_extractor,")
        return found.called(self, found.forward or partial(kind.forward, self), *args, **kwargs)

    def reduced(self: torch.nn.Module, protocol: Any) -> Any:
        """For copies and pickles: as ``kind`` does it, and then of this class, which no module has by a name."""
        make, args, *rest = cast(Any, kind.__reduce_ex__(self, protocol))
        return _made_again, (make, tuple(kind if one is type(self) else one for one in args)), *rest

    def not_scripted(self: torch.nn.Module) -> Any:
        raise _without_graph(name, "torch.jit.script")

    members = {
        "__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__, "forward": forward,
        "__reduce_ex__": reduced, "__prepare_scriptable__": not_scripted,
    }  # fmt: skip
    return new_class(name, (kind,), {}, lambda namespace: namespace.update(members))


def _made_again(make: Callable[..., torch.nn.Module], args: Any) -> torch.nn.Module:
    made = make(*args)
    made.__class__ = _masking(type(made))
    return made


def _without_graph(name: str, what: str) -> BackendError:
    return BackendError(
        f"a masked {name} must run to be masked, and {what} reads its code instead, without the masks. Use "
        "torch.jit.trace or forward hooks, or network.compact().rebuild() where that leaves no mask."
    )
