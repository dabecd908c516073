"""A framework on the device of this process: ours by its engines, its precisions, its memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks.alone import peak_bytes

#: In what products are computed: float32 throughout, or as fast as the device computes with float32 operands.
PRECISIONS = ("highest", "default")


class Framework(NamedTuple):
    """What the steps need of JAX or PyTorch, beyond the backend.

    Attributes:
        name: "jax" or "torch".
        product: ``(side, kind) → run``: the product of two matrices in "highest", "default" or "bfloat16".
        copy: ``floats → run``: an array that is read and written once.
        faster: within it, float32 products may be computed as fast as the device can; nothing where that is a
            matter of each product.
        peak: bytes of the device's memory that were held at once in this process; None: not known.
        forget: begins the peak anew, where that can be done.
    """

    name: str
    product: Callable[[int, str], Callable[[], Any]]
    copy: Callable[[int], Callable[[], Any]]
    faster: Callable[[], Any]
    peak: Callable[[], int | None]
    forget: Callable[[], None]

    def connect(self, engine: str | None = None) -> wc.backend.Backend:
        """Our backend on the device."""
        return wc.load_backend(self.name, engine=engine)

    @property
    def engines(self) -> tuple[str, ...]:
        return import_module(f"weedout_{self.name}.engines").ENGINES

    @property
    def platform(self) -> str:
        """Where it computes, in the framework's own word."""
        if self.name == "jax":
            return import_module("jax").default_backend()
        return "cuda" if import_module("torch").cuda.is_available() else "cpu"

    def fastest(self, computed: wc.backend.Products) -> str:
        """The engine that our rule takes."""
        return import_module(f"weedout_{self.name}.engines").fastest_engine(self.platform, computed)


def framework(name: str) -> Framework:
    """JAX or PyTorch, whichever this process is for."""
    return {"jax": _jax, "torch": _torch}[name]()


def _jax() -> Framework:
    import jax
    import jax.numpy as jnp

    def product(side: int, kind: str) -> Callable[[], Any]:
        dtype = jnp.bfloat16 if kind == "bfloat16" else jnp.float32
        operand = jax.random.normal(jax.random.key(0), (side, side), dtype)
        multiply = jax.jit(lambda a: jnp.matmul(a, a, precision="highest" if kind == "highest" else "default"))
        return lambda: multiply(operand).block_until_ready()

    def copy(floats: int) -> Callable[[], Any]:
        array = jnp.ones(floats, jnp.float32)
        moved = jax.jit(lambda a: a + 1)
        return lambda: moved(array).block_until_ready()

    def peak() -> int | None:
        told = (
            jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else {"peak_bytes_in_use": peak_bytes()}
        )
        return (told or {}).get("peak_bytes_in_use")

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    return Framework("jax", product, copy, nothing, peak, lambda: None)


def _torch() -> Framework:
    import torch

    from benchmarks.networks_torch import torch_device

    device = torch_device()

    def done(tensor: torch.Tensor) -> torch.Tensor:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return tensor

    def product(side: int, kind: str) -> Callable[[], Any]:
        dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
        operand = torch.from_numpy(np.random.default_rng(0).standard_normal((side, side), np.float32)).to(device, dtype)

        def multiply() -> torch.Tensor:
            with faster() if kind == "default" else exact():
                return done(operand @ operand)

        return multiply

    def copy(floats: int) -> Callable[[], Any]:
        array = torch.ones(floats, device=device)
        return lambda: done(array + 1)

    def peak() -> int | None:
        return torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_bytes()

    def forget() -> None:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    return Framework("torch", product, copy, faster, peak, forget)


def faster() -> Any:
    """Within it PyTorch computes float32 products and convolutions on CUDA in TF32."""
    return _torch_precision("tf32")


def exact() -> Any:
    """Within it PyTorch computes them in float32: its convolutions do not unless they are told to."""
    return _torch_precision("ieee")


@contextmanager
def _torch_precision(kind: str) -> Iterator[None]:
    import torch

    backends: Any = torch.backends
    matmul, convolution = backends.cuda.matmul, getattr(backends.cudnn, "conv", None)
    if hasattr(matmul, "fp32_precision") and convolution is not None:
        settings, value = [(matmul, "fp32_precision"), (convolution, "fp32_precision")], kind
    else:  # before PyTorch 2.9
        settings, value = [(matmul, "allow_tf32"), (backends.cudnn, "allow_tf32")], kind == "tf32"
    before = [getattr(owner, name) for owner, name in settings]
    for owner, name in settings:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for (owner, name), old in zip(settings, before, strict=True):
            setattr(owner, name, old)
