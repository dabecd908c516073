"""The device layer: where tensors lie, and how operations are run there.

PyTorch runs each operation when it is called, on a CPU, on CUDA, and with torch_tpu on a TPU. PyTorch/XLA records
operations and runs them as one compiled graph at ``sync``. The rest of the backend is the same for all devices.
"""

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

import numpy as np
import torch

from weedout_core.backend import host_array, share_of_memory
from weedout_core.errors import BackendError
from weedout_torch import host
from weedout_torch.integers import Tensor

#: How many programs PyTorch/XLA keeps for several devices of a CPU; by itself it keeps 2,048. For eight devices each
#: takes about fifty maps of memory, of which Linux gives a process 65,530, and without one the process dies.
_KEPT = "512"

#: The types of devices on which PyTorch computes with its own kernels, as its documentation describes them.
BY_PYTORCH = ("cpu", "cuda")


@dataclass(frozen=True)
class Place:
    """A device, or several that share a population.

    Attributes:
        name: the backend's registered name.
        device: the device as a ``torch.device``.
        kind: the name of the device for users.
        devices: the number of devices that share a population.
        libraries: the distributions whose versions may change floats.
        recorded: whether operations are recorded, and run only at ``sync``.
        sync: runs the recorded operations; does nothing if operations run at once.
        spread: shares a tensor over the devices along its leading axis; does nothing with one device.
        compile_seconds: gives the seconds spent on compilation in this process; None if nothing is compiled.
    """

    name: str
    device: torch.device
    kind: str
    devices: int
    libraries: tuple[str, ...]
    recorded: bool
    sync: Callable[[], None]
    spread: Callable[[Tensor], Tensor]
    compile_seconds: Callable[[], float] | None = None

    def asarray(self, array: Any) -> Tensor:
        """A copy of an array on the device: floats as float32, integers as int32, words as uint32, bool."""
        there = self._there(array)
        return there.clone() if there is array else there

    def placed(self, given: Any) -> Any:
        """An argument of a call (array, arrays by name or None) on the device; tensors already there are not copied."""
        if isinstance(given, Mapping):
            return {name: self.placed(value) for name, value in cast(Mapping[str, Any], given).items()}
        return None if given is None else self._there(given)

    def _there(self, array: Any) -> Tensor:
        """An array on the device. A tensor made in inference mode is copied, because it cannot be trained."""
        there = isinstance(array, Tensor) and array.device == self.device and array.dtype in _DTYPES
        if there and _is_plain(array) and not array.is_inference():
            return array
        host = host_array(array)
        # A copy, because PyTorch would share the memory of NumPy, and warns about read-only arrays.
        copied = np.array(host, dtype=np.float32 if host.dtype.kind == "f" else host.dtype)
        return torch.from_numpy(copied).to(self.device)

    def words(self, array: Any) -> Tensor:
        """Words (keys, bits) on the device as int32 of the same bits, because PyTorch lacks most uint32 arithmetic."""
        if isinstance(array, Tensor):
            return array.to(self.device).view(torch.int32)
        # Reinterpreted on the host: PyTorch/XLA would fetch the words back from the device for it.
        return self.placed(np.asarray(array, dtype=np.uint32).view(np.int32))

    def keys(self, keys: Any, some: slice) -> Tensor:
        """The keys of some candidates, shared over the devices: int32 ``(rows, 2)``, see ``rows``."""
        return self.spread(self.words(rows(keys, some)))

    def padded(self, count: int) -> int:
        """The smallest multiple of the number of devices that is at least ``count``."""
        return -(-count // self.devices) * self.devices


def rows(array: Any, some: slice) -> Any:
    """Some rows. Past the end the last row is repeated, so that devices divide them; its extra results are dropped."""
    index = np.minimum(np.arange(some.start, some.stop), len(array) - 1)
    return array[torch.from_numpy(index).to(array.device) if isinstance(array, Tensor) else index]


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is neither sparse nor nested nor of a subclass."""
    return type(tensor) in _PLAIN and tensor.layout == torch.strided and not tensor.is_nested


_PLAIN = (torch.Tensor, torch.nn.Parameter)
_DTYPES = {torch.float32, torch.int32, torch.uint32, torch.bool}


def torch_place(device: str | None, devices: int) -> Place:
    """PyTorch itself: by default on CUDA if it is available, else on the CPU."""
    kind = {None: "cuda" if torch.cuda.is_available() else "cpu", "gpu": "cuda"}.get(device, device)
    if kind not in ("cpu", "cuda") or (kind == "cuda" and not torch.cuda.is_available()):
        has = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        raise BackendError(f"the torch backend has the devices {has} here; got {device!r}. Take one, or leave it out.")
    _one_device("torch", devices)
    name = torch.cuda.get_device_name() if kind == "cuda" else "cpu"
    if kind == "cuda":  # with its number, because the current device may change between calls
        return Place(
            "torch", torch.device(kind, torch.cuda.current_device()), name, 1, ("torch",), False, _nothing, _same
        )
    compiling = host.compile_loops()  # now, so that it does not count in the first phase that draws
    return Place("torch", torch.device(kind), name, 1, ("torch",), False, _nothing, _same, lambda: compiling)


def xla_place(device: str | None, devices: int) -> Place:
    """PyTorch/XLA: on a TPU, or on a CPU with ``PJRT_DEVICE=CPU``. Several devices put the process in SPMD mode."""
    import torch_xla
    import torch_xla.runtime as runtime

    with _finding_a_device():
        kind = runtime.device_type()
    if kind is None or (device is not None and device.upper() != kind):
        raise BackendError(f"PyTorch/XLA runs on {kind} in this process; got device={device!r}. {_PJRT}")
    if kind == "CPU" and devices > 1:
        os.environ.setdefault("XLA_COMPILATION_CACHE_SIZE", _KEPT)  # read when it compiles for the first time
    with _finding_a_device():
        spread = _same if devices == 1 else _spmd(devices)
        place = torch_xla.device()
    _check_float32(place)
    _check_backward(place)
    libraries = ("torch", "torch_xla")
    return Place(
        "torch_xla", place, kind.lower(), devices, libraries, True, torch_xla.sync, spread,
        compile_seconds=_xla_compile_seconds,
    )  # fmt: skip


def tpu_place(device: str | None, devices: int) -> Place:
    """torch_tpu, PyTorch/XLA's successor: operations run at once on the device "tpu"."""
    import_module("torch_tpu")  # it registers the device

    if device not in (None, "tpu"):
        raise BackendError(f'the tpu backend has the device "tpu"; got {device!r}. Leave device out.')
    _one_device("tpu", devices)
    try:
        place = torch.device("tpu")
        torch.zeros(1, device=place)
    except RuntimeError as error:
        raise BackendError(f"torch_tpu is installed but shows no TPU ({str(error).splitlines()[0]}).") from error
    return Place("tpu", place, "tpu", 1, ("torch", "torch_tpu"), False, _nothing, _same)


def memory(place: Place) -> int | None:
    """The bytes of memory of each device; on a CPU a part of the machine's memory. None if unknown."""
    if place.device.type == "cuda":
        return torch.cuda.mem_get_info(place.device)[1]
    return share_of_memory(place.devices) if place.kind == "cpu" else None


def _xla_compile_seconds() -> float:
    import torch_xla.debug.metrics as metrics

    counted = metrics.metric_data("CompileTime")  # (number of compilations, their sum in nanoseconds, samples)
    return counted[1] / 1e9 if counted else 0.0


_PJRT = "Choose with the environment variable PJRT_DEVICE (CPU or TPU) before Python starts."


@contextmanager
def _finding_a_device() -> Generator[None]:
    """Turn an error of PyTorch/XLA into a BackendError, also one about an unknown value of PJRT_DEVICE."""
    try:
        yield
    except RuntimeError as error:
        raise BackendError(f"PyTorch/XLA finds no device ({str(error).splitlines()[0]}). {_PJRT}") from error


def _check_float32(device: torch.device) -> None:
    """Raise BackendError if float32 has fewer bits on the device."""
    number = torch.tensor(1 + 2**-20)
    if number.to(device).cpu() != number:
        raise BackendError(
            "PyTorch/XLA turns float32 into bfloat16 in this process, and results would differ. Unset the environment "
            "variables XLA_USE_BF16 and XLA_DOWNCAST_BF16 before Python starts; for products in bfloat16 use "
            "TrainConfig(compute='bfloat16')."
        )


def _check_backward(device: torch.device) -> None:
    """Run one backward pass, which compiles nothing, so that PyTorch counts this device.

    PyTorch counts the devices at the first backward pass of a process. A device that is added later has no queue for
    backward passes, and fails an internal assertion.
    """
    try:
        with torch.enable_grad():
            weight = torch.zeros((), device=device, requires_grad=True)
            torch.autograd.grad(weight * 2, [weight])
    except RuntimeError as error:
        raise BackendError(
            "PyTorch counts its devices at the first backward pass of a process, and this process made its first one "
            "without PyTorch/XLA. Connect to torch_xla before training with torch in the same process, or train in "
            f"a process of its own. (PyTorch says: {str(error).splitlines()[0]})"
        ) from error


def _one_device(name: str, devices: int) -> None:
    if devices != 1:
        raise BackendError(f"the {name} backend runs on 1 device; got devices={devices!r}. jax takes more.")


def _spmd(devices: int) -> Callable[[Tensor], Tensor]:
    import torch_xla.distributed.spmd as spmd
    import torch_xla.runtime as runtime

    runtime.use_spmd()
    found = runtime.global_runtime_device_count()
    if devices != found:
        raise BackendError(
            f"PyTorch/XLA shares a population over all its devices, {found} here; got devices={devices!r}. "
            "On a CPU, CPU_NUM_DEVICES sets how many there are."
        )
    mesh = spmd.Mesh(np.arange(found), (found,), ("population",))

    def spread(tensor: Tensor) -> Tensor:
        spmd.mark_sharding(tensor, mesh, ("population",) + (None,) * (tensor.ndim - 1))
        return tensor

    return spread


def _nothing() -> None: ...


def _same(tensor: Tensor) -> Tensor:
    return tensor
