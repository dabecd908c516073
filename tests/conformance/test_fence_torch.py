"""What only PyTorch's fence promises: inference mode, gradients, the precision of products."""

from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.callers import torch_process_settings, torch_settings
from tests.conformance.connected import connected
from weedout_core.backend import Batches, TrainState, train_plan

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'weedout-core[torch]'")

BACKENDS = ("torch", "torch_xla")
NET = wc.mlp(6, (8,), 3)
X, Y = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32), np.arange(16) % 3
BACKEND: Any = torch.backends
PER_OPERATION = hasattr(BACKEND.cuda.matmul, "fp32_precision") and hasattr(BACKEND.cudnn, "conv")


def epoch(backend: wc.backend.Backend, made: Any, config: wc.TrainConfig) -> list[Any]:
    """One epoch of two networks by the calls of the contract, on tensors that ``made`` gives of NumPy's arrays."""
    params = {
        path: made(np.stack([backend.to_numpy(value)] * 2))
        for path, value in backend.initialise(NET, wc.key(0)).items()
    }
    masks = {site: made(np.ones((2, *shape), bool)) for site, shape in wc.mask_space(NET).items()}
    zeros = {path: made(np.zeros(value.shape, np.float32)) for path, value in params.items()}
    state = TrainState(np.zeros((2, 2), np.uint32), 0, params, {}, zeros)
    order = np.tile(np.arange(16, dtype=np.int32).reshape(2, 8), (2, 1, 1))
    plan, labels = train_plan(config, 16), made(Y.astype(np.int32))
    state, result = backend.train_epoch(NET, plan, state, masks, made(X), labels, Batches(order, None))
    tensors = [*state.params.values(), *state.optimizer.values(), result.loss]
    assert not any(tensor.requires_grad or tensor.is_inference() for tensor in tensors)
    return [backend.to_numpy(tensor) for tensor in tensors]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", BACKENDS)
def test_what_was_made_in_inference_mode_or_wants_a_gradient_is_learnt_as_any_other(name: str, momentum: float) -> None:
    backend = connected(name)
    config = wc.TrainConfig(epochs=1, batch_size=8, momentum=momentum, nesterov=False)

    def in_inference_mode(array: np.ndarray) -> Any:
        with torch.inference_mode():
            return torch.from_numpy(array).to(backend.asarray(X).device).clone()

    def with_gradient(array: np.ndarray) -> Any:
        return backend.asarray(array).clone().requires_grad_(array.dtype == np.float32)

    wanted = epoch(backend, backend.asarray, config)
    for made in (in_inference_mode, with_gradient):
        for one, other in zip(epoch(backend, made, config), wanted, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not PER_OPERATION, reason="operations have no precision of their own in this version of PyTorch")
def test_a_precision_that_is_inherited_is_inherited_afterwards() -> None:
    backend = connected("torch")
    operations = [BACKEND.cuda.matmul, BACKEND.mkldnn.matmul, BACKEND.mkldnn.conv, BACKEND.cudnn]
    try:
        for value in ("tf32", "ieee", "tf32"):
            BACKEND.fp32_precision = value
            backend.apply(NET, backend.initialise(NET, wc.key(0)), X)
            assert [operation.fp32_precision for operation in operations] == [value] * 4
        assert BACKEND.cudnn.conv.fp32_precision == "tf32", "as it was set when the process began"
    finally:
        BACKEND.fp32_precision = "none"


@pytest.mark.parametrize("precision", ["highest", "default"])
def test_the_precision_of_products_is_the_callers_where_it_is_left_to_her_alone(precision: Any) -> None:
    backend, seen = connected("torch"), list[Any]()
    products = {setting for setting in torch_process_settings() if "precision" in setting.name}
    before = {setting: setting.read() for setting in products}
    setting = next(one for one in products if one.name in ("cuda.matmul.fp32_precision", "float32_matmul_precision"))
    theirs = "tf32" if PER_OPERATION else "high"

    def sgd(params: Any) -> Any:
        seen.append(setting.read())
        return torch.optim.SGD(params, lr=0.1)

    mask = {site: np.ones(shape, bool) for site, shape in wc.mask_space(NET).items()}
    params = {path: backend.to_numpy(value) for path, value in backend.initialise(NET, wc.key(0)).items()}
    config = wc.TrainConfig(epochs=1, batch_size=8, precision=precision)
    setting.write(theirs)
    try:
        wc.train(wc.Subnetwork(NET, params, mask), (X, Y), backend=backend, key=wc.key(0), config=config, optimizer=sgd)
        assert setting.read() == theirs
    finally:
        setting.write(before[setting])
    assert seen[-1] == (theirs if precision == "default" else setting.ours[0])


@pytest.mark.parametrize("setting", torch_process_settings(), ids=lambda setting: setting.name)
def test_each_setting_of_the_process_is_ours_inside(setting: Any) -> None:
    from importlib import import_module

    precise = import_module("weedout_torch.precision").precise
    with connected("torch").fence(), precise("highest"):
        assert setting.read() in setting.ours


@pytest.mark.parametrize("asked", ["medium", "high", "highest"])
@pytest.mark.filterwarnings("ignore:Please use the new API settings")
def test_what_was_asked_for_all_products_at_once_is_as_it_was(asked: str) -> None:
    backend = connected("torch")
    before = [setting.read() for setting in torch_process_settings()]
    torch.set_float32_matmul_precision(asked)
    try:
        products = [setting.read() for setting in torch_process_settings()]
        backend.apply(NET, backend.initialise(NET, wc.key(0)), X)
        assert torch.get_float32_matmul_precision() == asked, "which fails where old and new settings disagree"
        assert [setting.read() for setting in torch_process_settings()] == products
    finally:
        torch.set_float32_matmul_precision("highest")
        for setting, value in zip(torch_process_settings(), before, strict=True):
            setting.write(value)


def _calls(module: Any) -> list[Any]:
    """What the four calls give of a module, whose masks are laid where its activations are seen."""
    given: Any = {"backend": "torch", "key": wc.key(0)}
    net = wc.adopt(module, (6,), backend="torch")
    found = wc.search(net, (X, Y), sparsity=0.5, config=wc.SearchConfig(population=2, generations=1), **given)
    trained = wc.train(found.network, (X, Y), config=wc.TrainConfig(epochs=1, batch_size=8), **given)
    return [net, found, trained, wc.evaluate(trained.network, (X, Y), backend="torch")]


@pytest.mark.slow
def test_the_activations_of_an_adopted_model_are_seen_in_every_setting_of_the_callers() -> None:
    """A mode of this backend sees them, among those of the caller's, such as her default device."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 3))
    wanted, settings = _calls(module), torch_settings("cpu")
    for callers in ([of[0] for of in settings.values()], *([one] for one in settings["torch_function"])):
        with ExitStack() as stack:
            for caller in callers:
                stack.enter_context(caller.set())
            before, found = [caller.read() for caller in callers], _calls(module)
            assert [caller.read() for caller in callers] == before
        assert found == wanted
