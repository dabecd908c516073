"""Masked modules of PyTorch that were rebuilt: modules as any other, that are masked or refuse."""

import copy
import inspect
import io
import pickle
from collections.abc import Callable
from types import MethodType
from typing import Any, cast

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import imported
from weedout_core.errors import BackendError

torch = imported("torch", "torch")
nn, F = torch.nn, torch.nn.functional

X = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32))


class Two(nn.Module):
    """An activation that is a module, and one that is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second, self.last = nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Any, factor: float = 1.0) -> Any:
        return self.last(F.gelu(self.second(self.act(self.first(x))))) * factor


class Made(Two):
    """It says itself how it is made again, and a part of it knows the whole."""

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number = number
        self.act.whole = [self]

    def __reduce__(self) -> Any:
        return Made, (self.number,), self.__dict__


def patched() -> Any:
    """A module with a forward of its own in place of that of its class."""
    module = Two()
    module.forward = MethodType(lambda self, x: Two.forward(self, x, 2.0), module)
    return module


MODELS: dict[str, Callable[[], Any]] = {
    "module": Two,
    "sequential": lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)),
    "made": Made,
}


def rebuilt(make: Callable[[], Any]) -> tuple[Any, Any]:
    """A masked module, and the one that was adopted."""
    torch.manual_seed(0)
    given = make()
    net = wc.adopt(given, (12,), backend="torch")
    return wc.draw_control(net, sparsity=0.5, backend="torch", key=wc.key(1)).network.rebuild(), given.eval()


def _loaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


#: What gives a module, or what can be called as one, that is masked as well.
MASKED: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda m, n=n: pickle.loads(pickle.dumps(m, n)) for n in range(pickle.HIGHEST_PROTOCOL + 1)},
    "torch.save": _loaded,
    "twice": lambda m: copy.deepcopy(_loaded(copy.deepcopy(m))),
    "in another": lambda m: nn.Sequential(m, nn.Identity()),
    "jit.trace": lambda m: torch.jit.trace(m, X[:2]),
    "functional_call": lambda m: lambda x: torch.func.functional_call(m, dict(m.named_parameters()), (x,)),
    "average": torch.optim.swa_utils.AveragedModel,
    "replica": lambda m: m._replicate_for_data_parallel(),
}
REFUSED: dict[str, Callable[[Any], Any]] = {
    "fx": torch.fx.symbolic_trace,
    "fx in another": lambda m: torch.fx.symbolic_trace(nn.Sequential(m, nn.Identity())),
    "script": torch.jit.script,
    "script in another": lambda m: torch.jit.script(nn.Sequential(m, nn.Identity())),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_made_of_a_masked_module_is_masked(name: str) -> None:
    module, given = rebuilt(MODELS[name])
    with torch.no_grad():
        expected = module(X)
        assert not torch.allclose(expected, given(X), atol=0.01)
        for way, make in MASKED.items():
            torch.testing.assert_close(make(module)(X), expected, rtol=1e-6, atol=1e-6, msg=way)


def test_an_exported_module_is_masked() -> None:
    module, _ = rebuilt(Two)
    torch.testing.assert_close(torch.export.export(module, (X,)).module()(X), module(X))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("way", REFUSED)
def test_what_would_leave_out_the_masks_is_refused(name: str, way: str) -> None:
    with pytest.raises(BackendError, match=r"must run to be masked, and torch\.(fx|jit).*Use torch.jit.trace or"):
        REFUSED[way](rebuilt(MODELS[name])[0])


@pytest.mark.slow
def test_features_are_not_taken_by_a_graph() -> None:
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    module, _ = rebuilt(Two)
    with pytest.raises(BackendError, match="create_feature_extractor"):
        extraction.create_feature_extractor(module, ["second"])
    module.eval()  # torchvision has left it as it is in training
    found: list[Any] = []
    module.act.register_forward_hook(lambda *given: found.append(given[-1]))
    module(X)
    assert (found[0] == 0).all(0).sum() >= 4, "a hook sees what is masked"


def test_a_slice_has_no_masks_and_says_so() -> None:
    module, _ = rebuilt(MODELS["sequential"])
    with pytest.raises(BackendError, match="must be a copy of it, which has its masks; this one was made anew"):
        module[:2](X)


def test_a_forward_of_its_own_is_masked_too() -> None:
    module, given = rebuilt(patched)
    torch.testing.assert_close(copy.copy(module)(X), module(X))
    assert not torch.allclose(module(X), given(X), atol=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_else_the_module_that_was_adopted(name: str) -> None:
    module, given = rebuilt(MODELS[name])
    assert isinstance(module, type(given))
    assert repr(module) == repr(given)
    assert [type(module).__name__, type(module).__module__] == [type(given).__name__, type(given).__module__]
    assert inspect.signature(module.forward) == inspect.signature(given.forward)
    assert list(module.state_dict()) == list(given.state_dict())
    again, _ = rebuilt(MODELS[name])
    assert type(again) is type(module)


def test_adopted_again_it_is_another_model_than_the_one_without_masks() -> None:
    module, given = rebuilt(Two)
    net, dense = (wc.adopt(one, (12,), backend="torch") for one in (module, given))
    assert net != dense, "the masks are part of what it computes"
    start = wc.Subnetwork(net, cast(Any, net).layers[0].model.params)
    torch.testing.assert_close(start.rebuild()(X), module(X))
