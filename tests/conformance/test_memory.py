"""What backends say of a device's memory."""

import os
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected

MACHINE = 4096 * 1000


@pytest.fixture
def _small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)


@pytest.mark.usefixtures("_small_machine")
@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_cpu_has_the_machines_memory(name: str) -> None:
    assert connected(name, device="cpu").memory == MACHINE


@pytest.mark.usefixtures("_small_machine")
def test_xla_on_a_cpu_has_the_machines_memory() -> None:
    assert connected("torch_xla").memory == MACHINE


def test_the_reference_does_not_know() -> None:
    assert wc.load_backend("numpy").memory is None


@pytest.mark.usefixtures("_small_machine")
def test_virtual_devices_share_the_machines_memory() -> None:
    pytest.importorskip("weedout_jax")
    from weedout_jax.devices import memory

    eight = [SimpleNamespace(platform="cpu")] * 8
    mesh: Any = SimpleNamespace(local_devices=eight, devices=np.array(eight))
    assert memory(mesh) == MACHINE // 8


@pytest.mark.usefixtures("_small_machine")
def test_virtual_devices_of_xla_share_the_machines_memory() -> None:
    pytest.importorskip("weedout_torch")
    import torch

    from weedout_torch.devices import memory

    place: Any = SimpleNamespace(device=torch.device("xla:0"), kind="cpu", devices=4)
    assert memory(place) == MACHINE // 4


@pytest.mark.parametrize("error", [ValueError("unrecognized configuration name"), OSError(22, "Invalid argument")])
@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_machine_that_does_not_tell_is_not_known(
    name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> int:
        raise error

    monkeypatch.setattr(os, "sysconf", refuse, raising=False)
    assert connected(name, device="cpu").memory is None


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_machine_without_sysconf_is_not_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf", raising=sys.platform != "win32")
    assert connected(name, device="cpu").memory is None


@pytest.mark.parametrize(
    ("stats", "wanted"), [({"bytes_limit": 17, "bytes_in_use": 3}, 17), ({"bytes_in_use": 3}, None), (None, None)]
)
def test_an_accelerator_has_what_jax_may_allocate(stats: dict[str, int] | None, wanted: int | None) -> None:
    pytest.importorskip("weedout_jax")
    from weedout_jax.devices import memory

    device = SimpleNamespace(platform="tpu", memory_stats=lambda: stats)
    mesh: Any = SimpleNamespace(local_devices=[device, device], devices=np.array([device, device]))
    assert memory(mesh) == wanted, "each device has its own"


def test_cuda_has_its_total(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("weedout_torch")
    import torch

    from weedout_torch.devices import memory

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (3, 17))
    place: Any = SimpleNamespace(device=torch.device("cuda"), kind="NVIDIA", devices=1)
    assert memory(place) == 17


def test_a_tpu_of_pytorch_is_not_known() -> None:
    pytest.importorskip("weedout_torch")
    import torch

    from weedout_torch.devices import memory

    assert memory(SimpleNamespace(device=torch.device("xla:0"), kind="tpu", devices=1)) is None  # type: ignore[arg-type]
