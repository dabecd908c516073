"""What the caller has set neither changes a result nor is changed: every setting that is fenced, on every backend."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache
from importlib import import_module
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.callers import (
    OF_XLA,
    Caller,
    jax_settings,
    numpy_settings,
    scipy_settings,
    torch_process_settings,
    torch_settings,
)
from tests.conformance.connected import connected
from weedout_core._contract.checked_call import CALLS, CheckedCall
from weedout_core._contract.fence import CALLBACKS, NUMPY
from weedout_core.backend import Backend

pytestmark = pytest.mark.optimised

BACKENDS = ("numpy", "jax", "torch", "torch_xla")
NETWORKS = {
    "mlp": wc.mlp(6, (8,), 3),
    # With 16 channels, whose batch normalisation is PyTorch's kernel.
    "convolutional": wc.Network(
        (
            wc.nn.Conv("conv", 16), wc.nn.BatchNorm("norm"), wc.nn.Relu(), wc.nn.Mask("nodes"),
            wc.nn.GlobalAveragePool(), wc.nn.Dense("logits", 3),
        ),
        (4, 4, 2),
    ),
}  # fmt: skip
SEARCH = wc.SearchConfig(population=3, generations=2, validation_batch=8)
#: The last one diverges: what is not finite is no error, whatever is set.
TRAIN = {
    "learns": wc.TrainConfig(epochs=2, batch_size=8, precision="highest"),
    "diverges": wc.TrainConfig(epochs=2, batch_size=8, precision="highest", learning_rate=1e30),
}


def split(net: wc.Network) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(0).normal(size=(16, *net.input_shape)).astype(np.float32), np.arange(16) % 3


def work(backend: Backend) -> list[Any]:
    """A search, trainings, evaluations and masks: all that came of them."""
    found: list[Any] = []
    for net in NETWORKS.values():
        data, key = split(net), wc.key(0)
        searched = wc.search(net, data, sparsity=0.5, backend=backend, key=key, config=SEARCH)
        found += [searched.origin, *(generation.fitness for generation in searched.history)]
        for config in TRAIN.values():
            trained = wc.train(searched.network, data, backend=backend, key=key, config=config, test=data)
            found += [trained.losses, *trained.network.params.values(), *trained.network.moving.values()]
        found += wc.evaluate(searched.network, (1e3 * data[0], data[1]), backend=backend)  # where exp underflows
        masks = backend.sample_masks(key, wc.mask_space(net), 0.5, 2)
        found += [backend.to_numpy(mask) for mask in masks.values()]
        found += map(backend.to_numpy, backend.initialise(net, key).values())
    return found


@cache
def undisturbed(name: str) -> list[Any]:
    return work(connected(name))


def assert_same(found: list[Any], wanted: list[Any]) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype


def unfenced(backend: Backend) -> Backend:
    """The same calls without the fence of the backend."""
    calls = {name: getattr(backend, name) for name in CALLS}
    return replace(
        backend, fence=nullcontext, **{name: call.__wrapped__ for name, call in calls.items() if call is not None}
    )


def fenced_settings(name: str) -> set[str]:
    """All that the backend's fence lists."""
    if name == "numpy":
        return set(import_module("weedout_numpy.fence").THREAD)
    if name == "jax":
        fence = import_module("weedout_jax.fence")
        return {"mesh", *fence.THREAD, *(setting.name.removeprefix("jax_") for setting in fence.PROCESS.settings)}
    found = {*import_module("weedout_torch.fence").THREAD, *(setting.name for setting in torch_process_settings())}
    return found if name == "torch_xla" else found - {*OF_XLA}


def callers(name: str) -> dict[str, list[Caller]]:
    connected(name)
    if name == "numpy":
        return {setting: [caller] for setting, caller in scipy_settings().items()}
    return jax_settings() if name == "jax" else torch_settings({"torch_xla": "xla"}.get(name, "cpu"))


#: The names of the settings, so that each is a test: a backend that is not here has none.
SETTINGS = {
    "numpy": ["errors"],
    "jax": [
        "mesh", "enable_x64", "numpy_dtype_promotion", "numpy_rank_promotion", "debug_nans", "debug_infs",
        "disable_jit", "check_tracer_leaks", "no_tracing", "no_execution", "default_device",
        "transfer_guard_host_to_device", "transfer_guard_device_to_device", "transfer_guard_device_to_host",
        "error_checking_behavior_nan", "error_checking_behavior_divide", "error_checking_behavior_oob",
        "eager_constant_folding", "scan3", "use_simplified_jaxpr_constants",
    ],
    "torch": [
        "inference_mode", "grad_mode", "torch_function", "autocast", "saved_tensors_hooks", "flush_denormal",
        "default_dtype", "anomaly_mode", "deterministic_algorithms", "torch.backends.cudnn.enabled",
        "torch.backends.cudnn.benchmark", "torch.backends.cudnn.deterministic", "torch.backends.mkldnn.enabled",
        "torch.backends.mkldnn.deterministic", "torch.backends.miopen.immediate", "nnpack.enabled",
        "backends.fp32_precision", "cudnn.fp32_precision", "mkldnn.fp32_precision", "cuda.matmul.fp32_precision",
        "cudnn.conv.fp32_precision", "mkldnn.matmul.fp32_precision", "mkldnn.conv.fp32_precision",
        "cuBLASModule.allow_bf16_reduced_precision_reduction",
    ],
}  # fmt: skip
SETTINGS["torch_xla"] = [*SETTINGS["torch"], *OF_XLA]
CASES = [(name, setting) for name in BACKENDS for setting in SETTINGS[name]]


@pytest.mark.parametrize("name", BACKENDS)
def test_every_setting_of_the_list_is_tested(name: str) -> None:
    assert fenced_settings(name) == set(callers(name)) == set(SETTINGS[name])


class Boom(Exception): ...


def boom(*_: Any) -> Any:
    raise Boom


def check_setting(backend: Backend, caller: Caller) -> None:
    """Under the caller's setting all comes out as without it, and the setting stays, after exceptions too."""
    net = NETWORKS["mlp"]
    with caller.set():
        before = caller.read()
        found = work(backend)
        assert caller.read() == before
        with pytest.raises(Boom):
            wc.search(net, split(net), sparsity=0.5, backend=backend, key=wc.key(0), config=SEARCH, on_generation=boom)
        assert caller.read() == before
        failing = replace(backend, random_bits=boom)
        with pytest.raises(Boom):
            failing.random_bits(wc.key(0), 1)
        assert caller.read() == before
    assert_same(found, undisturbed(backend.name))


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_a_setting_changes_no_result_and_stays(name: str, setting: str) -> None:
    backend = connected(name)
    undisturbed(name)
    if name == "jax":
        work(backend)  # another test may have had JAX's programs forgotten
    compiled = backend.compile_seconds() if backend.compile_seconds else 0.0
    for caller in callers(name)[setting]:
        check_setting(backend, caller)
    if backend.compile_seconds:
        assert backend.compile_seconds() == compiled, "the programs are those without it"


@pytest.mark.parametrize("setting", NUMPY)
@pytest.mark.parametrize("name", BACKENDS)
def test_numpys_settings_change_no_result_and_stay(name: str, setting: str) -> None:
    check_setting(connected(name), numpy_settings()[setting])


#: What does no harm on a CPU, or as tests compile for it, or where nothing is that small, or no gradient is asked for.
#: Without compilation the work takes minutes: floats are others, in the last bits.
HARMLESS = {
    ("jax", "disable_jit"), ("jax", "eager_constant_folding"),
    ("jax", "default_device"), ("jax", "numpy_dtype_promotion"), ("jax", "enable_x64"), ("jax", "check_tracer_leaks"),
    ("jax", "transfer_guard_device_to_host"), ("jax", "transfer_guard_device_to_device"),
    ("jax", "error_checking_behavior_oob"), ("jax", "use_simplified_jaxpr_constants"),
    ("torch", "grad_mode"), ("torch", "flush_denormal"), ("torch", "default_dtype"),
    ("torch", "deterministic_algorithms"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        (name, setting)
        for name, setting in CASES
        if name in ("jax", "torch") and (name, setting) not in HARMLESS and "." not in setting
    ],
)
def test_without_the_fence_it_would_do_harm(name: str, setting: str) -> None:
    backend = connected(name)
    wanted = undisturbed(name)
    if setting == "no_tracing":
        import_module("jax").clear_caches()  # it is about what is not traced yet
    with callers(name)[setting][0].set():
        try:
            found = work(unfenced(backend))
        except Exception:
            return  # harm enough
    with pytest.raises(AssertionError):
        assert_same(found, wanted)


@pytest.mark.parametrize("setting", SETTINGS["jax"])
def test_each_setting_of_jax_is_ours_inside(setting: str) -> None:
    backend, fence = connected("jax"), import_module("weedout_jax.fence")
    ours = {**fence.THREAD, **{one.name.removeprefix("jax_"): one.ours for one in fence.PROCESS.settings}}
    for caller in callers("jax")[setting]:
        with caller.set(), backend.fence():
            inside = caller.read()
            if setting == "mesh":
                assert inside.empty
            else:
                assert inside in ours[setting]


@pytest.mark.parametrize("name", BACKENDS)
def test_callbacks_have_the_callers_settings(name: str) -> None:
    backend, net = connected(name), NETWORKS["mlp"]
    seen: list[Any] = []
    found = wc.search(net, split(net), sparsity=0.5, backend=backend, key=wc.key(0), config=SEARCH)
    with np.errstate(all="raise"):
        before = np.geterr()
        wc.search(
            net, split(net), sparsity=0.5, backend=backend, key=wc.key(0), config=SEARCH,
            on_generation=lambda _: seen.append(np.geterr()),
        )  # fmt: skip
        wc.train(
            found.network, split(net), backend=backend, key=wc.key(0), config=TRAIN["learns"],
            on_epoch=lambda _: seen.append(np.geterr()),
        )  # fmt: skip
    assert seen == [before] * 4


class _EnoughError(Exception):
    """A callback has seen enough."""


def phases_with_callbacks(callback: Any) -> dict[str, Any]:
    """Each phase that has a callback, by the callback's name."""
    backend, net = connected("numpy"), NETWORKS["mlp"]
    given: dict[str, Any] = {"backend": backend, "key": wc.key(0)}
    found = wc.search(net, split(net), sparsity=0.5, config=SEARCH, **given).network
    together: dict[str, Any] = {"backend": backend, "keys": [wc.key(0)], "config": TRAIN["learns"]}
    return {
        "on_generation": lambda: wc.search(
            net, split(net), sparsity=0.5, config=SEARCH, on_generation=callback, **given
        ),
        "on_epoch": lambda: wc.train(found, split(net), config=TRAIN["learns"], on_epoch=callback, **given),
        "on_epochs": lambda: wc.train_together([found], split(net), on_epoch=callback, **together),
        "checkpoint": lambda: wc.train_together([found], split(net), checkpoint=callback, **together),
    }


def test_every_callback_is_here() -> None:
    assert set(CALLBACKS) == {*phases_with_callbacks(None)} - {"on_epochs"}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("which", ["on_generation", "on_epoch", "on_epochs", "checkpoint"])
def test_what_a_callback_sets_in_numpy_stays_set(which: str, fails: bool) -> None:
    """From the callback on, in later ones too, and where it fails."""
    seen: list[Any] = []

    def callback(*_: Any) -> None:
        seen.append((np.geterr()["divide"], np.getbufsize()))
        np.seterr(divide="raise")
        np.setbufsize(16)
        if fails:
            raise _EnoughError

    with np.errstate(divide="print"):  # which puts back the size of the buffer too
        before = np.geterr(), np.getbufsize()
        with suppress(_EnoughError):
            phases_with_callbacks(callback)[which]()
        assert seen[0] == ("print", before[1])
        assert set(seen[1:]) <= {("raise", 16)}
        assert np.geterr() == before[0] | {"divide": "raise"}
        assert np.getbufsize() == 16


@pytest.mark.parametrize("name", BACKENDS)
def test_random_generators_are_untouched(name: str) -> None:
    backend = connected(name)

    def states() -> list[Any]:  # Python's own is drawn from by the checks of annotations
        found = [*np.random.get_state()]  # noqa: NPY002
        return [*found, import_module("torch").get_rng_state().numpy()] if "torch" in name else found

    before = states()
    work(backend)
    assert_same(states(), before)


@pytest.mark.parametrize("name", BACKENDS)
def test_two_threads_with_settings_of_their_own(name: str) -> None:
    backend = connected(name)
    wanted, found = undisturbed(name), dict[str, list[Any]]()
    begin = Barrier(2)
    one_setting = {"numpy": "errors", "jax": "numpy_rank_promotion"}.get(name, "autocast")
    settings = {"one": callers(name)[one_setting][0], "other": Caller(nullcontext, lambda: None)}
    before = [caller.read() for ways in callers(name).values() for caller in ways]

    def run(which: str) -> None:
        with settings[which].set(), np.errstate(all="raise"):
            begin.wait()
            found[which] = work(backend)

    threads = [Thread(target=run, args=(which,)) for which in settings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for which in settings:
        assert_same(found[which], wanted)
    assert [caller.read() for ways in callers(name).values() for caller in ways] == before


@pytest.mark.parametrize("name", BACKENDS)
def test_a_replaced_call_is_fenced_once(name: str) -> None:
    inside: list[bool] = []

    @contextmanager
    def fence() -> Generator[None]:
        inside.append(True)
        yield
        inside.pop()

    def random_bits(key: Any, n: int) -> Any:
        """As many as there are."""
        return list(inside)

    backend = replace(connected(name), fence=fence, random_bits=random_bits)
    again = replace(replace(backend, name="again"), devices=3)
    for one in (backend, again):
        assert one.random_bits(wc.key(0), 1) == [True]
        assert one.random_bits.__doc__ == "As many as there are."
    assert all(getattr(again, call) is getattr(backend, call) for call in CALLS)


def test_records_of_the_same_calls_are_equal() -> None:
    one, other = wc.load_backend("numpy"), wc.load_backend("numpy")
    assert one == other
    assert hash(one) == hash(other)
    assert one != replace(one, predict=boom)
    assert isinstance(one.predict, CheckedCall)
